from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.generation.fitting import steps_per_epoch
from nephrite.jobs import plan_chains
from nephrite.layout import Layout
from nephrite.pace import Pace, painter_steps, progress_text, step_text
from nephrite.progress import Share
from nephrite.stages.train_gan import look
from nephrite.store.slices import PairStore

Load = Callable[..., Config]
SETTINGS = (
    "trial.segmenters=[light]",
    "trial.cells=[0]",
    "train_segmenter.epochs=10",
    "train_segmenter.steps_per_epoch=10",
)
ONE = (
    *("trial.training_sets.real=[real, real+geometric]", "trial.training_sets.synthetic=[]", "trial.synthesizers=[]"),
    *("trial.reference=real", "trial.question=null"),
)


class Clock:
    """Seconds, as they are set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(load: Load, tmp_path: Path, clock: Clock) -> Pace:
    """Two arms, without painters: 200 steps; data are there."""
    return Pace(plan_chains(load(*SETTINGS, *ONE), Layout(tmp_path)), {"acquire", "prepare"}, tmp_path, clock)


def train(pace: Pace, clock: Clock, name: str, *told: tuple[float, float]) -> None:
    """Let a job begin, and tell shares of it at their times."""
    pace.tell(Share(name, 0, 0.0))
    for now, share in told:
        clock.now = now
        pace.tell(Share(name, 1, share))


REAL, MOVED = "train_segmenter real/light/1.0/0", "train_segmenter real+geometric/light/1.0/0"


def test_nothing_is_guessed_before_a_training_has_shown_its_pace(pace: Pace, clock: Clock) -> None:
    assert progress_text(pace, 2) == ("step 0 of 200", "time left: not known yet")
    train(pace, clock, REAL, (5.0, 0.0), (6.0, 0.5))
    assert progress_text(pace, 2) == ("step 50 of 200", "time left: not known yet")  # one second says nothing yet


def test_the_time_that_is_left_is_at_least_that_of_what_is_known(pace: Pace, clock: Clock) -> None:
    train(pace, clock, REAL, (5.0, 0.0), (55.0, 0.5))
    assert progress_text(pace, 2) == ("step 50 of 200", "at least 50 seconds left")
    train(pace, clock, MOVED, (60.0, 0.0), (80.0, 0.1))
    assert progress_text(pace, 2) == ("step 60 of 200", "about 3.0 minutes left")  # the slower one decides
    assert progress_text(pace, 1)[1] == "about 3.8 minutes left"


def test_a_resumed_training_is_not_taken_to_be_quick(pace: Pace, clock: Clock) -> None:
    train(pace, clock, REAL, (5.0, 0.8), (15.0, 0.9))
    seconds, known = pace.left(2)
    assert (round(seconds), known) == (10, False)


def test_the_bar_moves_with_every_step_and_never_back(pace: Pace, clock: Clock) -> None:
    shares = [pace.share]
    for job in (REAL, MOVED):
        train(pace, clock, job, (clock.now + 1, 0.0))
        for tenth in range(1, 11):
            pace.tell(Share(job, 1, tenth / 10))
            shares.append(pace.share)
    assert shares == sorted(shares)
    assert len({*shares}) == len(shares)
    assert 0.8 < shares[-1] < 1


def test_the_next_job_of_a_chain_says_that_those_before_have_ended(pace: Pace, clock: Clock) -> None:
    train(pace, clock, REAL, (2.0, 0.0), (100.0, 0.99))
    clock.now = 102.0
    pace.tell(Share(REAL.replace("train_segmenter", "evaluate"), 0, 0.0))
    assert pace.works[REAL].done
    assert pace.works[REAL].seconds == pytest.approx(102.0)
    assert pace.steps == (100, 200, True)


def test_a_trial_that_has_ended_is_whole(pace: Pace) -> None:
    for chain in pace.chains:
        pace.end(chain)
    assert (pace.share, pace.steps, pace.left(2)) == (1.0, (200, 200, True), (0.0, True))


def test_a_teacher_and_a_student_are_two_trainings_of_one_job(load: Load, tmp_path: Path) -> None:
    sets = "trial.training_sets.real=[real, real+standard+self_training]"
    config = load(*SETTINGS, *ONE[1:], sets)
    pace = Pace(plan_chains(config, Layout(tmp_path)), (), tmp_path)
    work = pace.works["train_segmenter real+standard+self_training/light/1.0/0"]
    assert (work.steps, work.bars) == (200, 2)
    pace.tell(Share(work.job.name, 1, 1.0))
    assert work.share == 0.5
    pace.tell(Share(work.job.name, 2, 0.5))
    assert work.share == 0.75


def test_steps_of_painters_are_known_once_slices_are_there(load: Load, tmp_path: Path, pairs: Path) -> None:
    config = load(*SETTINGS)
    pace = Pace(plan_chains(config, Layout(tmp_path)), {"acquire"}, pairs)
    known = pace.steps[1]
    assert step_text(pace) == f"step 0 of at least {known:,}"
    pace.end(pace.chains[0])
    (painter,) = config.trial.painters
    assert pace.steps == (0, known + painter_steps(config, painter, PairStore(pairs)), True)


SCANS = ("train_gan.pix2pix.unlabeled=true", "train_gan.pix2pix.condition=anatomy")


@pytest.mark.parametrize("more", [(), SCANS], ids=["labeled", "unlabeled"])
def test_steps_of_a_painter_are_those_of_its_training(load: Load, pairs: Path, more: tuple[str, ...]) -> None:
    settings = ("trial.label_fractions=[0.5]", "train_gan.pix2pix.epochs=3", *more)
    config = load(*settings)
    painter, store = config.trial.painters[0], PairStore(pairs)
    one = config.model_copy(update={"painter": painter})
    settings_of = config.train_gan["pix2pix"]
    expected = 3 * steps_per_epoch(settings_of, look(one, store).pairs())
    assert painter_steps(config, painter, store) == expected
