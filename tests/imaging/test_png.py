from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.errors import LabelValueError, VolumeError
from nephrite.imaging.png import png_shape, read_png

LIVER = {1: "liver"}
TWO = {1: "kidney", 2: "tumor"}


def save(path: Path, values: np.ndarray, mode: str = "L") -> Path:
    image = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        image.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    (image.point(lambda value: 255 * (value > 0)).convert("1") if mode == "1" else image).save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "P"])
def test_gray_and_palette_values_are_class_indices(tmp_path: Path, mode: str) -> None:
    values = np.array([[0, 1, 2], [2, 1, 0]])
    path = save(tmp_path / "a.png", values, mode)
    assert png_shape(path) == (2, 3)
    assert np.array_equal(read_png(path, TWO), values)


def test_one_bit_mask_is_class_one(tmp_path: Path) -> None:
    assert read_png(save(tmp_path / "a.png", np.array([[0, 1]]), "1"), TWO).tolist() == [[0, 1]]


def test_white_mask_is_the_only_class(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[0, 255]]))
    assert read_png(path, LIVER).tolist() == [[0, 1]]
    with pytest.raises(LabelValueError, match=r"values \{255\}"):
        read_png(path, TWO)


def test_color_png_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(LabelValueError, match=r"a\.png: is a color image"):
        read_png(tmp_path / "a.png", TWO)


@pytest.mark.parametrize("kept", [0, 20, 60])
def test_truncated_png_is_refused(tmp_path: Path, kept: int) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 2, (40, 40)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(VolumeError, match=r"a\.png: is"):
        read_png(path, TWO)


def test_file_that_is_no_png_has_no_shape(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(VolumeError, match="empty or not a PNG"):
        png_shape(tmp_path / "a.png")
