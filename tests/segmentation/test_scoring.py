from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.scoring import part_mask, region_mask, score_arm
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore


def test_region_is_the_union_of_its_channels() -> None:
    masks = np.array([[[[True, False, False]], [[False, True, False]]]])
    channels = {"kidney": (1,), "tumor": (2,)}
    assert region_mask(masks, channels, (1, 2)).tolist() == [[[True, True, False]]]
    assert region_mask(masks, channels, (2,)).tolist() == [[[False, True, False]]]


@pytest.mark.parametrize(("mirroring", "passes"), [(False, 1), (True, 4)])
def test_an_arm_is_scored_by_its_windows_and_as_often_mirrored_as_is_asked_for(
    load: Callable[..., Config], pairs: Path, tmp_path: Path, mirroring: bool, passes: int
) -> None:
    learned = ("train_segmenter.window=20", "train_segmenter.weights=best", "trial.label_fractions=[0.5]")
    config = load("arm=real/light/0.5/0", *learned, f"evaluate.mirroring={str(mirroring).lower()}")
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    segmenter, sizes = load_segmenter(tmp_path / "s"), list[tuple[int, ...]]()
    assert isinstance(segmenter.trained, TrainedNetwork)
    segmenter.trained.network.register_forward_hook(lambda _, given, __: sizes.append(tuple(given[0].shape)))
    scores = score_arm(config, PairStore(pairs), segmenter)
    assert {size[-2:] for size in sizes} == {(20, 20)}
    assert sum(size[0] for size in sizes) == passes * 2 * 6 * 9  # test patients, slices, windows of 32 pixels by 20
    assert (scores.training_patients, scores.choosing_patients) == (2, 1)


def test_a_part_is_found_where_any_channel_shows_it() -> None:
    masks = np.array([[[[True, False, False]], [[False, True, False]]]])
    channels = {"kidney": (1, 2), "vessel": (3,)}
    assert part_mask(masks, channels, (2,)).tolist() == [[[True, False, False]]]
    assert part_mask(masks, channels, (2, 3)).tolist() == [[[True, True, False]]]
