from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from nephrite.config import Arm, Config
from nephrite.errors import StoreError, TrialError
from nephrite.files import write_json
from nephrite.look_ledger import few_cells
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores, read_scores
from nephrite.recording import SilentRun
from nephrite.report.trial_file import read_trial, trial_schema
from nephrite.stages.report import question_digest, report, trial_plan
from nephrite.store.slices import PairStore, Patient, write_patient
from nephrite.verdict.looks import placed, read_looks
from tests.conftest import SPLITS, finish, hash_again, write_pair

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
def pairs(tmp_path: Path) -> Path:
    """A store whose test patients are those that are scored."""
    splits = {name: split for name, split in SPLITS.items() if split != "test"}
    splits |= {f"c{number}": "test" for number in range(8)}
    for number, patient in enumerate(splits):
        write_pair(tmp_path / "pairs", Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), number)
    finish(tmp_path / "pairs", "real", splits)
    return tmp_path / "pairs"


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
    path = reported(config, scores, pairs, synthetic) / "trial.json"
    content = json.loads(path.read_text())
    jsonschema.validate(content, trial_schema())
    assert read_trial(path).model_dump(mode="json") == content
    assert content["answer"]["mean"] == pytest.approx(0.2)
    assert content["answer"]["verdict"] == "not enough runs"


THREE = ("trial.segmenters=[light]", "trial.cells=[0, 1, 2]")


def noisy(config: Config, folder: Path, persons: Mapping[str, str] | None = None, *, scans: int = 1) -> Path:
    """Scores that differ by set and patient, and little by cell; further scans of a patient score the same."""
    for number, arm in enumerate(config.trial.arms):
        scores = scores_of(arm, 0.3)
        base = np.random.default_rng(len(arm.training_set)).uniform(0.2, 0.8, len(scores.patients))
        dice = base + np.random.default_rng(number).normal(0, 0.01, len(base))
        patients = [
            replace(each, regions=dict.fromkeys(each.regions, region(float(value))))
            for each, value in zip(scores.patients, dice, strict=True)
        ]
        found = [
            replace(each, patient=name, person=(persons or {}).get(name))
            for each in patients
            for name in [each.patient, f"{each.patient}_2"][:scans]
        ]
        write_json(folder / f"{arm}.json", replace(scores, patients=tuple(found)).to_json())
    return folder


