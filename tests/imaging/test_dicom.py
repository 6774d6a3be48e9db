from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from nephrite.errors import SourceError, VolumeError
from nephrite.imaging.dicom import open_dicom_scan, open_moai, read_intensity
from nephrite.imaging.series import read_series

WriteSlice = Callable[..., Path]
KIDNEY = {1: "kidney"}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "label"
    folder.mkdir()
    return folder


def save_label(labels: Path, name: str, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(labels / name)


def numbered(offset: int = 0) -> np.ndarray:
    return (np.arange(48).reshape(6, 8) + offset).astype(np.uint16)


def intensity(tmp_path: Path) -> np.ndarray:
    return read_intensity(read_series(tmp_path / "ct").images[0])


def test_case_is_hounsfield_units_from_superior_to_inferior(
    write_slice: WriteSlice, labels: Path, tmp_path: Path
) -> None:
    for number, z in enumerate((10.0, 30.0, 20.0)):
        write_slice(f"{number}.dcm", z, numbered(100 * number), RescaleSlope=2)
        save_label(labels, f"{number}.png", np.full((6, 8), number == 1))
    volume = open_moai(tmp_path / "ct", labels)
    image = np.concatenate([block for _, block in volume.image_blocks(2)])
    assert (volume.spacing, volume.shape, volume.orientation) == ((10.0, 0.5, 0.75), (3, 6, 8), "IPL")
    assert np.array_equal(image, np.stack([numbered(100 * number) * 2.0 - 1024 for number in (1, 2, 0)]))
    assert [block[:, 0, 0].tolist() for _, block in volume.label_blocks(2, KIDNEY)] == [[1, 0], [0]]
    assert [path.name for path in volume.sources["label"]] == ["1.png", "2.png", "0.png"]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ([-1, 0, 0, 0, 1, 0], numbered()[:, ::-1]),
        ([1, 0, 0, 0, -1, 0], numbered()[::-1]),
        ([0, 1, 0, 1, 0, 0], numbered().T),
    ],
)
def test_image_and_label_are_turned_to_posterior_and_left(
    write_slice: WriteSlice, labels: Path, tmp_path: Path, orientation: list[int], expected: np.ndarray
) -> None:
    write_slice("0.dcm", 0.0, numbered(), ImageOrientationPatient=orientation)
    save_label(labels, "0.png", numbered() % 2)
    volume = open_moai(tmp_path / "ct", labels)
    assert volume.shape == (1, *expected.shape)
    assert volume.spacing[1:] == ((0.5, 0.75) if expected.shape == (6, 8) else (0.75, 0.5))
    assert np.array_equal(next(volume.image_blocks(1))[1][0] + 1024, expected)
    assert np.array_equal(next(volume.label_blocks(1, KIDNEY))[1][0], expected % 2)


@pytest.mark.parametrize(("slope", "dtype"), [(1, np.int16), (0.5, np.float32)])
def test_whole_rescale_gives_int16(
    write_slice: WriteSlice, labels: Path, tmp_path: Path, slope: float, dtype: type[np.generic]
) -> None:
    write_slice("0.dcm", 0.0, numbered(2001), RescaleSlope=slope)
    save_label(labels, "0.png", np.zeros((6, 8)))
    block = next(open_moai(tmp_path / "ct", labels).image_blocks(1))[1]
    assert block.dtype == dtype
    assert block[0, 0, 0] == 2001 * slope - 1024


@pytest.mark.parametrize("padding", [{"PixelPaddingValue": -2000}, {}, {"PixelPaddingValue": -30, "limit": 60}])
def test_padding_is_air(write_slice: WriteSlice, tmp_path: Path, padding: dict[str, int]) -> None:
    pixels = numbered().astype(np.int16) + 1000
    pixels[0], pixels[1] = -2000, 50
    limit = {"PixelPaddingRangeLimit": padding["limit"]} if "limit" in padding else {}
    elements = {"PixelPaddingValue": padding["PixelPaddingValue"]} if padding else {}
    write_slice("0.dcm", 0.0, pixels, **elements, **limit)
    values = intensity(tmp_path)
    assert (values[0] == -1024).all()
    assert (values[1] == (-1024 if limit else 50 - 1024)).all()
    assert np.array_equal(values[2:], pixels[2:] - 1024.0)


