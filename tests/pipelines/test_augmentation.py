"""The compiled pipeline: which step gets what from which, in loops, behind gates, under an exit handler."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nephrite_kubeflow.cluster import CLUSTER_FILE
from nephrite_kubeflow.package import Package
from tests.pipelines.conftest import IMAGE, compile_for

INNER = "comp-exit-handler-1"
SEGMENTERS = ("light", "heavy", "fpn")


def tasks(package: Package, component: str = INNER) -> dict[str, Any]:
    """The tasks inside a component of the compiled pipeline."""
    inside: dict[str, Any] = package.spec["components"][component]["dag"]["tasks"]
    return inside


def named(package: Package, name: str, component: str = INNER) -> Any:
    """The task that Kubeflow's page shows under a name."""
    (found,) = [task for task in tasks(package, component).values() if task["taskInfo"]["name"] == name]
    return found


def arguments(package: Package, task: dict[str, Any]) -> list[str]:
    """The arguments of a task's command."""
    label = package.spec["components"][task["componentRef"]["name"]]["executorLabel"]
    told: list[str] = package.spec["deploymentSpec"]["executors"][label]["container"]["args"]
    return told


def arms(loop: dict[str, Any]) -> list[str]:
    """What a loop goes over."""
    items: list[str] = json.loads(loop["parameterIterator"]["items"]["raw"])
    return items


def before(package: Package, name: str) -> set[str]:
    """Names, on Kubeflow's page, of the tasks that a task waits for."""
    return {tasks(package)[key]["taskInfo"]["name"] for key in named(package, name)["dependentTasks"]}


