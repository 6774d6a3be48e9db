from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float32

from nephrite.files import read_json
from nephrite.imaging.nifti import open_kits
from nephrite.programs.case_folders import Case, Wanted, distinct_names, image_path, write_cases
from nephrite.segmentation.backend import StoredScan
from nephrite.store.slices import PairStore
from tests.conftest import CHANNELS

WANTED = Wanted(CHANNELS)


def test_a_case_is_read_back_with_its_grid_and_its_labels(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    label = np.asarray(store.label("a1"))
    assert write_cases(tmp_path, [Case("a1", StoredScan(store, "a1"), label)], WANTED) == ["a1"]
    volume = open_kits(tmp_path / "imagesTr" / "a1_0000.nii.gz", tmp_path / "labelsTr" / "a1.nii.gz")
    assert (volume.spacing, volume.shape, volume.unit_given) == (store.patient("a1").spacing, (6, 32, 32), True)
    ((_, image),) = volume.image_blocks(64)
    assert np.array_equal(image, np.clip(store.image("a1"), -200, 200))
    ((_, found),) = volume.label_blocks(64, {1: "kidney", 2: "tumor"})
    assert np.array_equal(found, label)


def test_intensities_end_at_the_window(pairs: Path, tmp_path: Path) -> None:
    scan = Made(np.array([[[0.0, 0.25, 1.0]]], np.float32), (-100.0, 300.0))
    write_cases(tmp_path, [Case("a", scan)], WANTED)
    path = image_path(tmp_path, "a", labeled=False)
    assert nib.Nifti1Image.from_filename(path).get_fdata().ravel().tolist() == [-100, 0, 300]
    assert path.parent.name == "imagesTs"
    assert not (tmp_path / "labelsTr").exists()


def test_intensities_between_zero_and_one_are_not_rounded_away(tmp_path: Path) -> None:
    scan = Made(np.array([[[0.0, 0.12345, 1.0]]], np.float32), (0.0, 0.5))
    write_cases(tmp_path, [Case("a", scan)], WANTED)
    assert nib.Nifti1Image.from_filename(image_path(tmp_path, "a", labeled=False)).get_fdata().ravel()[
        1
    ] == pytest.approx(0.061725)


@dataclass(frozen=True)
class Made:
    """A scan that is made of numbers."""

    values: Float32[np.ndarray, "slice height width"]
    intensity_window: tuple[float, float]
    patient: str = "a"
    spacing: tuple[float, float, float] = (3.0, 1.0, 0.5)
    channel_names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        slices, height, width = self.values.shape
        return slices, height, width

    @property
    def channels(self) -> list[Made]:
        return [replace(self, values=self.values + shift) for shift in range(len(self.channel_names))] or [self]

    def windowed(self, part: range) -> Float32[np.ndarray, "slice height width"]:
        return self.values[part.start : part.stop]


def test_columns_run_to_the_left_rows_to_the_back_slices_down(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 4), np.float32)
    values[1, 2, 3] = 1
    write_cases(tmp_path, [Case("a", Made(values, (0.0, 1.0)))], WANTED)
    image = nib.Nifti1Image.from_filename(image_path(tmp_path, "a", labeled=False))
    assert nib.orientations.aff2axcodes(image.affine) == ("L", "P", "I")
    assert np.argwhere(image.get_fdata()).tolist() == [[3, 2, 1]]
    assert image.header.get_zooms() == (0.5, 1.0, 3.0)


def test_dataset_json_says_what_nnunet_asks_and_what_it_does_not(pairs: Path, tmp_path: Path) -> None:
    store = PairStore(pairs)
    cases = [Case(name, StoredScan(store, name), np.asarray(store.label(name))) for name in ("a1", "a2")]
    write_cases(tmp_path, cases, Wanted(CHANNELS, facts={"region": (2,)}))
    assert read_json(tmp_path / "dataset.json") == {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "kidney": 1, "tumor": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
        "nephrite": {
            "windows": {"a1": [-200.0, 200.0], "a2": [-200.0, 200.0]},
            "channels": {"kidney": [1], "tumor": [2]},
            "region": [2],
        },
    }


def test_channels_that_overlap_are_regions_the_widest_first(tmp_path: Path) -> None:
    write_cases(tmp_path, [], Wanted({"tumor": (2,), "kidney": (1, 2)}, ignored=True, image="MR"))
    content = read_json(tmp_path / "dataset.json")
    assert list(content["labels"].items()) == [("background", 0), ("kidney", [1, 2]), ("tumor", [2]), ("ignore", 255)]
    assert (content["regions_class_order"], content["channel_names"]) == ([1, 2], {"0": "MR"})


@pytest.mark.parametrize(("ignored", "kept"), [(True, [0, 1, 0, 255]), (False, [0, 1, 0, 0])])
def test_what_no_channel_shows_is_background(tmp_path: Path, ignored: bool, kept: list[int]) -> None:
    label = np.array([[[0, 1, 3, 255]]], np.uint8)
    case = Case("a", Made(np.zeros((1, 1, 4), np.float32), (0.0, 1.0)), label)
    write_cases(tmp_path, [case], Wanted({"kidney": (1,)}, ignored=ignored))
    assert nib.Nifti1Image.from_filename(tmp_path / "labelsTr" / "a.nii.gz").get_fdata().ravel().tolist() == kept


def test_several_scans_of_a_patient_have_names_of_their_own() -> None:
    assert distinct_names(["a", "b", "a", "c"]) == ["a.1", "b", "a.2", "c"]


def test_each_channel_is_a_file_and_dataset_json_names_them(tmp_path: Path) -> None:
    scan = Made(np.array([[[0.0, 1.0]]], np.float32), (0.0, 10.0), channel_names=("T2", "ADC"))
    write_cases(tmp_path, [Case("a", scan)], WANTED)
    files = sorted((tmp_path / "imagesTs").iterdir())
    assert files == [image_path(tmp_path, "a", labeled=False, channel=number) for number in (0, 1)]
    found = [nib.Nifti1Image.from_filename(path).get_fdata().ravel().tolist() for path in files]
    assert found == [[0, 10], [10, 20]]
    told = read_json(tmp_path / "dataset.json")
    assert told["channel_names"] == {"0": "T2", "1": "ADC"}
    assert told["nephrite"]["windows"] == {"a": [[0.0, 10.0], [0.0, 10.0]]}
