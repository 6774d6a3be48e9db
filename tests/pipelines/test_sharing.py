"""One definition for steps that are equal, and a size that a cluster stores."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from nephrite.config import load_config
from nephrite_kubeflow.cluster import CLUSTER_FILE
from nephrite_kubeflow.experiment import MOST_PAINTERS
from nephrite_kubeflow.package import Package
from nephrite_kubeflow.sharing import share_steps
from tests.pipelines.conftest import PARAMS, compile_for

ARGUMENT = 128 * 1024  # bytes that Linux takes as one argument


def pipeline(**containers: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pipeline of one task per container, and its Kubernetes part."""
    spec = {
        "root": {"dag": {"tasks": {name: {"componentRef": {"name": f"comp-{name}"}} for name in containers}}},
        "components": {
            f"comp-{name}": {"executorLabel": f"exec-{name}", "inputDefinitions": {}} for name in containers
        },
        "deploymentSpec": {"executors": {f"exec-{name}": told for name, told in containers.items()}},
    }
    placed: dict[str, Any] = {f"exec-{name}": {"pvcMount": []} for name in containers}
    return spec, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": placed}}}}


def references(spec: dict[str, Any]) -> list[str]:
    """Components of the tasks."""
    return [task["componentRef"]["name"] for task in spec["root"]["dag"]["tasks"].values()]


def test_equal_steps_share_what_the_first_one_has() -> None:
    spec, platform = pipeline(a={"image": "x"}, b={"image": "y"}, c={"image": "x"})
    share_steps(spec, platform)
    assert references(spec) == ["comp-a", "comp-b", "comp-a"]
    assert set(spec["components"]) == {"comp-a", "comp-b"}
    assert set(spec["deploymentSpec"]["executors"]) == {"exec-a", "exec-b"}
    assert set(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == {"exec-a", "exec-b"}


def test_steps_that_are_placed_differently_stay_apart() -> None:
    spec, platform = pipeline(a={"image": "x"}, b={"image": "x"})
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-b"] = {"pvcMount": ["claim"]}
    kept = copy.deepcopy(spec)
    share_steps(spec, platform)
    assert spec == kept


def test_steps_of_all_painters_are_defined_once(compiled: Package, compiled_grown: Package) -> None:
    assert set(compiled_grown.spec["deploymentSpec"]["executors"]) == set(compiled.spec["deploymentSpec"]["executors"])


def test_largest_trial_is_one_that_a_cluster_takes(tmp_path: Path, grown: list[str]) -> None:
    trial = load_config(PARAMS, grown).trial
    cells = MOST_PAINTERS // (len(trial.synthesizers) * len(trial.label_fractions))
    more = [f"trial.cells={list(range(cells))}", "trial.segmenters=[light]"]
    package = compile_for(tmp_path, CLUSTER_FILE, [*grown, *more])
    largest = max(len(json.dumps(component)) for component in package.spec["components"].values())
    assert ARGUMENT / 2 < largest < ARGUMENT
    assert package.path.stat().st_size < 400_000