def test_trial_runs_under_a_handler_that_closes_it_however_it_ends(compiled: Package) -> None:
    outer = compiled.spec["root"]["dag"]["tasks"]
    assert set(outer) == {"close-trial", "exit-handler-1"}
    assert outer["close-trial"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


@pytest.mark.parametrize(
    ("step", "needed"),
    [
        ("prepare", {"acquire"}),
        ("real-arms", {"acquire", "prepare"}),
        ("train-gan-pix2pix-1.0-0", {"prepare"}),
        ("synthesize-pix2pix-1.0-0", {"prepare", "train-gan-pix2pix-1.0-0"}),
        ("screen-pix2pix-1.0-0", {"prepare", "synthesize-pix2pix-1.0-0"}),
        ("arms-of-pix2pix-1.0-0", {"acquire", "prepare", "screen-pix2pix-1.0-0"}),
        ("publish-synthetic", {"screen-pix2pix-1.0-0"}),
        ("report", {"real-arms", "arms-of-pix2pix-1.0-0", "prepare", "screen-pix2pix-1.0-0"}),
        ("promote-best", {"real-arms", "arms-of-pix2pix-1.0-0", "prepare", "report"}),
    ],
)
def test_step_waits_for_what_it_needs_and_for_nothing_else(compiled: Package, step: str, needed: set[str]) -> None:
    assert before(compiled, step) == needed


def test_loop_goes_over_the_arms_of_its_painter(compiled_grown: Package) -> None:
    loops = {name: task for task in tasks(compiled_grown).values() if "arms" in (name := task["taskInfo"]["name"])}
    assert len(loops) == 1 + 8
    assert len(arms(loops["real-arms"])) == 2 * 3 * 4
    assert arms(loops["arms-of-other-0.25-1"]) == [f"real+other+geometric/{net}/0.25/1" for net in SEGMENTERS]
    assert [arm.rsplit("/", 2)[1:] for arm in arms(loops["arms-of-pix2pix-1.0-0"])] == [["1.0", "0"]] * 6


@pytest.mark.parametrize("step", ["train-gan", "synthesize", "screen"])
def test_painter_reaches_the_commands_of_its_steps(compiled_grown: Package, step: str) -> None:
    task = named(compiled_grown, f"{step}-other-0.25-1")
    assert task["inputs"]["parameters"]["painter"]["runtimeValue"]["constant"] == "other/0.25/1"
    assert "painter={{$.inputs.parameters['painter']}}" in arguments(compiled_grown, task)


def test_arms_get_the_slices_of_their_own_painter(compiled_grown: Package) -> None:
    for number in range(1, 9):
        (loop,) = [task for task in tasks(compiled_grown).values() if screened(task) == number]
        painter = loop["taskInfo"]["name"].removeprefix("arms-of-")
        key = f"screen-{number}" if number > 1 else "screen"
        assert tasks(compiled_grown)[key]["taskInfo"]["name"] == f"screen-{painter}"


def screened(task: dict[str, Any]) -> int | None:
    """The number of the 'screen' whose slices a loop gets."""
    for source in task.get("inputs", {}).get("artifacts", {}).values() if "parameterIterator" in task else ():
        producer = str(source["taskOutputArtifact"]["producerTask"])
        if producer.startswith("screen"):
            return int(producer.removeprefix("screen").removeprefix("-") or 1)
    return None


def test_trainings_at_a_time_are_those_of_the_cluster_file(compiled: Package, compiled_grown: Package) -> None:
    assert named(compiled, "real-arms")["iteratorPolicy"] == {"parallelismLimit": 2}
    assert named(compiled, "arms-of-pix2pix-1.0-0")["iteratorPolicy"] == {"parallelismLimit": 2}
    assert named(compiled_grown, "arms-of-pix2pix-1.0-0")["iteratorPolicy"] == {"parallelismLimit": 1}
    assert before(compiled_grown, "train-gan-pix2pix-0.25-1") == {"prepare"}
    assert before(compiled_grown, "train-gan-pix2pix-1.0-0") == {"prepare", "arms-of-pix2pix-0.25-0"}
    assert before(compiled_grown, "train-gan-other-1.0-1") == {"prepare", "arms-of-other-0.25-1"}


OTHER = "registry.example/own@sha256:" + "7" * 64


def images(package: Package, loop: dict[str, Any]) -> set[str]:
    """What the steps in a loop run in."""
    inside = tasks(package, loop["componentRef"]["name"]).values()
    labels = [package.spec["components"][task["componentRef"]["name"]]["executorLabel"] for task in inside]
    return {package.spec["deploymentSpec"]["executors"][label]["container"]["image"] for label in labels}


def test_arms_of_a_segmenter_with_an_image_of_its_own_have_a_loop_of_their_own(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(f"{CLUSTER_FILE.read_text()}\nimages: {{fpn: {OTHER}}}\n")
    package = compile_for(tmp_path, cluster)
    for name in ("real-arms", "arms-of-pix2pix-1.0-0"):
        ours, own = named(package, name), named(package, f"{name}-1")
        assert {arm.split("/")[1] for arm in arms(ours)} == {"light", "heavy"}
        assert {arm.split("/")[1] for arm in arms(own)} == {"fpn"}
        assert (images(package, ours), images(package, own)) == ({IMAGE}, {OTHER})
        assert name in before(package, f"{name}-1")  # so that no more are trained at a time than the file allows
        assert own["iteratorPolicy"] == ours["iteratorPolicy"]
    assert {"real-arms", "real-arms-1"} <= before(package, "report")


KNOWN = {"kind": "command", "command": ["segment"], "takes": ["synthetic", "augmentation"], "own_image": OTHER}
PROGRAM = json.dumps(KNOWN)


def test_a_program_in_an_image_of_its_own_is_handed_folders_and_no_secret(tmp_path: Path) -> None:
    overrides = [f"train_segmenter.segmenters.mine={PROGRAM}", "trial.segmenters=[light, mine]"]
    package = compile_for(tmp_path, CLUSTER_FILE, [*overrides, "train_segmenter.early_stopping=null"])
    for name in ("real-arms", "arms-of-pix2pix-1.0-0"):
        own = named(package, f"{name}-1")
        assert {arm.split("/")[1] for arm in arms(own)} == {"mine"}
        inside = tasks(package, own["componentRef"]["name"])
        shown = {task["taskInfo"]["name"]: task for task in inside.values()}
        order = ["order-fit", "program-train-segmenter", "train-segmenter"]
        order += ["order-predict", "program-evaluate", "evaluate"]
        assert set(shown) == set(order)
        # what each one waits for: the scans that are judged go out after the training
        for earlier, later in pairwise(order):
            waits = {inside[key]["taskInfo"]["name"] for key in shown[later]["dependentTasks"]}
            assert earlier in waits, later
        # the program's own steps
        placed = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for step, task in shown.items():
            label = package.spec["components"][task["componentRef"]["name"]]["executorLabel"]
            image = package.spec["deploymentSpec"]["executors"][label]["container"]["image"]
            assert image == (OTHER if step.startswith("program") else IMAGE)
            told = placed[label]
            assert ("secretAsEnv" in told) is not step.startswith("program")
            assert "pvcMount" not in told
            assert told["securityContext"]["runAsNonRoot"] is True
        fitted, ours = (shown[name]["componentRef"]["name"] for name in ("program-train-segmenter", "train-segmenter"))
        assert memory(package, fitted) != memory(package, ours)  # the machine of a training is the program's
        assert "--synthetic" in arguments(package, shown["order-fit"]) or name == "real-arms"
        assert "--done" in arguments(package, shown["evaluate"])
    light = tasks(package, named(package, "real-arms")["componentRef"]["name"])["train-segmenter"]
    assert "--done" not in arguments(package, light)


def test_one_image_that_is_named_in_both_ways_has_two_loops(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(f"{CLUSTER_FILE.read_text()}\nimages: {{fpn: {OTHER}}}\n")
    overrides = [f"train_segmenter.segmenters.mine={PROGRAM}", "trial.segmenters=[fpn, mine]"]
    package = compile_for(tmp_path, cluster, [*overrides, "train_segmenter.early_stopping=null"])
    ours, own = named(package, "real-arms"), named(package, "real-arms-1")
    assert [{arm.split("/")[1] for arm in arms(loop)} for loop in (ours, own)] == [{"fpn"}, {"mine"}]
    assert [len(tasks(package, loop["componentRef"]["name"])) for loop in (ours, own)] == [2, 6]


def memory(package: Package, component: str) -> str:
    """What a component's container may use at most."""
    label = package.spec["components"][component]["executorLabel"]
    found: str = package.spec["deploymentSpec"]["executors"][label]["container"]["resources"]["resourceMemoryLimit"]
    return found


def test_only_arms_of_a_painter_are_given_synthetic_slices(compiled: Package) -> None:
    real = tasks(compiled, named(compiled, "real-arms")["componentRef"]["name"])["train-segmenter"]
    assert "--synthetic" not in arguments(compiled, real)
    mixed = tasks(compiled, named(compiled, "arms-of-pix2pix-1.0-0")["componentRef"]["name"])["train-segmenter-2"]
    told = arguments(compiled, mixed)
    assert told[told.index("--synthetic") + 1] == "{{$.inputs.artifacts['synthetic'].path}}"


def test_no_argument_is_left_for_the_server_to_settle(compiled: Package) -> None:
    executors = compiled.spec["deploymentSpec"]["executors"].values()
    assert not [text for told in executors for text in told["container"]["args"] if "IfPresent" in text]


def test_report_gets_the_runs_of_evaluate_of_every_loop(compiled_grown: Package) -> None:
    task = named(compiled_grown, "report")
    given = {name: told for name, told in task["inputs"]["parameters"].items() if name.startswith("runs")}
    loops = {told["taskOutputParameter"]["producerTask"] for told in given.values()}
    assert {tasks(compiled_grown)[loop]["taskInfo"]["name"] for loop in loops} == before(compiled_grown, "report") - {
        "prepare",
        "screen-pix2pix-0.25-0",
    }
    (runs,) = {text for text in arguments(compiled_grown, task) if text.startswith("runs:")}
    assert all("evaluate" in told["taskOutputParameter"]["outputParameterKey"] for told in given.values())
    assert runs == "runs:" + "".join(f"{{{{$.inputs.parameters['{name}']}}}}" for name in sorted(given))


def test_promote_gets_the_runs_of_train_segmenter(compiled: Package) -> None:
    given = named(compiled, "promote-best")["inputs"]["parameters"]
    keys = {
        told["taskOutputParameter"]["outputParameterKey"] for told in given.values() if "taskOutputParameter" in told
    }
    assert keys == {"pipelinechannel--train-segmenter-run", "pipelinechannel--train-segmenter-2-run"}


@pytest.mark.parametrize(
    ("name", "inside", "gate"),
    [
        ("publish-synthetic", ["publish-pix2pix-1.0-0"], "publish_synthetic"),
        ("promote-best", ["promote"], "promote_best"),
    ],
)
def test_publish_and_promote_stand_behind_a_gate_of_text(
    compiled: Package, name: str, inside: list[str], gate: str
) -> None:
    task = named(compiled, name)
    assert task["triggerPolicy"]["condition"] == f"inputs.parameter_values['pipelinechannel--{gate}'] == 'yes'"
    within = tasks(compiled, task["componentRef"]["name"]).values()
    assert [each["taskInfo"]["name"] for each in within] == inside


def test_every_painter_s_slices_are_published(compiled_grown: Package) -> None:
    inside = tasks(compiled_grown, named(compiled_grown, "publish-synthetic")["componentRef"]["name"])
    sources = [task["inputs"]["artifacts"]["data"]["componentInputArtifact"] for task in inside.values()]
    assert len(set(sources)) == len(sources) == 8


def test_arm_is_trained_then_scored(compiled: Package) -> None:
    for name in ("real-arms", "arms-of-pix2pix-1.0-0"):
        inside = tasks(compiled, named(compiled, name)["componentRef"]["name"])
        (scored,) = (task for key, task in inside.items() if key.startswith("evaluate"))
        assert scored["inputs"]["artifacts"]["segmenter"]["taskOutputArtifact"]["outputArtifactKey"] == "segmenter"
        assert len(inside) == 2


def test_all_but_the_handler_carry_lineage_into_their_cache_key(compiled: Package) -> None:
    executors = compiled.spec["deploymentSpec"]["executors"]
    without = [name for name, told in executors.items() if "--lineage" not in told["container"]["args"]]
    assert without == ["exec-close-trial"]
    assert len(executors) == 12


@pytest.mark.parametrize(
    ("overrides", "gone"),
    [
        (["trial.training_sets.synthetic=[]", "trial.synthesizers=[]"], "train-gan"),
        (["trial.training_sets.real=[]", "trial.reference=real+synthetic"], "real-arms"),
    ],
)
def test_trial_of_one_kind_of_arms_has_no_steps_for_the_other(tmp_path: Path, overrides: list[str], gone: str) -> None:
    package = compile_for(tmp_path, CLUSTER_FILE, overrides)
    shown = {task["taskInfo"]["name"] for task in tasks(package).values()}
    assert not [name for name in shown if name.startswith(gone)]
    assert {"prepare", "report", "promote-best"} < shown
    assert ("--synthetic" in arguments(package, named(package, "report"))) == (gone == "real-arms")