def test_high_padding_value_is_air_too(write_slice: WriteSlice, tmp_path: Path) -> None:
    pixels = numbered()
    pixels[0] = 63536
    write_slice("0.dcm", 0.0, pixels, PixelPaddingValue=63536)
    assert (intensity(tmp_path)[0] == -1024).all()


def test_padding_value_written_with_the_wrong_sign_is_air(write_slice: WriteSlice, tmp_path: Path) -> None:
    pixels = numbered().astype(np.int16)
    pixels[0] = -2000
    path = write_slice("0.dcm", 0.0, pixels, RescaleIntercept=2000)
    header = dcmread(path)
    header.add_new("PixelPaddingValue", "US", 63536)  # -2000 as an unsigned number
    header.save_as(path)
    assert (intensity(tmp_path)[0] == -1024).all()


def test_mr_without_rescale_keeps_its_intensities(write_slice: WriteSlice, tmp_path: Path) -> None:
    mr: dict[str, Any] = {"SOPClassUID": MRImageStorage, "Modality": "MR"}
    write_slice("0.dcm", 0.0, numbered(), RescaleSlope=None, RescaleIntercept=None, **mr)
    assert np.array_equal(intensity(tmp_path), numbered())


def test_label_of_another_size_is_refused(write_slice: WriteSlice, labels: Path, tmp_path: Path) -> None:
    write_slice("0.dcm", 0.0)
    save_label(labels, "0.png", np.zeros((8, 6)))
    with pytest.raises(VolumeError, match=r"0\.png: size \(8, 6\) differs from the image's \(6, 8\) \(0\.dcm\)"):
        open_moai(tmp_path / "ct", labels)


def test_missing_label_is_refused(write_slice: WriteSlice, labels: Path, tmp_path: Path) -> None:
    write_slice("0.dcm", 0.0)
    with pytest.raises(SourceError, match="0 PNG labels for 1 images"):
        open_moai(tmp_path / "ct", labels)


def test_truncated_pixels_name_the_file(write_slice: WriteSlice, tmp_path: Path) -> None:
    path = write_slice("0.dcm", 0.0)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(VolumeError, match=r"0\.dcm: pixel data are missing, truncated or damaged"):
        intensity(tmp_path)


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, 1, 0], [0, 1, 0, 1, 0, 0]])
def test_scan_without_labels_has_the_grid_of_the_series(
    write_slice: WriteSlice, tmp_path: Path, orientation: list[float]
) -> None:
    for number, z in enumerate((10.0, 30.0, 20.0)):
        write_slice(f"{number}.dcm", z, numbered(100 * number), ImageOrientationPatient=orientation)
    scan = open_dicom_scan(tmp_path / "ct")
    affine = scan.header.get_best_affine()
    for number, image in enumerate(scan.series.images):
        along = 2 - number if affine[2, 2] > 0 else number
        for column, row in ((0, 0), (7, 5)):  # C.7.6.2.1.1, equation C.7.6.2.1-1
            shift = image.directions[0] * 0.75 * column + image.directions[1] * 0.5 * row
            lps = affine @ [column, row, along, 1] * [-1, -1, 1, 1]
            assert lps[:3] == pytest.approx(image.position + shift)
    assert scan.header.get_data_shape() == (8, 6, 3)
    assert set(scan.sources) == {"image"}


def test_spacing_and_the_grid_of_masks_have_one_slice_distance(write_slice: WriteSlice, tmp_path: Path) -> None:
    for number, z in enumerate((0.0, 2.4, 5.0, 7.6)):
        write_slice(f"{number}.dcm", z)
    scan = open_dicom_scan(tmp_path / "ct")
    assert scan.spacing[0] == pytest.approx(7.6 / 3, abs=1e-6)
    assert abs(scan.header.get_best_affine()[2, 2]) == pytest.approx(scan.spacing[0], abs=1e-6)
