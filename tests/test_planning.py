from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.planning import Plan, make_plan, synthesizers_seconds, trainings_seconds
from nephrite.store.slices import PairStore
from nephrite.store.split import training_subset

Load = Callable[..., Config]
MakePlan = Callable[..., Plan]
CELLS = ("trial.cells=[0, 1, 2]", "trial.segmenters=[light]")


@pytest.fixture
def plan(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """Make a plan without timing anything: every training takes a minute."""
    monkeypatch.setattr("nephrite.planning.trainings_seconds", lambda config, arms, helpers: 60.0 * len(arms))
    monkeypatch.setattr("nephrite.planning.synthesizer_step_seconds", lambda config, name: 2.0)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})

    def make(*overrides: str, pairs: Path | None = None, processes: int = 2, **asked: Any) -> Plan:
        config = load("acquire.phantom.patients=60", *overrides)
        return make_plan(config, processes=processes, pairs=pairs or tmp_path / "none", **{"finished": None, **asked})

    return make


def test_trainings_filters_and_synthesizers_are_counted(plan: MakePlan) -> None:
    real = "trial.training_sets.real=[real, real+geometric, real+geometric+self_training]"
    found = plan(*CELLS, real, "trial.label_fractions=[0.2, 0.5]", "train_segmenter.epochs=3", "screen.filter=all")
    assert (found.kinds, found.cells, found.trainings) == ((5, 1, 2), 3, 30)
    assert (found.teachers, found.synthesizers, found.filters) == (0, 6, 0)
    assert found.steps == 30 * 9
    assert "arms             10 (5 training sets x 1 segmenter x 2 label fractions), each in 3 cells" in found.lines()
    assert "steps            270 of segmenters" in found.lines()


def test_a_teacher_is_counted_where_no_arm_is_its_training(plan: MakePlan) -> None:
    real = "trial.training_sets.real=[real, real+geometric, real+standard+self_training]"
    found = plan(*CELLS, real, "trial.label_fractions=[0.2]", "screen.filter=all")
    assert (found.trainings, found.teachers, found.steps) == (15, 3, 18 * 6)
    assert "trainings        15 segmenters, 3 teachers for self-training, 3 synthesizers" in found.lines()


def test_the_filters_of_screening_are_counted(plan: MakePlan) -> None:
    found = plan(*CELLS, "screen.filter=tests", "screen.steps=10")
    assert (found.trainings, found.filters, found.steps) == (12, 3, 12 * 6 + 3 * 10)
    assert "trainings        12 segmenters, 3 filters for screening, 3 synthesizers" in found.lines()


def test_the_labelers_of_scans_are_counted_where_there_are_scans_to_label(plan: MakePlan) -> None:
    labeler = "synthesize.labeler={segmenter: light, steps: 5}"
    found = plan(*CELLS, "screen.filter=all", labeler, "synthesize.unlabeled=0.5")
    assert (found.labelers, found.steps) == (3, 12 * 6 + 3 * 5)
    assert "trainings        12 segmenters, 3 labelers of scans, 3 synthesizers" in found.lines()
    assert plan(*CELLS, "screen.filter=all", labeler, "synthesize.unlabeled=0").labelers == 0


def test_processes_share_the_time_as_far_as_there_are_processors(plan: MakePlan) -> None:
    seconds = {processes: plan(*CELLS, processes=processes).seconds for processes in (1, 2, 8)}
    assert seconds == {1: 720, 2: 360, 8: 360}


def test_the_cells_that_fit_into_some_minutes_are_told_with_what_they_see(plan: MakePlan) -> None:
    # 12 trainings of a minute in 3 cells, two at a time, are 2 minutes a cell, and six tenths of what it takes
    found = plan(*CELLS, "screen.filter=all", minutes=21.0)
    assert found.cell_minutes == pytest.approx(2 / 0.6)
    assert found.outlook is not None
    assert found.outlook.smallest_effect is not None
    effect = found.outlook.effects[6] or 0.0
    assert 0 < effect < found.outlook.smallest_effect
    lines = found.lines()
    told = "in 21 minutes    6 cells, about 20 minutes with all else"
    row = lines.index(f"{told} but the synthesizers, which see {effect:.3f}")
    assert f"{told}, which see {effect:.3f}" in replace(found, synthesizer_seconds=0.0).lines()
    assert lines[row + 1].strip() == "--set 'trial.cells=[0, 1, 2, 3, 4, 5]'"
    few = plan(*CELLS, "screen.filter=all", minutes=5.0).lines()
    assert any("1 cell, and a verdict needs 3, which take about 10 minutes: fewer steps" in line for line in few)
    assert not [line for line in plan(*CELLS, "screen.filter=all").lines() if "minutes with all else" in line]


def test_the_time_of_synthesizers_is_known_once_slices_are(plan: MakePlan, pairs: Path) -> None:
    blank = " " * 17
    assert plan(*CELLS).synthesizer_seconds is None
    assert f"{blank}and that of the synthesizers, which is known after 'prepare'" in plan(*CELLS).lines()
    known = replace(plan(*CELLS), synthesizer_seconds=600.0).lines()
    assert f"{blank}and about 10 minutes for the synthesizers" in known
    none = plan(
        "trial.training_sets={real: [real, real+geometric], synthetic: []}", "trial.synthesizers=[]", pairs=pairs
    )
    assert none.synthesizer_seconds == 0
    assert not any("synthesizers" in line for line in none.lines())


