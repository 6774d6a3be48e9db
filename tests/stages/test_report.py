from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from nephrite.config import Arm, Config
from nephrite.errors import StoreError, TrialError
from nephrite.evaluation.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.evaluation.summary import trial_schema
from nephrite.files import write_json
from nephrite.recording import SilentRun
from nephrite.stages.report import report

Load = Callable[..., Config]
SMALL_TRIAL = ("trial.segmenters=[light]", "trial.cells=[0]")


def scores_of(arm: Arm, dice: float) -> ArmScores:
    """Eight test patients around a mean Dice."""
    slices = SliceScores(6, 60.0, 58.0, {"kidney": 0.5, "tumor": None}, {"kidney": 4, "tumor": 0})
    patients = tuple(
        PatientScore(f"c{number}", dict.fromkeys(("kidney_and_tumor", "tumor"), region(dice + number / 100)), slices)
        for number in range(8)
    )
    history = ({"step": 3, "train_loss": 0.9, "validation_loss": 0.9, "validation_dice": dice, "learning_rate": 0.1},)
    return ArmScores(arm, patients, dice, steps=3, seconds=1.0, training_patients=3, history=history)


def region(dice: float) -> RegionScore:
    return RegionScore(dice, dice, 5.0, truth_volume=10.0, predicted_volume=9.0)


@pytest.fixture
def config(load: Load) -> Config:
    return load(*SMALL_TRIAL)


@pytest.fixture
def scores(config: Config, tmp_path: Path) -> Path:
    for number, arm in enumerate(config.trial.arms):
        write_json(tmp_path / "scores" / f"{arm}.json", scores_of(arm, 0.3 + number / 10).to_json())
    return tmp_path / "scores"


def reported(config: Config, scores: Path, pairs: Path, synthetic: Path | None) -> Path:
    target = scores.parent / "reports"
    report(config, SilentRun(), pairs=pairs, synthetic=synthetic, scores=scores, report=target)
    return target


def test_trial_json_follows_its_schema(config: Config, scores: Path, pairs: Path, synthetic: Path) -> None:
    content = json.loads((reported(config, scores, pairs, synthetic) / "trial.json").read_text())
    jsonschema.validate(content, trial_schema())
    assert content["answer"]["mean"] == pytest.approx(0.2)
    assert content["answer"]["verdict"] == "not enough runs"


def test_every_picture_that_the_report_shows_exists(config: Config, scores: Path, pairs: Path, synthetic: Path) -> None:
    folder = reported(config, scores, pairs, synthetic)
    text = (folder / "report.md").read_text()
    pictures = sorted(path.name for path in (folder / "figures").iterdir())
    assert pictures == ["differences.png", "examples.png", "learning.png", "patients.png"]
    assert all(f"figures/{name}" in text for name in pictures)


def test_the_summary_says_verdict_and_what_to_open(config: Config, scores: Path, pairs: Path, synthetic: Path) -> None:
    text = (reported(config, scores, pairs, synthetic) / "summary.txt").read_text()
    assert "Not enough runs" in text
    assert "report.md" in text


def test_without_synthetic_slices_there_is_no_example_sheet(config: Config, scores: Path, pairs: Path) -> None:
    folder = reported(config, scores, pairs, None)
    assert not (folder / "figures" / "examples.png").exists()


def test_a_missing_arm_is_named_and_nothing_is_written(config: Config, scores: Path, pairs: Path) -> None:
    (scores / "real" / "light" / "0.json").unlink()
    with pytest.raises(StoreError, match=r"real/light/0.json: is missing"):
        reported(config, scores, pairs, None)
    assert not (scores.parent / "reports").exists()


def test_scores_of_other_arms_are_left_aside_with_a_word(
    config: Config, scores: Path, pairs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (scores / "real" / "old").mkdir()
    (scores / "real" / "old" / "0.json").write_text("{}")
    reported(config, scores, pairs, None)
    assert "1 score files of arms that the settings do not name" in caplog.text


def test_arms_with_other_test_patients_make_no_trial(config: Config, scores: Path, pairs: Path) -> None:
    arm = config.trial.arms[0]
    odd = scores_of(arm, 0.5)
    write_json(scores / f"{arm}.json", replace(odd, patients=odd.patients[1:]).to_json())
    with pytest.raises(TrialError, match="do not share test patients"):
        reported(config, scores, pairs, None)
