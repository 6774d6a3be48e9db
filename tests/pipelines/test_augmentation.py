"""The compiled pipeline: which step gets what from which, in loops, behind gates, under an exit handler."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.package import Package

LOOPS = ("comp-for-loop-3", "comp-for-loop-4")


def tasks(package: Package, component: str = "comp-exit-handler-1") -> dict[str, Any]:
    """The tasks inside a component of the compiled pipeline."""
    inside: dict[str, Any] = package.spec["components"][component]["dag"]["tasks"]
    return inside


def arguments(package: Package, executor: str) -> list[str]:
    """The arguments of a step's command."""
    told: list[str] = package.spec["deploymentSpec"]["executors"][f"exec-{executor}"]["container"]["args"]
    return told


def test_trial_runs_under_a_handler_that_closes_it_however_it_ends(compiled: Package) -> None:
    outer = compiled.spec["root"]["dag"]["tasks"]
    assert set(outer) == {"close-trial", "exit-handler-1"}
    assert outer["close-trial"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


@pytest.mark.parametrize(
    ("step", "before"),
    [
        ("prepare", ["acquire"]),
        ("train-gan", ["prepare"]),
        ("synthesize", ["prepare", "train-gan"]),
        ("for-loop-3", ["prepare"]),
        ("for-loop-4", ["prepare", "synthesize"]),
        ("report", ["for-loop-3", "for-loop-4", "prepare", "synthesize"]),
    ],
)
def test_step_waits_for_what_it_needs_and_for_nothing_else(compiled: Package, step: str, before: list[str]) -> None:
    assert tasks(compiled)[step]["dependentTasks"] == before


@pytest.mark.parametrize(("loop", "arms"), [("for-loop-3", "real_arms"), ("for-loop-4", "synthetic_arms")])
def test_loop_goes_over_arms_that_are_given_at_run_time(compiled: Package, loop: str, arms: str) -> None:
    task = tasks(compiled)[loop]
    assert task["parameterIterator"]["items"] == {"inputParameter": f"pipelinechannel--{arms}"}
    assert task["iteratorPolicy"] == {"parallelismLimit": 2}


def test_only_arms_of_the_second_loop_are_given_synthetic_slices(compiled: Package) -> None:
    assert "--synthetic" not in arguments(compiled, "train-segmenter")
    told = arguments(compiled, "train-segmenter-2")
    assert told[told.index("--synthetic") + 1] == "{{$.inputs.artifacts['synthetic'].path}}"


def test_no_argument_is_left_for_the_server_to_settle(compiled: Package) -> None:
    executors = compiled.spec["deploymentSpec"]["executors"].values()
    assert not [text for told in executors for text in told["container"]["args"] if "IfPresent" in text]


def test_report_gets_the_runs_of_evaluate(compiled: Package) -> None:
    given = tasks(compiled)["report"]["inputs"]["parameters"]
    sources = [given[name]["taskOutputParameter"]["outputParameterKey"] for name in ("real_runs", "synthetic_runs")]
    assert sources == ["pipelinechannel--evaluate-run", "pipelinechannel--evaluate-2-run"]
    runs = "runs:{{$.inputs.parameters['real_runs']}}{{$.inputs.parameters['synthetic_runs']}}"
    assert runs in arguments(compiled, "report")


def test_promote_gets_the_runs_of_train_segmenter(compiled: Package) -> None:
    given = tasks(compiled)["condition-5"]["inputs"]["parameters"]
    keys = {
        value["taskOutputParameter"]["outputParameterKey"] for value in given.values() if "taskOutputParameter" in value
    }
    assert keys == {"pipelinechannel--train-segmenter-run", "pipelinechannel--train-segmenter-2-run"}


@pytest.mark.parametrize(
    ("task", "inside", "gate"),
    [("condition-2", "publish", "publish_synthetic"), ("condition-5", "promote", "promote_best")],
)
def test_publish_and_promote_stand_behind_a_gate_of_text(compiled: Package, task: str, inside: str, gate: str) -> None:
    condition = tasks(compiled)[task]["triggerPolicy"]["condition"]
    assert condition == f"inputs.parameter_values['pipelinechannel--{gate}'] == 'yes'"
    assert list(tasks(compiled, f"comp-{task}")) == [inside]


@pytest.mark.parametrize("loop", LOOPS)
def test_arm_is_trained_then_scored(compiled: Package, loop: str) -> None:
    inside = tasks(compiled, loop)
    (scored,) = (task for name, task in inside.items() if name.startswith("evaluate"))
    assert scored["inputs"]["artifacts"]["segmenter"]["taskOutputArtifact"]["outputArtifactKey"] == "segmenter"
    assert len(inside) == 2


def test_all_but_the_handler_carry_lineage_into_their_cache_key(compiled: Package) -> None:
    steps = [name for name in compiled.spec["deploymentSpec"]["executors"] if name != "exec-close-trial"]
    assert len(steps) == 11
    assert all("--lineage" in arguments(compiled, name.removeprefix("exec-")) for name in steps)
