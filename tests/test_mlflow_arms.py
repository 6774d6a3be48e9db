from __future__ import annotations

from collections.abc import Callable

from nephrite.config import Arm, Config, GeneratorRun
from nephrite.mlflow_arms import parts_of
from nephrite.recording import ArmRow
from nephrite.tracking import open_run
from tests.conftest import runs

Load = Callable[..., Config]
NAMES = ("real/light/1.0/0", "real+geometric/light/1.0/0")


def rows(digest: str = "d") -> list[ArmRow]:
    return [ArmRow(arm=name, digest=digest, metrics={"dice": 0.5 + place}) for place, name in enumerate(NAMES)]


def scored(config: Config, digest: str = "d") -> str:
    """Record the evaluation of the first arm."""
    with open_run(config.model_copy(update={"arm": Arm.parse(NAMES[0])}), "evaluate") as run:
        run.tags({"segmenter_digest": digest})
        return str(run.id)


def judged(config: Config, arms: list[ArmRow], title: str = "t: helps") -> None:
    with open_run(config, "report") as run:
        run.judged(title, "**helps**", arms)


def test_an_arm_of_an_earlier_trial_stands_below_this_one_too(record: str, load: Load) -> None:
    first = scored(load("trial.seed=1"))
    judged(load(), rows())
    (parent,) = [run for run in runs(record, stage="trial") if run.info.run_name == "t: helps"]
    assert parent.data.tags["mlflow.note.content"] == "**helps**"
    one, other = sorted(runs(record, stage="reused"), key=lambda run: run.data.metrics["dice"])
    assert one.data.tags["nephrite.reused_from"] == first
    assert "nephrite.reused_from" not in other.data.tags
    for run, name in zip((one, other), NAMES, strict=True):
        assert run.data.params == {key: str(value) for key, value in parts_of(Arm.parse(name)).items()}
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.info.status, run.data.tags["nephrite.arm"]) == ("FINISHED", name)


def test_an_arm_that_this_trial_scored_gets_no_second_run(record: str, load: Load) -> None:
    scored(load())
    judged(load(), rows()[:1])
    judged(load(), rows())
    judged(load(), rows())
    assert [run.data.tags["nephrite.arm"] for run in runs(record, stage="reused")] == [NAMES[1]]


def test_a_run_of_another_segmenter_than_the_one_that_was_judged_is_superseded(record: str, load: Load) -> None:
    older = scored(load(), "older")
    judged(load(), rows()[:1])
    (now,) = runs(record, stage="reused")
    (then,) = runs(record, stage="evaluate")
    assert then.info.run_id == older
    assert then.data.tags["nephrite.superseded_by"] == now.info.run_id


def test_parts_are_parameters() -> None:
    assert parts_of(None) == {}
    assert parts_of(GeneratorRun.parse("spade/0.5/2")) == {"synthesizer": "spade", "fraction": 0.5, "replicate": 2}
