from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.files import KEPT_STEPS, PARTIAL, write_json
from nephrite.jobs import Job, begin, end, is_done, kept_steps, plan_chains, seconds_of
from nephrite.layout import Layout


@pytest.fixture
def training(load: Callable[..., Config], tmp_path: Path) -> Job:
    """The first training of a segmenter."""
    jobs = [job for chain in plan_chains(load(), Layout(tmp_path)) for job in chain.jobs]
    return next(job for job in jobs if job.stage == "train_segmenter")


def keep(job: Job, steps: object, *below: str) -> None:
    """Write what stands beside a checkpoint."""
    folder = job.output.with_name(job.output.name + PARTIAL).joinpath(*below)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / KEPT_STEPS, {"steps": steps})


def test_a_job_is_done_once_its_end_is_marked_and_its_output_is_there(training: Job, tmp_path: Path) -> None:
    begin(training, tmp_path)
    training.output.mkdir(parents=True)
    assert not is_done(training, tmp_path)
    assert seconds_of(training, tmp_path) is None
    end(training, tmp_path, 2.5)
    assert is_done(training, tmp_path)
    assert seconds_of(training, tmp_path) == 2.5
    end(training, tmp_path, None)
    assert is_done(training, tmp_path)
    assert seconds_of(training, tmp_path) is None
    training.output.rmdir()
    assert not is_done(training, tmp_path)


def test_what_checkpoints_hold_counts_for_a_job_that_was_begun_with_these_settings(
    training: Job, load: Callable[..., Config], tmp_path: Path
) -> None:
    keep(training, 140)
    keep(training, 60, "teacher")
    assert kept_steps(training, tmp_path) == 0
    begin(training, tmp_path)
    assert kept_steps(training, tmp_path) == 200
    other = load("train_segmenter.learning_rate=0.5")
    changed = [job for chain in plan_chains(other, Layout(tmp_path)) for job in chain.jobs if job.name == training.name]
    assert kept_steps(changed[0], tmp_path) == 0


def test_a_damaged_count_is_named(training: Job, tmp_path: Path) -> None:
    begin(training, tmp_path)
    keep(training, "many")
    with pytest.raises(StoreError, match=f"{KEPT_STEPS}: steps"):
        kept_steps(training, tmp_path)
