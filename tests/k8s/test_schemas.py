"""Every rendered object against Kubernetes' schemas, and Kubeflow's against what its types require."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

Manifest = dict[str, Any]
VERSION = "1.32"
VERSIONS = (VERSION, "1.37")  # the oldest and the newest that k8s/ is checked against
CUSTOM = "trainer.kubeflow.org/v1alpha1"
TRAIN_JOB = {"runtimeRef", "trainer", "suspend", "managedBy"}  # what both 2.0 and later releases know
TRAINER = {"image", "command", "args", "env", "numNodes", "numProcPerNode", "resourcesPerNode"}
"""github.com/kubeflow/trainer, pkg/apis/trainer/v1alpha1/trainjob_types.go: fields of TrainJobSpec and Trainer."""


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_of_kubernetes_fit_their_schemas(objects: list[Manifest], version: str) -> None:
    known = [item for item in objects if item["apiVersion"] != CUSTOM]
    assert len(known) > 30
    for item in known:
        kubernetes_validate.validate(item, version, strict=True)


def test_unknown_field_would_be_found(objects: list[Manifest]) -> None:
    deployment = next(item for item in objects if item["kind"] == "Deployment")
    broken = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(broken, VERSION, strict=True)


def test_pods_of_a_training_runtime_fit_the_schema_of_pods(objects: list[Manifest]) -> None:
    for runtime in of_kind(objects, "TrainingRuntime"):
        for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
            template = job["template"]
            as_job = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": job["name"]},
                "spec": template["spec"],
            }
            kubernetes_validate.validate(as_job, VERSION, strict=True)


def test_training_runtime_names_the_trainer(objects: list[Manifest]) -> None:
    for runtime in of_kind(objects, "TrainingRuntime"):
        (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        assert set(runtime["spec"]) == {"mlPolicy", "template"}
        assert runtime["spec"]["mlPolicy"] == {"numNodes": 1, "torch": {}}
        assert job["template"]["metadata"]["labels"]["trainer.kubeflow.org/trainjob-ancestor-step"] == "trainer"
        assert [job["name"], *(c["name"] for c in job["template"]["spec"]["template"]["spec"]["containers"])] == [
            "node"
        ] * 2


def test_train_jobs_have_the_fields_of_their_type(objects: list[Manifest]) -> None:
    runtimes = {item["metadata"]["name"] for item in of_kind(objects, "TrainingRuntime")}
    for job in of_kind(objects, "TrainJob"):
        spec, trainer = job["spec"], job["spec"]["trainer"]
        assert spec["runtimeRef"]["kind"] == "TrainingRuntime"
        assert spec["runtimeRef"]["name"] in runtimes
        assert set(spec) <= TRAIN_JOB
        assert set(trainer) <= TRAINER
        assert trainer["numNodes"] > 1
        assert all(isinstance(text, str) for text in trainer["args"])


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    return [item for item in objects if item["kind"] == kind]
