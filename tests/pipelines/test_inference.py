"""The champion's pipeline: what is imported, what gets it, and what the step asks of the cluster."""

from __future__ import annotations

from typing import Any

from nephrite_kubeflow.inference import STEPS
from nephrite_kubeflow.package import Package
from nephrite_kubeflow.placement import POD_FIELDS
from tests.pipelines.conftest import IMAGE, SCANS


def tasks(package: Package) -> dict[str, Any]:
    """The tasks of the pipeline."""
    inside: dict[str, Any] = package.spec["root"]["dag"]["tasks"]
    return inside


def executor(package: Package, name: str) -> dict[str, Any]:
    """What runs a task."""
    told: dict[str, Any] = package.spec["deploymentSpec"]["executors"][f"exec-{name}"]
    return told


def test_pipeline_is_an_importer_and_the_champion(compiled_inference: Package) -> None:
    assert list(tasks(compiled_inference)) == ["importer", *STEPS]
    assert tasks(compiled_inference)["predict"]["dependentTasks"] == ["importer"]


def test_folder_is_imported_anew_in_every_run_as_a_data_set(compiled_inference: Package) -> None:
    importer = executor(compiled_inference, "importer")["importer"]
    assert importer["reimport"] is True
    assert importer["typeSchema"]["schemaTitle"] == "system.Dataset"
    assert tasks(compiled_inference)["importer"]["inputs"]["parameters"]["uri"] == {
        "componentInputParameter": "scans_uri"
    }
    assert compiled_inference.arguments["scans_uri"] == SCANS


def test_imported_folder_reaches_the_command(compiled_inference: Package) -> None:
    source = tasks(compiled_inference)["predict"]["inputs"]["artifacts"]["scans"]["taskOutputArtifact"]
    assert source == {"outputArtifactKey": "artifact", "producerTask": "importer"}
    told = executor(compiled_inference, "predict")["container"]["args"]
    assert told[told.index("--scans") + 1] == "{{$.inputs.artifacts['scans'].path}}"


def test_champion_is_asked_anew_in_every_run(compiled_inference: Package) -> None:
    assert not tasks(compiled_inference)["predict"]["cachingOptions"].get("enableCache")


def test_step_is_placed_as_those_of_the_trial(compiled_inference: Package, compiled: Package) -> None:
    (name, step), *others = compiled_inference.platform["platforms"]["kubernetes"]["deploymentSpec"][
        "executors"
    ].items()
    assert (name, others) == ("exec-predict", [])
    assert {pair["name"]: pair["fieldPath"] for pair in step["fieldPathAsEnv"]} == POD_FIELDS
    assert step["securityContext"]["runAsNonRoot"] is True
    assert executor(compiled_inference, "predict")["container"]["image"] == IMAGE
    assert compiled_inference.secrets == compiled.secrets
    assert compiled_inference.claims == set()


def test_lineage_names_the_folder_as_the_data(compiled_inference: Package) -> None:
    lineage = compiled_inference.lineage
    assert (compiled_inference.name, lineage["pipeline"], lineage["data"]) == ("inference", "inference", SCANS)
    assert compiled_inference.version.startswith("0123456789ab-")
