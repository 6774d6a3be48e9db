from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import LabelValueError
from nephrite.imaging.label_maps.region_volume import RegionVolume
from nephrite.imaging.label_maps.translating import translated_blocks
from nephrite.imaging.nifti import open_kits

CLASSES = {1: "kidney", 2: "tumor"}


def label_map(folder: Path, theirs: dict[int, int]) -> np.ndarray:
    volume = open_kits(folder / "imaging.nii.gz", folder / "segmentation.nii.gz")
    return np.concatenate([block for _, block in translated_blocks(volume, 2, CLASSES, theirs)])


@pytest.fixture
def case(write_kits_case: Callable[..., None], tmp_path: Path) -> Path:
    """Three values in three slices."""
    label = np.zeros((3, 40, 48), np.uint8)
    label[0], label[1], label[2] = 7, 5, 9
    write_kits_case(tmp_path / "case", 3, image=np.arange(label.size, dtype=np.int16).reshape(label.shape), label=label)
    return tmp_path / "case"


def test_their_values_become_ours_and_some_background(case: Path) -> None:
    found = label_map(case, {7: 1, 5: 2, 9: 0})
    assert [np.unique(plane).tolist() for plane in found] == [[1], [2], [0]]


def test_a_value_that_is_not_named_is_refused_with_the_setting_that_names_it(case: Path) -> None:
    told = (
        r"segmentation.nii.gz: values \{9\} are not among the classes \{7: kidney, 5: background\}; name them in 'acq"
    )
    with pytest.raises(LabelValueError, match=told):
        label_map(case, {7: 1, 5: 0})


class Named(RegionVolume):
    """One slice of our class 2, by its name in a label object."""

    def __init__(self) -> None:
        pass

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, np.ndarray]]:
        """The slice."""
        yield slice(0, 1), np.full((1, 2, 2), 2, np.uint8)


def test_regions_that_have_names_keep_our_values() -> None:
    ((_, block),) = translated_blocks(Named(), 2, CLASSES, {2: 1})
    assert (block == 2).all()
