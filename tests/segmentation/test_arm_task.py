from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.recording import SilentRun
from nephrite.segmentation.arm_inputs import open_stores
from nephrite.segmentation.arm_task import arm_task, free_additions, synthetic_additions
from nephrite.segmentation.fit_task import FitTask

Load = Callable[..., Config]
SETS = "trial.training_sets.real=[real, real+geometric, real+null]"


def task_of(load: Load, pairs: Path, tmp_path: Path, arm: str) -> FitTask:
    config = load(SETS, "trial.cells=[0, 1]", f"arm={arm}")
    return arm_task(config, open_stores(config, pairs), [], folder=tmp_path, run=SilentRun(), text="arm")


def test_arms_of_a_cell_share_their_seeds_and_an_a_a_arm_and_another_cell_do_not(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    real, moved, null, other = (
        task_of(load, pairs, tmp_path, arm)
        for arm in ("real/light/1.0/0", "real+geometric/light/1.0/0", "real+null/light/1.0/0", "real/light/1.0/1")
    )
    assert (real.weights_seed, real.order_seed) == (moved.weights_seed, moved.order_seed)
    assert real.training.patients == moved.training.patients == null.training.patients
    for task in (null, other):
        assert not {real.weights_seed, real.order_seed} & {task.weights_seed, task.order_seed}
    assert real.weights_seed != real.order_seed


def test_what_is_learned_follows_from_the_settings(load: Load, pairs: Path, tmp_path: Path) -> None:
    task = task_of(load, pairs, tmp_path, "real+geometric/light/1.0/0")
    assert (task.augmentation, task.lesions, task.done, task.unsure) == ("geometric", None, None, False)
    assert [*task.validation.patients] == ["b1", "b2"]
    config = load(SETS, "arm=real/light/1.0/0")
    inputs = open_stores(config, pairs)
    assert synthetic_additions(config, inputs) == free_additions(config, inputs) == []
    with pytest.raises(StoreError, match="has no slices in the split 'train'"):
        arm_task(config, inputs._replace(labeled=["c1"]), [], folder=tmp_path, run=SilentRun(), text="arm")
