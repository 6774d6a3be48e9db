"""Promotion through a real registry, with small segmenters and made-up scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient

from nephrite.config import Arm, Config, ResizeSettings, WindowSettings
from nephrite.errors import StoreError, TrackingError
from nephrite.evidence import sealed
from nephrite.files import read_json, write_json
from nephrite.imaging.recipe import Recipe, read_recipe
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.model_version import RECIPE
from nephrite.recording import SilentRun
from nephrite.registry import CHALLENGER, CHAMPION, Registry, load_champion
from nephrite.report.summary import summarize
from nephrite.report.trial_record import TrialRecord
from nephrite.segmentation.artifacts import WEIGHTS, SegmenterCard, load_segmenter, write_card
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.stages.promote import promote
from nephrite.stages.report import report
from nephrite.store.slices import PairStore
from nephrite.tracking import open_run
from nephrite.training.weights import save_weights
from nephrite.verdict.promotion import Decision, decide
from nephrite.verdict.trial import Trial as VerdictTrial
from nephrite.verdict.trial import TrialPlan
from nephrite.verification import verify
from tests.conftest import SPLITS, finish
from tests.finished_trial import SMALL_TRIAL, write_trial

Load = Callable[..., Config]
MODEL = "nephrite-segmenter"
ARM = Arm(training_set="real+geometric", segmenter="light", fraction=1.0, cell=0)
SETTINGS = UNetSettings(kind="unet", base_width=4, depth=2, padding="same", normalization="batch")


class Trial:
    """The paths that promote reads and writes, filled by `train`."""

    def __init__(self, folder: Path) -> None:
        self.paths = {
            "report": folder / "reports",
            "segmenters": folder / "segmenters",
            "promotion": folder / "decision.json",
        }

    def train(self, seed: int, dice: float, *, patients: int = 8, validation: float = 0.6) -> None:
        """Write a segmenter, and a report in which it is the best run."""
        folder = self.paths["segmenters"] / str(ARM)
        torch.manual_seed(seed)
        save_weights(folder / WEIGHTS, UNetBackend(SETTINGS).build(2).state_dict())
        write_card(folder, card(validation), [])
        write_json(self.paths["report"] / "trial.json", record_of(dice, patients).model_dump(mode="json"))

    def promote(self, config: Config) -> dict[str, Any]:
        """Run the stage; what it wrote."""
        promote(config, SilentRun(), **self.paths)
        written: dict[str, Any] = read_json(self.paths["promotion"])
        return written


def record_of(dice: float, patients: int) -> TrialRecord:
    """What `report` writes of a trial with a single run."""
    slices = SliceScores(6, 60.0, 58.0, {"tumor": None}, {"tumor": 0})
    scores = tuple(
        PatientScore(f"p{number}", {"tumor": RegionScore(dice + number / 100, 0.5, 5.0, 20.0, 18.0)}, slices)
        for number in range(patients)
    )
    arm = ArmScores(ARM, scores, 0.6, steps=6, seconds=1.0, training_patients=1)
    return summarize(VerdictTrial(TrialPlan("tumor", ARM.training_set, None), (arm,)))


def card(validation: float) -> SegmenterCard:
    return SegmenterCard(
        arm=str(ARM),
        settings=SETTINGS,
        classes={1: "kidney", 2: "tumor"},
        channels={"kidney": (1,), "tumor": (2,)},
        intensity=WindowSettings(kind="window", center=0, width=400),
        in_plane=ResizeSettings(kind="resize", size=32),
        training_patients=("a1",),
        synthesizer=None,
        pairs="digest",
        validation_score=validation,
        region="tumor",
        threshold=0.5,
        steps=6,
        seconds=1.0,
        run_id="run-of-training",
        version="test",
    )


@pytest.fixture
def trial(record: str, tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def versions() -> dict[str, int | None]:
    registry = Registry(MODEL)
    found = {alias: registry.aliased(alias) for alias in (CHAMPION, CHALLENGER)}
    return {alias: version.number if version else None for alias, version in found.items()}


def test_first_run_becomes_champion_and_predicts_as_its_segmenter(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.5)
    assert trial.promote(load())["decision"] == "champion"
    image = torch.rand(3, 1, 32, 32)
    trained = load_segmenter(trial.paths["segmenters"] / str(ARM)).trained
    assert isinstance(trained, TrainedNetwork)
    torch.testing.assert_close(load_champion(MODEL)(image), trained.network(image), atol=1e-5, rtol=0)


def test_run_below_the_floor_is_only_challenger(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.5)
    trial.promote(load("promote.floor=0.9"))
    assert versions() == {CHAMPION: None, CHALLENGER: 1}


def test_better_run_replaces_the_champion(trial: Trial, load: Load) -> None:
    for seed, dice in ((1, 0.5), (2, 0.6)):
        trial.train(seed=seed, dice=dice)
        decision = trial.promote(load())
    assert versions() == {CHAMPION: 2, CHALLENGER: 2}
    assert decision["interval"]["low"] == pytest.approx(0.1)


def test_worse_run_leaves_the_champion(trial: Trial, load: Load) -> None:
    for seed, dice in ((1, 0.5), (2, 0.4)):
        trial.train(seed=seed, dice=dice)
        decision = trial.promote(load())
    assert versions() == {CHAMPION: 1, CHALLENGER: 2}
    assert decision["reason"].startswith("the difference to the champion, -0.100")


def test_promotion_against_a_champion_that_has_changed_is_refused(
    trial: Trial, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (1, 2):
        trial.train(seed=seed, dice=0.4 + seed / 10)
        trial.promote(load())
    client = MlflowClient()

    def decide_late(*arguments: Any) -> Decision:
        client.set_registered_model_alias(MODEL, CHAMPION, "1")  # by another promotion
        return decide(*arguments)

    monkeypatch.setattr("nephrite.stages.promote.decide", decide_late)
    trial.train(seed=3, dice=0.9)
    with pytest.raises(TrackingError, match=r"has another champion since this decision began \(version 1\); run 'prom"):
        trial.promote(load())
    assert versions() == {CHAMPION: 1, CHALLENGER: 2}


def test_run_on_other_patients_is_not_promoted(trial: Trial, load: Load) -> None:
    for seed, dice, patients in ((1, 0.5, 8), (2, 0.8, 9)):
        trial.train(seed=seed, dice=dice, patients=patients)
        decision = trial.promote(load())
    assert versions()[CHAMPION] == 1
    assert "other test patients" in decision["reason"]


def test_same_weights_get_no_second_version(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.5)
    decisions = [trial.promote(load()) for _ in range(2)]
    assert [(entry["decision"], entry["version"]) for entry in decisions] == [("champion", 1), ("unchanged", 1)]


def test_version_says_what_it_wants_to_see(trial: Trial, load: Load, record: str) -> None:
    trial.train(seed=1, dice=0.5)
    trial.promote(load("prepare.in_plane={kind: resize, size: 96}", "evaluate.mirroring=true"))
    made = card(0.6)
    expected = Recipe(made.classes, made.channels, made.intensity, made.in_plane, made.threshold, mirroring=True)
    assert read_recipe(Registry(MODEL).required(CHAMPION).tags[RECIPE], "here") == expected

    MlflowClient(record).delete_model_version_tag(MODEL, "1", RECIPE)  # as versions were before
    trial.promote(load("evaluate.mirroring=true"))
    assert read_recipe(Registry(MODEL).required(CHAMPION).tags[RECIPE], "here") == expected


def test_record_keeps_every_decision_about_a_version(trial: Trial, load: Load) -> None:
    for seed, dice in ((1, 0.5), (1, 0.5), (2, 0.6)):
        trial.train(seed=seed, dice=dice)
        decision = trial.promote(load())
    registry = Registry(MODEL)
    first = registry.with_weights(decision["champion"]["weights"])
    assert first
    assert [entry["decision"] for entry in registry.record(first)] == ["champion", "unchanged", "replaced by version 2"]
    assert len([key for key in first.tags if key.startswith("decision.")]) == 3


def test_champion_that_was_set_by_hand_is_left_alone(trial: Trial, load: Load, record: str) -> None:
    client = MlflowClient(record)
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(trial.paths["report"].parent))
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    trial.train(seed=1, dice=0.9)
    assert "no record of its scores" in trial.promote(load())["reason"]
    assert versions() == {CHAMPION: 1, CHALLENGER: 2}


def test_segmenter_that_was_trained_again_after_the_report_is_refused(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.5, validation=0.7)
    with pytest.raises(
        StoreError, match=r"trial\.json: is of real\+geometric/light/1.0/0 with validation score 0\.600000"
    ):
        trial.promote(load())
    assert versions() == {CHAMPION: None, CHALLENGER: None}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"best_run": {}}, r"trial\.json: best_run\.training_set: Field required; run 'report' again"),
        ({"version": 1}, r"trial\.json: has version 1, not 4 \(or 2, 3\); run 'report' again"),
    ],
)
def test_report_that_is_broken_or_of_another_version_is_refused(
    trial: Trial, load: Load, change: dict[str, Any], found: str
) -> None:
    trial.train(seed=1, dice=0.5)
    path = trial.paths["report"] / "trial.json"
    write_json(path, read_json(path) | change)
    with pytest.raises(StoreError, match=found):
        trial.promote(load())


def test_report_of_version_2_is_promoted(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.5)
    path = trial.paths["report"] / "trial.json"
    content = read_json(path) | {"version": 2}
    for arm in content["arms"]:
        del arm["dice_by_cell"]
    write_json(path, content)
    assert trial.promote(load())["decision"] == "champion"


def test_run_of_promote_shows_decision_and_metrics(trial: Trial, load: Load, record: str) -> None:
    trial.train(seed=1, dice=0.5)
    with open_run(load(), "promote") as run:
        metrics = promote(load(), run, **trial.paths)
    tags = MlflowClient(record).get_run(str(run.id)).data.tags
    assert (tags["nephrite.decision"], tags["nephrite.model_version"]) == ("champion", "1")
    assert metrics == {"model_version": 1.0, "champion": 1.0, "tumor_dice": pytest.approx(0.535)}


@pytest.fixture
def finished(record: str, tmp_path: Path) -> dict[str, Path]:
    """A whole trial with its slices, as `promote` is given it."""
    layout = write_trial(tmp_path / "trial")
    paths = {"report": layout.report, "segmenters": layout.segmenters, "pairs": layout.pairs}
    return paths | {"promotion": tmp_path / "decision.json"}


def promoted(load: Load, finished: dict[str, Path], *overrides: str) -> dict[str, Any]:
    """What `promote` keeps of its decision."""
    promote(load(*SMALL_TRIAL, "promote.floor=0", *overrides), SilentRun(), **finished)
    kept: dict[str, Any] = read_json(finished["promotion"])
    return kept


def flatter(finished: dict[str, Path], load: Load, gain: float) -> None:
    """Write better scores for all arms, hash them again, and judge them: what digests cannot see."""
    root, config = finished["report"].parent, load(*SMALL_TRIAL)
    for path in (root / "scores").rglob("*.json"):
        content = read_json(path)
        for patient in content["patients"]:
            region = patient["regions"]["tumor"]
            region["dice"] = min(region["dice"] + gain, 1.0)
        write_json(path, sealed(content))
    paths = {"synthetic": root / "data" / "synthetic", "scores": root / "scores", "report": finished["report"]}
    report(config, SilentRun(), pairs=finished["pairs"], **paths)


def test_a_champion_is_scored_again_from_its_weights(load: Load, finished: dict[str, Path]) -> None:
    kept = promoted(load, finished)
    assert kept["decision"] == "champion"
    assert kept["rescored"]["pairs"] == PairStore(finished["pairs"]).manifest.digest
    assert kept["rescored"]["largest_difference"] == pytest.approx(0, abs=1e-6)
    assert sealed(kept) == kept


def test_scores_that_were_edited_and_hashed_again_make_no_champion(load: Load, finished: dict[str, Path]) -> None:
    flatter(finished, load, gain=0.3)
    with pytest.raises(StoreError, match=r"says Dice 0\.\d+ of 'c1', and the weights of \S+ score 0\.\d+ .*run 'eval"):
        promoted(load, finished)
    assert versions() == {CHAMPION: None, CHALLENGER: None}
    assert not finished["promotion"].exists()


def test_the_tolerance_is_that_of_the_settings(load: Load, finished: dict[str, Path]) -> None:
    flatter(finished, load, gain=0.02)
    with pytest.raises(StoreError, match=r"promote\.tolerance 0\.019"):
        promoted(load, finished, "promote.tolerance=0.019")
    kept = promoted(load, finished, "promote.tolerance=0.021")
    assert kept["rescored"]["largest_difference"] == pytest.approx(0.02)


def test_without_rescoring_the_report_is_believed(load: Load, finished: dict[str, Path]) -> None:
    flatter(finished, load, gain=0.3)
    kept = promoted(load, finished, "promote.rescore=false")
    assert (kept["decision"], kept["rescored"]) == ("champion", None)


def test_without_slices_at_hand_it_is_said_that_nothing_is_scored_again(
    load: Load, finished: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    del finished["pairs"]
    assert promoted(load, finished)["rescored"] is None
    assert "is not scored again, since no '--pairs' is given" in caplog.text


def test_a_challenger_is_not_scored_again(load: Load, finished: dict[str, Path]) -> None:
    kept = promoted(load, finished, "promote.floor=1")
    assert (kept["decision"], kept["rescored"]) == ("challenger", None)


def test_other_slices_are_refused(load: Load, finished: dict[str, Path]) -> None:
    finish(finished["pairs"], "real", SPLITS | {"a1": "test"})
    with pytest.raises(StoreError, match=r"are not the slices that the segmenter of .* was trained and scored on"):
        promoted(load, finished)


@pytest.mark.parametrize("name", ["trial.json", "report.md"])
def test_an_edited_report_makes_no_champion(load: Load, finished: dict[str, Path], name: str) -> None:
    path = finished["report"] / name
    path.write_text(path.read_text().replace("0", "1"))
    with pytest.raises(StoreError, match=rf"{name}: was changed: .*; run 'report' again"):
        promoted(load, finished)
    assert versions() == {CHAMPION: None, CHALLENGER: None}


def test_another_segmenter_than_the_one_that_was_scored_is_refused(load: Load, finished: dict[str, Path]) -> None:
    for path in finished["segmenters"].rglob("segmenter.json"):
        write_json(path, sealed(read_json(path) | {"seconds": 2.0}))
    with pytest.raises(StoreError, match="is not the segmenter that was scored; run 'evaluate' and 'report' again"):
        promoted(load, finished)


def test_weights_with_a_flipped_bit_are_refused(load: Load, finished: dict[str, Path]) -> None:
    for path in finished["segmenters"].rglob(WEIGHTS):
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
    with pytest.raises(StoreError, match=rf"{WEIGHTS}: was changed: .*; run 'train_segmenter' again"):
        promoted(load, finished)


OWN = ("acquire.source=folder", "acquire.folder.path=/scans")  # test patients who are met, not made


def test_each_comparison_with_the_champion_is_a_look(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.5)
    first = trial.promote(load(*OWN))
    assert (first["decision"], first["rules"]["look"]) == ("champion", None)
    for number, seed in enumerate((2, 3), start=1):
        trial.train(seed=seed, dice=0.5)
        with open_run(load(*OWN), "promote") as run:
            promote(load(*OWN), run, **trial.paths)
        written = read_json(trial.paths["promotion"])
        assert written["rules"] == {
            "floor": 0.1,
            "confidence": pytest.approx(1 - 0.05 / (number * (number + 1))),
            "look": number,
        }
        assert f"(look {number})" in written["reason"]
    with open_run(load(*OWN), "promote") as run:
        promote(load(*OWN), run, **trial.paths)
    assert read_json(trial.paths["promotion"])["rules"]["look"] == 2


def say_judged_on(trial: Trial, split: str) -> None:
    """Let the report be one of another split."""
    path = trial.paths["report"] / "trial.json"
    content = read_json(path)
    content["plan"]["judged_on"] = split
    write_json(path, content)


def test_a_report_on_a_confirmation_set_is_promoted(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.9)
    say_judged_on(trial, "confirmation")
    written = trial.promote(load("trial.judged_on=confirmation"))
    assert (written["decision"], written["version"]) == ("champion", 1)


def test_a_report_for_development_is_never_promoted(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.9)
    say_judged_on(trial, "validation")
    written = trial.promote(load())
    assert (written["decision"], written["version"]) == ("not promoted", 0)
    assert "trial.judged_on: validation" in written["reason"]
    assert versions() == {CHAMPION: None, CHALLENGER: None}
    assert [output.problems for output in verify(trial.paths["promotion"])] == [()]


def test_what_is_no_graph_is_registered_as_its_folder(
    trial: Trial, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.train(seed=1, dice=0.9)
    monkeypatch.setattr(UNetBackend, "exported", lambda backend, trained, size: None)
    written = trial.promote(load())
    assert (written["decision"], written["version"]) == ("champion", 1)
    kept = Registry(MODEL).required(CHAMPION)
    assert kept.tags["folder"] == load_segmenter(trial.paths["segmenters"] / str(ARM)).card.digest


def test_nothing_that_learned_from_unverifiable_data_is_registered(trial: Trial, load: Load) -> None:
    trial.train(seed=1, dice=0.9)
    doubtful = replace(card(0.6), unverifiable=("maisi",))
    write_card(trial.paths["segmenters"] / str(ARM), doubtful, [])
    written = trial.promote(load())
    assert (written["decision"], written["version"]) == ("not promoted", 0)
    assert "learned from synthetic data of unverifiable provenance (maisi)" in written["reason"]
    assert versions() == {CHAMPION: None, CHALLENGER: None}