def test_second_scans_of_all_test_patients_do_not_narrow_the_interval(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, known = load(*THREE), [f"c{number}" for number in range(8)]
    single = read_trial(reported(config, noisy(config, tmp_path / "1" / "scores"), pairs, None) / "trial.json")
    # the same patients with two scans each: as patients of their own, then by a table
    splits = {**PairStore(pairs).splits} | {f"{name}_2": "test" for name in known}
    for number, name in enumerate(known):
        write_pair(pairs, Patient(f"{name}_2", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), 50 + number)
    persons = {scan: scan[:2] for scan in splits if scan.startswith("c")}
    folders = {}
    for kind, table in (("twice", None), ("owned", persons)):
        finish(pairs, "real", dict(splits), table)
        folders[kind] = reported(config, noisy(config, tmp_path / kind / "scores", table, scans=2), pairs, None)
    twice, owned = (read_trial(folder / "trial.json") for folder in folders.values())
    assert owned.patients == single.patients == tuple(known)
    assert owned.comparisons == single.comparisons
    assert owned.answer == single.answer
    assert owned.best_run
    assert single.best_run
    assert owned.best_run.dice_by_patient == single.best_run.dice_by_patient
    errors = [(trial.answer.mean - (trial.answer.low or 0)) for trial in (twice, single) if trial.answer]
    assert errors[0] < 0.8 * errors[1]
    note = "16 scans of 8 test patients: a patient's scans are averaged, and intervals take patients as the sample"
    assert note in " ".join((folders["owned"] / "summary.txt").read_text().split())
    assert "scans are averaged" not in (folders["twice"] / "summary.txt").read_text()


def test_every_picture_that_the_report_shows_exists(config: Config, scores: Path, pairs: Path, synthetic: Path) -> None:
    folder = reported(config, scores, pairs, synthetic)
    text = (folder / "report.md").read_text()
    pictures = sorted(path.name for path in (folder / "figures").iterdir())
    assert pictures == ["differences.png", "examples.png", "learning.png", "patients.png"]
    assert all(f"figures/{name}" in text for name in pictures)


def test_the_summary_says_verdict_and_what_to_open(config: Config, scores: Path, pairs: Path, synthetic: Path) -> None:
    text = (reported(config, scores, pairs, synthetic) / "summary.txt").read_text()
    assert "Not enough runs" in text
    assert "report.html" in text


def test_without_synthetic_slices_there_is_no_example_sheet(config: Config, scores: Path, pairs: Path) -> None:
    folder = reported(config, scores, pairs, None)
    assert not (folder / "figures" / "examples.png").exists()


def test_a_class_that_no_training_patient_has_is_noted(config: Config, scores: Path, pairs: Path) -> None:
    splits = PairStore(pairs).splits
    for name in [name for name, split in splits.items() if split == "train"]:
        label = np.load(pairs / "patients" / name / "label.npy", mmap_mode="r+")
        label[label == 1] = 0
    finish(pairs, "real", dict(splits))
    text = (reported(config, scores, pairs, None) / "summary.txt").read_text()
    assert "No training patient has kidney in 1 of 1 pair of label fraction and cell" in text


def test_a_missing_arm_is_named_and_nothing_is_written(config: Config, scores: Path, pairs: Path) -> None:
    (scores / "real" / "light" / "1.0" / "0.json").unlink()
    with pytest.raises(StoreError, match=r"real/light/1.0/0.json: is missing"):
        reported(config, scores, pairs, None)
    assert not (scores.parent / "reports").exists()


WIDE = (
    *("trial.segmenters=[light]", "trial.cells=[0, 1, 2]", "trial.label_fractions=[0.25, 1.0]"),
    "trial.training_sets.real=[real, real+geometric, real+geometric+copy_paste]",
)


@pytest.fixture
def wide(load: Load, tmp_path: Path) -> Config:
    """Settings of a trial with two label fractions and a rival, whose scores lie in the same folder."""
    config = load(*WIDE)
    for number, arm in enumerate(config.trial.arms):
        found = scores_of(arm, 0.3 + 0.2 * arm.fraction + number / 200)
        write_json(
            tmp_path / "scores" / f"{arm}.json", replace(found, training_patients=round(12 * arm.fraction)).to_json()
        )
    return config


def test_label_fractions_and_rivals_get_charts_and_sections(wide: Config, pairs: Path, tmp_path: Path) -> None:
    folder = reported(wide, tmp_path / "scores", pairs, None)
    content, text = json.loads((folder / "trial.json").read_text()), (folder / "report.md").read_text()
    jsonschema.validate(content, trial_schema())
    assert content["plan"]["rivals"] == ["real+geometric+copy_paste"]
    assert [len(rows) for rows in content["arms"][0]["dice_by_cell"]["tumor"]] == [8, 8, 8]
    assert content["equivalence"][0]["start"] == 3
    assert all(f"figures/{path.name}" in text for path in (folder / "figures").iterdir())
    assert {"equivalence.png", "rivals.png"} <= {path.name for path in (folder / "figures").iterdir()}


def test_the_summary_stays_within_its_columns(wide: Config, pairs: Path, tmp_path: Path) -> None:
    lines = (reported(wide, tmp_path / "scores", pairs, None) / "summary.txt").read_text().splitlines()
    assert max(len(line) for line in lines if " /" not in line) <= 110  # paths are never cut
    assert sum(line.startswith("The question at ") for line in lines) == 2
    assert any(line.startswith("Best synthetic set by validation at 25%: ") for line in lines)


def test_a_declared_question_is_the_one_that_is_asked(load: Load, wide: Config) -> None:
    declared = load(*WIDE, "trial.question=[real+synthetic, real]")
    assert trial_plan(wide).question == ("real+synthetic+geometric", "real+geometric")
    assert trial_plan(declared).question == ("real+synthetic", "real")


def test_metrics_hold_the_difference_and_its_interval(wide: Config, pairs: Path, tmp_path: Path) -> None:
    target = tmp_path / "reports"
    metrics = report(wide, SilentRun(), pairs=pairs, scores=tmp_path / "scores", report=target)
    assert metrics["difference_low"] <= metrics["difference"] <= metrics["difference_high"]


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
    with pytest.raises(StoreError, match=r"0\.json: its patients are not those of the split 'test' of .*: c0; run"):
        reported(config, scores, pairs, None)


def test_synthetic_slices_that_should_show_scans_and_show_none_are_a_note(
    load: Load, scores: Path, pairs: Path, synthetic: Path
) -> None:
    def notes() -> list[str]:
        config = load(*SMALL_TRIAL, "synthesize.unlabeled=0.5")
        lines: list[str] = json.loads((reported(config, scores, pairs, synthetic) / "trial.json").read_text())["notes"]
        return [line for line in lines if "scan without labels" in line]

    (line,) = notes()
    assert line.startswith("In 1 of 1 sets of synthetic slices none shows a scan without labels: ")
    (meta,) = synthetic.glob("patients/*/meta.json")
    meta.write_text(meta.read_text().replace('"source_labels": true', '"source_labels": false'))
    hash_again(synthetic)
    assert notes() == []


def test_regions_that_vanished_or_shrank_on_the_grid_are_notes(config: Config, scores: Path, pairs: Path) -> None:
    for patient, volumes in (("c1", {"tumor": [90.0, 0.0]}), ("c2", {"kidney": [9000.0, 4000.0]}), ("a1", {})):
        meta = pairs / "patients" / patient / "meta.json"
        meta.write_text(json.dumps(json.loads(meta.read_text()) | {"volumes": volumes}))
    hash_again(pairs)
    notes = json.loads((reported(config, scores, pairs, None) / "trial.json").read_text())["notes"]
    assert "tumor vanished on the grid in 1 of 8 test patients: c1 (0.09 to 0 ml)." in notes
    assert "kidney shrank on the grid to less than half in 1 of 8 test patients: c2 (9 to 4 ml)." in notes
    assert "A region of a test patient that vanished on the grid counts as missed by every arm: Dice 0." in notes
    assert not any("training patient" in note and "on the grid" in note for note in notes)


def test_sets_that_screening_left_empty_are_a_note_and_all_of_them_the_headline(
    load: Load, scores: Path, pairs: Path, synthetic: Path
) -> None:
    config = load(*SMALL_TRIAL, "trial.cells=[0, 1]")
    for arm in config.trial.arms:
        write_json(scores / f"{arm}.json", scores_of(arm, 0.4).to_json())
    empty, filled = (scores.parent / "sets" / str(painter) for painter in config.trial.painters)
    empty.mkdir(parents=True)
    finish(empty, "synthetic", {})
    synthetic.rename(filled)
    folder = reported(config, scores, pairs, scores.parent / "sets")
    notes = json.loads((folder / "trial.json").read_text())["notes"]
    assert "Screening left 1 of 2 sets of synthetic slices empty: their arms learned from real slices alone." in notes
    assert (folder / "figures" / "examples.png").is_file()
    folder = reported(config, scores, pairs, empty)
    record = json.loads((folder / "trial.json").read_text())
    assert record["headline"].startswith("No answer: screening accepted no slice of any of 1 painter, so no arm has")
    assert (record["answer"], record["questions"], record["plan"]["synthetic"]) == (None, [], [])
    trained = {row["training_set"] for row in record["arms"]} | {row["training_set"] for row in record["comparisons"]}
    assert not trained & {fakes.name for fakes in config.trial.training_sets.synthetic}
    assert not any("ask whether it helps" in note for note in record["notes"])
    assert re.search(r">No answer</h1>\s*<p>screening accepted no slice", (folder / "report.html").read_text())
    assert not (folder / "figures" / "examples.png").exists()


OWN = ("acquire.source=folder", "acquire.folder.path=/scans")  # test patients who are met, not made


class TaggedRun(SilentRun):
    """A run that remembers its tags."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def tags(self, values: Mapping[str, str]) -> None:
        """Keep them."""
        self.seen |= values


def test_a_report_counts_its_look_and_says_what_it_costs(load: Load, scores: Path, pairs: Path) -> None:
    run, target = TaggedRun(), scores.parent / "reports"
    report(load(*SMALL_TRIAL, *OWN), run, pairs=pairs, scores=scores, report=target)
    found = read_trial(target / "trial.json")
    assert found.look is not None
    assert (found.look.number, found.look.confidence) == (1, 0.95)
    assert found.plan.confidence == pytest.approx(0.975)
    line = "Look 1 at these test patients: every interval is 97.5% instead of 95%."
    assert line in (target / "summary.txt").read_text()
    assert line in (target / "report.md").read_text()
    assert any("was begun with this look" in note for note in found.notes)
    captions = run.seen.pop("mlflow.note.content")
    assert "* `reports/figures/differences.png`: Differences to the reference, with intervals\n" in captions
    assert run.seen == {"judged_on": "test", "look": "1"}
    assert (pairs.parent / "looks.json").is_file()


def test_the_same_report_is_the_same_look_and_another_recipe_a_further_one(
    load: Load, scores: Path, pairs: Path
) -> None:
    first = read_trial(reported(load(*SMALL_TRIAL, *OWN), scores, pairs, None) / "trial.json")
    again = read_trial(reported(load(*SMALL_TRIAL, *OWN, "report.examples=2"), scores, pairs, None) / "trial.json")
    other = read_trial(
        reported(load(*SMALL_TRIAL, *OWN, "train_segmenter.epochs=9"), scores, pairs, None) / "trial.json"
    )
    assert first.look == again.look
    assert other.look is not None
    assert other.look.number == 2
    assert other.plan.confidence == pytest.approx(1 - 0.05 / 6)


def test_a_report_that_fails_takes_no_look(load: Load, scores: Path, pairs: Path) -> None:
    (scores / "real" / "light" / "1.0" / "0.json").unlink()
    with pytest.raises(StoreError, match="is missing"):
        reported(load(*SMALL_TRIAL, *OWN), scores, pairs, None)
    assert not (pairs.parent / "looks.json").exists()


def test_a_phantom_is_looked_at_for_free(config: Config, scores: Path, pairs: Path) -> None:
    found = read_trial(reported(config, scores, pairs, None) / "trial.json")
    assert (found.look, found.plan.confidence) == (None, 0.95)
    assert not (pairs.parent / "looks.json").exists()


def test_a_report_on_validation_patients_is_marked_and_counts_no_look(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, run = load(*SMALL_TRIAL, *OWN, "trial.judged_on=validation"), TaggedRun()
    for arm in config.trial.arms:
        whole = scores_of(arm, 0.4)
        kept = [replace(score, patient=name) for name, score in zip(("b1", "b2"), whole.patients, strict=False)]
        write_json(tmp_path / "scores" / f"{arm}.json", replace(whole, patients=tuple(kept)).to_json())
    target = tmp_path / "reports"
    report(config, run, pairs=pairs, scores=tmp_path / "scores", report=target)
    found = read_trial(target / "trial.json")
    assert found.headline.startswith("Development: Not enough runs")
    assert "over 2 validation patients" in found.headline
    assert (found.plan.judged_on, found.look, found.plan.confidence) == ("validation", None, 0.95)
    page = (target / "report.md").read_text()
    assert page.startswith("# Development: Not enough runs to say whether synthetic data helps\n")
    assert "these scores are optimistic" in page
    assert "test patient" not in page
    assert "Development: " in (target / "summary.txt").read_text()
    assert run.seen.keys() == {"judged_on", "mlflow.note.content"}
    assert run.seen["judged_on"] == "validation"
    assert not (pairs.parent / "looks.json").exists()


def test_a_confirmation_set_is_judged_at_the_price_of_a_first_look(load: Load, pairs: Path, tmp_path: Path) -> None:
    # test patients who are known by their files, and were looked at twice; others who were kept apart
    fresh = {f"k{number}": "confirmation" for number in range(8)}
    splits = {**PairStore(pairs).splits} | fresh
    for number, name in enumerate(fresh):
        write_pair(pairs, Patient(name, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), 70 + number)
    for name in splits:
        sources = {"image": sha256(name.encode()).hexdigest()}
        write_patient(pairs, Patient(name, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), sources=sources))
    finish(pairs, "real", splits)
    for epochs in (8, 9):
        config = load(*THREE, *OWN, f"train_segmenter.epochs={epochs}")
        reported(config, noisy(config, tmp_path / f"{epochs}" / "scores"), pairs, None)
    config = load(*THREE, *OWN, "trial.judged_on=confirmation")
    scores = noisy(config, tmp_path / "fresh" / "scores")
    for path in scores.rglob("*.json"):
        kept = ArmScores.from_json(json.loads(path.read_text()), path)
        renamed = tuple(replace(each, patient=each.patient.replace("c", "k")) for each in kept.patients)
        write_json(path, replace(kept, patients=renamed).to_json())
    folder = reported(config, scores, pairs, None)
    found = read_trial(folder / "trial.json")
    assert (found.plan.judged_on, found.patients) == ("confirmation", tuple(fresh))
    assert found.look is not None
    assert found.look.number == 1
    assert found.plan.confidence == pytest.approx(0.975)
    page = (folder / "report.md").read_text()
    assert "8 confirmation patients" in found.headline
    assert "Confirmation: judged on patients who were kept apart" in page
    assert "Look 1 at these confirmation patients" in page
    assert "Development" not in page
    # the ledger knows that the next look at the test patients is the third
    config = load(*THREE, *OWN, "train_segmenter.epochs=10")
    third = read_trial(reported(config, noisy(config, tmp_path / "10" / "scores"), pairs, None) / "trial.json")
    assert third.look is not None
    assert third.look.number == 3


@pytest.mark.parametrize(
    ("more", "said"),
    [((), True), (("trial.planned_cells=8",), False), (("trial.judged_on=validation",), False), (THREE, False)],
)
def test_a_look_that_can_give_no_verdict_is_said(load: Load, more: tuple[str, ...], said: bool) -> None:
    found = few_cells(load(*SMALL_TRIAL, *OWN, *more))
    assert (found is not None) == said
    if found:
        assert found.startswith("a look at test patients is spent on 1 cell, and a verdict needs 3: set 'trial.judged")
        assert "\n" not in found
    assert few_cells(load(*SMALL_TRIAL)) is None  # a phantom


def test_a_report_says_that_its_look_was_spent_on_too_few_cells(load: Load, scores: Path, pairs: Path) -> None:
    text = (reported(load(*SMALL_TRIAL, *OWN), scores, pairs, None) / "summary.txt").read_text()
    assert "A look at test patients is spent on 1 cell, and a verdict needs 3" in " ".join(text.split())


def test_the_report_counts_all_labels_that_arms_know(load: Load, scores: Path, pairs: Path) -> None:
    path = scores / "real" / "light" / "1.0" / "0.json"
    kept = ArmScores.from_json(json.loads(path.read_text()), path)
    write_json(path, replace(kept, masked_patients=111).to_json())
    text = (reported(load(*SMALL_TRIAL), scores, pairs, None) / "summary.txt").read_text()
    line = "at 100% of those of training: 3 labeled, none of validation, 111 with an ignore mask (real)."
    assert f"Patients whose labels are used in all, {line}" in " ".join(text.split())


def test_scores_of_test_patients_make_no_report_for_development(load: Load, scores: Path, pairs: Path) -> None:
    with pytest.raises(StoreError, match="are not those of the split 'validation'"):
        reported(load(*SMALL_TRIAL, "trial.judged_on=validation"), scores, pairs, None)


def test_the_question_does_not_change_with_its_cells_or_where_its_source_lies(load: Load) -> None:
    base = question_digest(load(*OWN), "data")
    for same in ("trial.cells=[0, 1]", "acquire.folder.path=/elsewhere", "report.confidence=0.9", "compute.devices=1"):
        assert question_digest(load(*OWN, same), "data") == base
    for other in ("trial.seed=99", "train_segmenter.epochs=9", "trial.planned_cells=5"):
        assert question_digest(load(*OWN, other), "data") != base
    assert question_digest(load(*OWN), "other data") != base


def test_cells_that_share_all_training_patients_speak_for_these(config: Config, scores: Path, pairs: Path) -> None:
    found = read_trial(reported(config, scores, pairs, None) / "trial.json")
    assert found.plan.overlap == {1.0: 1.0}
    assert "speak for these training patients only" in (scores.parent / "reports" / "report.md").read_text()


THERE = (*OWN, "trial.where=external", "acquire.external.path=/theirs")


@pytest.fixture
def both(pairs: Path) -> Path:
    """The store with twelve patients of another hospital beside the eight of test."""
    splits = dict(PairStore(pairs).splits) | {f"e{number:02}": "external" for number in range(12)}
    for number, patient in enumerate(name for name in splits if name.startswith("e")):
        write_pair(pairs, Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0)), 60 + number)
    finish(pairs, "real", splits)
    return pairs


def scores_there(config: Config, folder: Path, *, development: bool = False) -> Path:
    """Scores of all arms at home and elsewhere: synthetic slices gain 0.02 here and 0.1 there."""
    for arm in config.trial.arms:
        gain = "synthetic" in arm.training_set
        found = scores_of(arm, 0.4 + 0.02 * gain + arm.cell / 500)
        like = found.patients[0]
        external = tuple(
            replace(
                like,
                patient=f"e{number:02}",
                regions={"tumor": region(0.3 + 0.1 * gain + number / 100 + arm.cell / 500)},
                recall={"tumor": 0.5 + 0.1 * gain if number % 2 else None},
            )
            for number in range(12)
        )
        if development:
            two = tuple(replace(one, patient=name) for one, name in zip(found.patients, ("b1", "b2"), strict=False))
            found, external = replace(found, patients=two), ()
        write_json(folder / f"{arm}.json", replace(found, external=external).to_json())
    return folder


def test_another_hospital_is_judged_and_named_on_every_face(load: Load, both: Path, tmp_path: Path) -> None:
    recall = "trial.questions=[{metric: recall}, {metric: dice, against: real}]"
    config = load("trial.segmenters=[light]", "trial.cells=[0, 1, 2]", *THERE, recall)
    folder = reported(config, scores_there(config, tmp_path / "scores"), both, None)
    content = json.loads((folder / "trial.json").read_text())
    jsonschema.validate(content, trial_schema())
    found = read_trial(folder / "trial.json")
    assert found.answer is not None
    assert (found.answer.patients, found.answer.verdict) == (12, "helps")
    assert found.answer.mean == pytest.approx(0.1)
    asked = [(row.measure and (row.measure.metric, row.measure.where), row.patients) for row in found.questions]
    assert asked == [(("dice", "home"), 8), (("recall", "external"), 6), (None, 12)]  # the last by what decides
    assert found.questions[0].mean == pytest.approx(0.02)
    assert {row.measure.where for row in found.blind or ()} == {"external"}
    assert found.external == tuple(f"e{number:02}" for number in range(12))
    page, text = (folder / "report.md").read_text(), (folder / "summary.txt").read_text()
    for shown in (page, text):
        assert "on the external test set" in shown
        assert "Dice of tumor at home" in shown
    assert "better in 12 and worse in 0 of 12 external test patients" in page
    assert "Means over 8 patients and 3 cells, at home." in page
    assert "Means over 12 external test patients and 3 cells, on the external test set." in page


def test_a_report_on_two_sets_is_a_look_at_both(load: Load, both: Path, tmp_path: Path) -> None:
    config = load(*SMALL_TRIAL, *THERE)
    found = read_trial(reported(config, scores_there(config, tmp_path / "scores"), both, None) / "trial.json")
    assert found.look is not None
    assert found.look.number == 1
    (look,) = read_looks(both.parent / "looks.json") or []
    assert (len(look.patients), len(look.external)) == (8, 12)
    home = replace(look, asked="another", external=())
    assert [placed([look], other).number for other in (home, replace(home, patients=look.external))] == [2, 2]


def test_external_patients_of_a_phantom_trial_are_met_and_not_made(load: Load, both: Path, tmp_path: Path) -> None:
    config = load(*SMALL_TRIAL, "trial.where=external", "acquire.external.path=/theirs")
    reported(config, scores_there(config, tmp_path / "scores"), both, None)
    (look,) = read_looks(both.parent / "looks.json") or []
    assert (look.patients, len(look.external)) == ((), 12)


def test_for_development_the_headline_is_asked_of_validation_patients(load: Load, both: Path, tmp_path: Path) -> None:
    questions = "trial.questions=[{metric: recall}, {metric: dice, where: external, against: real}, {where: home}]"
    config = load(*SMALL_TRIAL, *THERE, "trial.judged_on=validation", questions)
    folder = reported(config, scores_there(config, tmp_path / "scores", development=True), both, None)
    found = read_trial(folder / "trial.json")
    assert (found.plan.where, found.external) == ("home", ())
    assert [row.measure for row in found.questions] == [None]  # at home, as the headline is here
    assert "over 2 validation patients" in found.headline
    assert any("The headline is declared for the external test set" in note for note in found.notes)
    assert any(note.startswith("2 further questions about the external test set left out") for note in found.notes)
    assert not (both.parent / "looks.json").exists()


def test_scores_of_other_external_patients_are_refused(load: Load, both: Path, tmp_path: Path) -> None:
    config = load(*SMALL_TRIAL, *THERE)
    folder, arm = scores_there(config, tmp_path / "scores"), config.trial.arms[0]
    kept = read_scores(folder / f"{arm}.json")
    write_json(folder / f"{arm}.json", replace(kept, external=kept.external[1:]).to_json())
    with pytest.raises(StoreError, match=r"0\.json: its external test patients are not those of .*: e00; run"):
        reported(config, folder, both, None)


def test_a_question_of_too_few_external_patients_is_refused_before_a_look(
    load: Load, both: Path, tmp_path: Path
) -> None:
    config = load(*SMALL_TRIAL, *THERE, "trial.questions=[{metric: recall, where: home}]")
    with pytest.raises(TrialError, match="recall of tumor was not scored"):
        reported(config, scores_there(config, tmp_path / "scores"), both, None)
    assert not (both.parent / "looks.json").exists()
