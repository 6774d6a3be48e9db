from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.errors import LabelValueError, SourceError, VolumeError
from nephrite.imaging.png import pair_labels, png_shape, read_png

LIVER = {1: "liver"}
TWO = {1: "kidney", 2: "tumor"}
FOLDER = Path("train/Label/a")


def save(path: Path, values: np.ndarray, mode: str = "L") -> Path:
    image = Image.fromarray(values.astype(np.uint8))
    if mode == "P":
        image.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    (image.point(lambda value: 255 * (value > 0)).convert("1") if mode == "1" else image).save(path)
    return path


def names(*stems: str, suffix: str) -> list[Path]:
    return [FOLDER / f"{stem}{suffix}" for stem in stems]


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


def test_equal_names_pair_whatever_the_numbers_say() -> None:
    images, labels = names("2", "1", suffix=".dcm"), names("1", "2", suffix=".png")
    assert pair_labels(FOLDER, images, [1, 2], labels) == (labels[1], labels[0])


def test_number_in_the_name_pairs() -> None:
    images = names("i0022,0000b", "i0020,0000b", suffix=".dcm")
    labels = names("liver_GT_020", "liver_GT_022", suffix=".png")
    assert pair_labels(FOLDER, images, [23, 21], labels) == (labels[1], labels[0])


def test_instance_number_pairs() -> None:
    images, labels = names("x", "y", suffix=".dcm"), names("m_07", "m_08", suffix=".png")
    assert pair_labels(FOLDER, images, [8, 7], labels) == (labels[1], labels[0])


def test_numbers_that_contradict_each_other_are_refused() -> None:
    images, labels = names("i1", "i2", suffix=".dcm"), names("m1", "m2", suffix=".png")
    with pytest.raises(SourceError, match="different pairs"):
        pair_labels(FOLDER, images, [2, 1], labels)


def test_order_of_names_is_the_last_resort(caplog: pytest.LogCaptureFixture) -> None:
    images, labels = names("i110", "i19", suffix=".dcm"), names("m2", "m1", suffix=".png")
    with caplog.at_level(logging.WARNING):
        assert pair_labels(FOLDER, images, [None, None], labels) == (labels[0], labels[1])
    assert "paired in the order of names" in caplog.text


def test_other_number_of_labels_is_refused() -> None:
    with pytest.raises(SourceError, match="1 PNG labels for 2 images"):
        pair_labels(FOLDER, names("1", "2", suffix=".dcm"), [1, 2], names("1", suffix=".png"))
