from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Arm, Config
from nephrite.errors import ConfigError, StoreError, TrialError
from nephrite.files import read_json, write_json
from nephrite.jobs import begin, end, plan_chains
from nephrite.layout import Layout
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.pilots import FILE, Source, choices, kept_pilots, pilot_settings, run_pilots
from tests.conftest import CAPSTONE, REFERENCE, SMALL

SOURCE = Source(CAPSTONE, (*SMALL, "trial.segmenters=[light]"))
EPOCHS = "train_segmenter.epochs=[3, 6]"
SECONDS = {"acquire": 7.0, "prepare": 3.0, "train_gan": 2.0, "synthesize": 1.0, "screen": 1.0, "train_segmenter": 10.0}


class Trials:
    """Stand-in for whole trials: scores that spread by what epochs there are, and marks of how long jobs took."""

    def __init__(self) -> None:
        self.ran: list[Config] = []
        self.resumed: set[str] = set()

    def __call__(self, config: Config, folder: Path, *, processes: int) -> Path:
        assert processes == 2
        self.ran.append(config)
        layout, generator = Layout(folder), np.random.default_rng(len(self.ran))
        for chain in plan_chains(config, layout):
            for job in chain.jobs:
                begin(job, folder)
                end(job, folder, None if job.name in self.resumed else SECONDS.get(job.stage, 5.0))
        for arm in config.trial.arms:
            write_json(layout.score(arm), _scores(arm, generator, 0.3 / config.train_segmenter.epochs).to_json())
        return layout.report


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    """The stand-in, in the place of `run_trial`."""
    trials = Trials()
    monkeypatch.setattr("nephrite.pilots.run_trial", trials)
    return trials


def _scores(arm: Arm, generator: np.random.Generator, spread: float) -> ArmScores:
    reference = arm.training_set == REFERENCE
    patients = tuple(
        PatientScore(
            f"v{number}",
            {name: RegionScore(float(value), float(value), 5.0, 10.0, 9.0) for name in ("kidney_and_tumor", "tumor")},
            SliceScores(6, 60.0, 58.0, {"kidney": 0.5}, {"kidney": 4}),
        )
        for number, value in enumerate(np.clip(0.5 + generator.normal(0, spread, 20), 0, 1))
    )
    return ArmScores(arm, patients, 0.7 if reference else 0.1, steps=3, seconds=1.0, training_patients=3)


def test_choices_are_all_combinations_of_what_is_tried() -> None:
    found = choices([EPOCHS, "train_segmenter.batch_size=[4]"])
    assert found == [
        ("train_segmenter.epochs=3", "train_segmenter.batch_size=4"),
        ("train_segmenter.epochs=6", "train_segmenter.batch_size=4"),
    ]
    assert choices(["prepare.in_plane=[{kind: resize, size: 64}]"]) == [
        ('prepare.in_plane={"kind": "resize", "size": 64}',)
    ]


@pytest.mark.parametrize(
    "tried", ["train_segmenter.epochs", "train_segmenter.epochs=3", "=[3]", "trial.seed=[]", "a=["]
)
def test_what_lists_no_values_is_refused_in_one_line(tried: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choices([tried])
    assert str(caught.value).startswith(f"--try {tried}")
    assert "\n" not in str(caught.value)


def test_a_pilot_is_the_question_alone_on_validation_patients() -> None:
    more = ("trial.label_fractions=[0.4, 1.0]", "trial.questions=[{metric: surface_dice}]")
    trial = SOURCE.load(*more, *pilot_settings(SOURCE.load(*more), 4)).trial
    assert trial.judged_on == "validation"
    assert trial.training_sets.all == (REFERENCE, "real+synthetic+geometric")
    assert (trial.question, trial.questions) == (("real+synthetic+geometric", REFERENCE), ())
    assert (trial.label_fractions, trial.cells, trial.synthesizers) == ((0.4,), (0, 1, 2, 3), ("pix2pix",))


def test_a_trial_without_a_question_has_no_pilot(trials: Trials, tmp_path: Path) -> None:
    alone = ("trial.training_sets={real: [real, real+geometric], synthetic: []}", "trial.synthesizers=[]")
    with pytest.raises(TrialError, match="asks no question"):
        run_pilots(Source(CAPSTONE, (*SOURCE.overrides, *alone)), [EPOCHS], tmp_path, processes=2, cells=3)
    assert not trials.ran


def test_a_pilot_tells_spread_time_and_how_good_the_reference_is(trials: Trials, tmp_path: Path) -> None:
    short, long = run_pilots(SOURCE, [EPOCHS], tmp_path, processes=2, cells=3)
    assert [config.train_segmenter.epochs for config in trials.ran] == [3, 6]
    # once: acquire and prepare; in each cell: a painter, two trainings, two evaluations
    assert (short.first_seconds, short.cell_seconds) == (10.0, 2 + 1 + 1 + 2 * (10 + 5))
    assert short.reference == pytest.approx(0.7)
    assert short.cells == 3
    assert short.estimated.residual == pytest.approx(2 * long.estimated.residual, rel=0.3)
    assert short.largest.between_cells > short.estimated.between_cells


def test_what_was_run_is_not_run_again_and_holds_while_settings_do(trials: Trials, tmp_path: Path) -> None:
    first = run_pilots(SOURCE, [EPOCHS], tmp_path, processes=2, cells=3)
    assert run_pilots(SOURCE, [EPOCHS], tmp_path, processes=2, cells=3) == first
    assert len(trials.ran) == 2
    assert kept_pilots(SOURCE, tmp_path) == first
    other = Source(CAPSTONE, (*SOURCE.overrides, "train_segmenter.learning_rate=0.5"))
    assert kept_pilots(other, tmp_path) == []
    run_pilots(SOURCE, ["train_segmenter.epochs=[3, 9]"], tmp_path, processes=2, cells=3)
    assert [config.train_segmenter.epochs for config in trials.ran] == [3, 6, 9]
    assert len(kept_pilots(SOURCE, tmp_path)) == 3


def test_every_choice_is_checked_before_the_first_runs(trials: Trials, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="epochs"):
        run_pilots(SOURCE, ["train_segmenter.epochs=[3, -1]"], tmp_path, processes=2, cells=3)
    assert not trials.ran


def test_a_job_that_was_stopped_on_the_way_counts_as_others_of_its_stage(trials: Trials, tmp_path: Path) -> None:
    trials.resumed = {f"train_segmenter {REFERENCE}/light/1.0/1"}
    [pilot] = run_pilots(SOURCE, ["train_segmenter.epochs=[3]"], tmp_path, processes=2, cells=3)
    assert pilot.cell_seconds == 34.0
    trials.resumed = {"prepare"}
    with pytest.raises(StoreError, match="does not say how long 'prepare' takes"):
        run_pilots(SOURCE, ["train_segmenter.epochs=[4]"], tmp_path, processes=2, cells=3)


def test_a_broken_file_of_pilots_is_named(trials: Trials, tmp_path: Path) -> None:
    run_pilots(SOURCE, ["train_segmenter.epochs=[3]"], tmp_path, processes=2, cells=3)
    content = read_json(tmp_path / FILE)
    content["pilots"][0]["cells"] = "many"
    write_json(tmp_path / FILE, content)
    with pytest.raises(StoreError, match=r"pilots\.json: .*cells.*run 'plan' with '--try' again"):
        kept_pilots(SOURCE, tmp_path)
