from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nephrite.config import PercentileSettings, ResampleSettings, ResizeSettings, WindowSettings
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.sources import Scan, open_scan
from nephrite.imaging.volume import ScanVolume
from nephrite.predicting.look import Seen, doubts, read_again, shown_slices, write_overlays

WINDOW = WindowSettings(kind="window", center=0, width=400)
SHAPE = (6, 40, 40)


def recipe(in_plane: ResampleSettings | ResizeSettings) -> Recipe:
    return Recipe({1: "kidney", 2: "tumor"}, {"kidney": (1, 2), "tumor": (2,)}, WINDOW, in_plane, 0.5)


def scan(folder: Path, values: np.ndarray, pixel: float = 1.0) -> ScanVolume:
    """A scan with axes I, P, L."""
    affine = np.array([[0, 0, -pixel, 0], [0, -pixel, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(values, affine), folder / "p.nii")
    return open_scan(Scan("p", "nifti", folder / "p.nii"))


def noise(low: int = -300, high: int = 300) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, SHAPE).astype(np.int16)


def square(first: int = 15, last: int = 25) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, first:last, 15:25] = 1
    return mask


def told(volume: ScanVolume, mask: np.ndarray, known: Recipe, *, measured: bool = True) -> list[str]:
    seen = read_again(volume, known.intensity, [])
    return [*doubts(volume, mask, seen, known, trained_on=False, measured=measured)]


def test_the_middle_of_each_structure_is_shown_the_largest_first() -> None:
    mask = square()
    mask[5, :2, :2] = 2
    assert shown_slices(mask, 3) == [2, 5]
    assert shown_slices(mask, 1) == [2]
    assert shown_slices(mask, 0) == []
    assert shown_slices(np.zeros(SHAPE, np.uint8), 3) == [3]


def test_outlines_lie_on_the_slice_in_its_window(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.int16)
    values[2] = 100
    seen = read_again(scan(tmp_path, values), WINDOW, [2])
    write_overlays(tmp_path, square(), seen, WINDOW)
    picture = np.asarray(Image.open(tmp_path / "slice-0003.png").convert("RGB")).astype(int)
    times = picture.shape[0] // 40
    assert picture[20 * times, 20 * times].tolist() == pytest.approx([191] * 3, abs=2)  # 100 HU in -200 to 200
    edge = picture[15 * times, 20 * times]
    assert edge.max() - edge.min() > 50
    assert [path.name for path in tmp_path.glob("*.png")] == ["slice-0003.png"]


def test_a_window_by_percentiles_is_drawn_and_tells_nothing_of_intensities(tmp_path: Path) -> None:
    settings = PercentileSettings(kind="percentile", low=1, high=99)
    seen = read_again(scan(tmp_path, noise(0, 5000)), settings, [0])
    write_overlays(tmp_path, square(), seen, settings)
    picture = np.asarray(Image.open(tmp_path / "slice-0001.png").convert("L"))
    assert (seen.inside, seen.spread) == (None, None)
    assert int(picture.min()) == 0
    assert int(picture.max()) >= 250  # of 64 colors


@pytest.mark.parametrize(
    ("pixel", "size", "told_of"),
    [
        (1.0, 40, []),
        (1.0, 81, ["its slices measure 40 x 40 mm, and the model sees 81 x 81 mm"]),
        (1.0, 19, ["its slices measure 40 x 40 mm, and the model sees 19 x 19 mm"]),
        (2.1, 84, ["its pixels measure 2.10 x 2.10 mm, and the model learned on 1.00 mm"]),
    ],
)
def test_a_scan_of_another_size_is_told(tmp_path: Path, pixel: float, size: int, told_of: list[str]) -> None:
    known = recipe(ResampleSettings(kind="resample", spacing=1.0, size=size))
    volume, nothing = scan(tmp_path, noise(), pixel), np.zeros(SHAPE, np.uint8)
    assert told(volume, nothing, known) == told_of
    assert told(volume, nothing, known, measured=False) == []
    assert told(volume, nothing, recipe(ResizeSettings(kind="resize", size=16))) == []


@pytest.mark.parametrize(("first", "last", "cut"), [(15, 25, False), (5, 25, True), (15, 35, True)])
def test_a_structure_that_the_view_cuts_is_told(tmp_path: Path, first: int, last: int, cut: bool) -> None:
    """Of 40 rows the middle 30 are seen."""
    known = recipe(ResampleSettings(kind="resample", spacing=1.0, size=30))
    found = told(scan(tmp_path, noise()), square(first, last), known)
    expected = "kidney reaches the edge of what the model sees (30 mm): more may lie beyond it"
    assert found == ([expected] if cut else [])


@pytest.mark.parametrize(
    ("low", "high", "told_of"),
    [
        (-1000, 1000, None),
        (0, 2, "its intensities span 0.2% of the model's window (-200 to 200)"),
        (1000, 3000, "only 0.0% of its voxels lie within the model's window of intensities (-200 to 200)"),
    ],
)
def test_intensities_that_the_window_does_not_fit_are_told(
    tmp_path: Path, low: int, high: int, told_of: str | None
) -> None:
    found = told(scan(tmp_path, noise(low, high)), square(), recipe(ResizeSettings(kind="resize", size=16)))
    assert found == ([f"{told_of}: is it of another modality or unit?"] if told_of else [])


def test_a_patient_of_the_training_is_told(tmp_path: Path) -> None:
    known, volume = recipe(ResizeSettings(kind="resize", size=16)), scan(tmp_path, noise())
    (one,) = doubts(volume, square(), Seen({}), known, trained_on=True, measured=True)
    assert one.startswith("the model learned from this patient")


@pytest.mark.parametrize(
    ("low", "high", "told_of"),
    [
        (1.6, 10.0, False),  # 300 voxels of 5 mm3 are 1.5 ml
        (3.1, 10.0, True),
        (0.0, 0.8, False),
        (0.0, 0.7, True),
    ],
)
def test_a_volume_far_from_those_of_the_training_is_told(
    tmp_path: Path, low: float, high: float, told_of: bool
) -> None:
    plain = recipe(ResizeSettings(kind="resize", size=16))
    known = replace(plain, volumes={"kidney": (1000 * low, 1000 * high)})
    expected = f"1.5 ml of kidney, and the patients that the model learned from had {low:.1f} to {high:.1f}"
    volume = scan(tmp_path, noise())
    assert told(volume, square(), known) == ([expected] if told_of else [])
    assert told(volume, square(), known, measured=False) == []


def test_a_class_that_is_missing_is_told_where_every_patient_of_the_training_had_it(tmp_path: Path) -> None:
    known = replace(recipe(ResizeSettings(kind="resize", size=16)), volumes={"kidney": (9e4, 2e5), "tumor": (0.0, 5e4)})
    (one,) = told(scan(tmp_path, noise()), np.zeros(SHAPE, np.uint8), known)
    assert one == "0.0 ml of kidney, and the patients that the model learned from had 90.0 to 200.0"