def test_synthesizers_take_their_steps_on_the_slices_of_their_cell(
    load: Load, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nephrite.planning.synthesizer_step_seconds", lambda config, name: 2.0)
    store = PairStore(pairs)
    settings = ("train_gan.pix2pix.epochs=5", "train_gan.pix2pix.batch_size=4")

    def seconds(*overrides: str) -> float:
        return synthesizers_seconds(load(*settings, "trial.synthesizers=[pix2pix]", *overrides), store)

    everything = len(store.slices("train"))
    assert seconds("trial.cells=[0, 1, 2]") == 3 * 5 * math.ceil(everything / 4) * 2.0
    [patient] = training_subset(store.persons("train"), 0.34, cell=0, trial=load().trial)
    part = sum(ref.patient == patient for ref in store.slices("train"))
    few = ("trial.cells=[0]", "trial.label_fractions=[0.34]")
    assert 0 < part < everything
    assert seconds(*few) == 5 * math.ceil(part / 4) * 2.0
    scans = ("train_gan.pix2pix.condition=anatomy", "train_gan.pix2pix.unlabeled=true")
    assert seconds(*few, *scans) == 5 * math.ceil(everything / 4) * 2.0


def test_patients_are_counted_at_the_source_as_they_will_be_split(plan: MakePlan) -> None:
    found = plan("trial.label_fractions=[0.25, 1.0]")
    assert found.patients is not None
    assert sum(found.patients.values()) == 60
    assert found.fractions == {0.25: round(found.patients["train"] / 4), 1.0: found.patients["train"]}


def test_patients_of_a_prepared_store_are_taken_from_it(plan: MakePlan, pairs: Path) -> None:
    found = plan(pairs=pairs)
    assert found.patients == {"train": 3, "validation": 2, "test": 2, "confirmation": 0}
    assert "patients         3 for training (100%: 3), 2 for validation, 2 for test" in found.lines()


def test_patients_that_only_a_run_can_tell_are_said_to_be_unknown(plan: MakePlan) -> None:
    version = f"acquire.dvc={{remote: somewhere, version: {'0' * 32}.dir}}"
    found = plan("acquire.source=dvc", version)
    assert (found.patients, found.outlook) == (None, None)
    assert "patients         not known before 'prepare': the source does not say how many it has" in found.lines()
    assert "smallest effect  not known without the number of test patients" in found.lines()
    assert found.lines()[-1].startswith(
        "note             a look at test patients is spent on 1 cell, and a verdict needs 3"
    )


def test_a_fraction_without_patients_is_refused(plan: MakePlan) -> None:
    with pytest.raises(ConfigError, match=r"trial.label_fractions: 0.01 of \d+ training patients rounds to none"):
        plan("trial.label_fractions=[0.01, 1.0]")


def test_too_few_cells_can_show_nothing(plan: MakePlan) -> None:
    found = plan("trial.cells=[0, 1]")
    assert found.outlook is not None
    assert found.outlook.smallest_effect is None
    assert "smallest effect  none: a verdict needs 3 cells and 8 test patients" in found.lines()


def test_the_lines_are_a_table(plan: MakePlan) -> None:
    lines = plan(*CELLS).lines()
    assert {line[15:17] for line in lines} == {"  "}
    assert all(line[17] != " " and len(line) <= 110 for line in lines)
    assert any("not within 64 cells: more test patients are needed" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(50, "50 seconds"), (600, "10 minutes"), (7100, "118 minutes"), (7920, "2.2 hours"), (9e7, "1,042 days")],
)
def test_times_are_said_in_the_unit_that_fits(plan: MakePlan, seconds: float, text: str) -> None:
    assert any(line.startswith(f"time             about {text} ") for line in replace(plan(), seconds=seconds).lines())


def test_time_is_steps_times_what_a_step_of_each_arm_takes(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nephrite.planning.step_seconds", lambda config, name: {"light": 1.0, "fpn": 10.0}[name])
    monkeypatch.setattr(
        "nephrite.planning.augmentation_seconds",
        lambda config, augmentation: float(augmentation == "geometric"),
    )
    config = load(
        "trial.segmenters=[light, fpn]",
        "train_segmenter.epochs=2",
        "train_segmenter.steps_per_epoch=5",
        "screen={segmenter: fpn, steps: 7}",
    )
    trained = 10 * (4 * 1 + 4 * 10 + 2 * 2 * 1)
    assert trainings_seconds(config, config.trial.arms, helpers=[]) == trained
    assert trainings_seconds(config, config.trial.arms, helpers=[("fpn", 7)] * 3) == trained + 3 * 7 * 10


def test_external_patients_are_counted_apart(plan: MakePlan, kits_folder: Path, elsewhere: Path) -> None:
    for case in sorted(kits_folder.iterdir()):
        case.rename(case.with_name(f"other_{case.name}"))
    there = f"acquire.external.path={kits_folder}"
    (line,) = [line for line in plan(*CELLS, there).lines() if line.startswith("patients")]
    assert line.endswith("for test, 12 in the external test set")
    (line,) = [line for line in plan(*CELLS, pairs=elsewhere).lines() if line.startswith("patients")]
    assert line.endswith("for test, 3 in the external test set")
