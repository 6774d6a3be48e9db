from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nephrite.config import ForeignSettings
from nephrite.errors import LabelValueError, SourceError, VolumeError
from nephrite.imaging.foreign import STORED, check_units, find_pairs, open_foreign, unmatched
from nephrite.imaging.layouts.pairing import LAYOUTS, Pair
from tests.foreign_sets import AFFINE, KIDNEY, TUMOR, draw_fake, save, write_freetumor, write_maisi

CLASSES = {1: "kidney", 2: "tumor"}


def settings(**values: Any) -> ForeignSettings:
    return ForeignSettings.model_validate(values)


def opened(pair: Pair, **values: Any) -> tuple[np.ndarray, np.ndarray, set[int], tuple[float, float, float]]:
    volume = open_foreign(pair, settings(**values), CLASSES)
    image = np.concatenate([block for _, block in volume.image_blocks(2)])
    label = np.concatenate([block for _, block in volume.label_blocks(2, CLASSES)])
    return image, label, volume.met, volume.spacing


@pytest.mark.parametrize(("images", "labels"), [*LAYOUTS, STORED])
def test_every_known_layout_is_found(images: str, labels: str, tmp_path: Path) -> None:
    for name in ("b", "a_0001"):
        for pattern in (images, labels):
            path = tmp_path / pattern.replace("*", name)
            path.parent.mkdir(exist_ok=True, parents=True)
            path.touch()
    (tmp_path / "readme.txt").touch()
    found = find_pairs(tmp_path, settings())
    assert [pair.name for pair in found] == ["a_0001", "b"]
    assert found[1].label == tmp_path / labels.replace("*", "b")


def test_patterns_of_ones_own_and_other_suffixes(tmp_path: Path) -> None:
    for name in ("x-ct.nii", "x-seg.png", "y-ct.nii.gz", "y-seg.nii.gz"):
        (tmp_path / name).touch()
    found = find_pairs(tmp_path, settings(images="*-ct.nii.gz", labels="*-seg.nii.gz"))
    assert [(pair.name, pair.image.name, pair.label.name) for pair in found] == [
        ("x", "x-ct.nii", "x-seg.png"),
        ("y", "y-ct.nii.gz", "y-seg.nii.gz"),
    ]


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        ([], "holds no synthetic scan with a label map"),
        (["a_image.nii.gz", "a_label.nii.gz", "b_image.nii.gz"], "pairs with nothing: 'b_label.nii.gz' is missing"),
        (["a_image.nii.gz", "a_label.nii.gz", "c_label.nii.gz"], "pairs with nothing: 'c_image.nii.gz' is missing"),
        (["a b_image.nii.gz", "a b_label.nii.gz"], "cannot be an id"),
        (["a_image.nii.gz", "A_image.nii.gz", "a_label.nii.gz", "A_label.nii.gz"], "capital letters only"),
        (["a_image.nii.gz", "a_image.nii", "a_label.nii.gz"], "a second time"),
        (
            ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"],
            "a_0001.nii.gz: is a second channel",
        ),
    ],
)
def test_what_makes_no_pairs_is_refused(names: list[str], finding: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=finding):
        find_pairs(tmp_path, settings())


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        find_pairs(tmp_path / "none", settings())


def test_large_label_values_are_mapped_before_they_are_narrowed(tmp_path: Path) -> None:
    pair = find_pairs(write_maisi(tmp_path, 1), settings())[0]
    _, label, met, spacing = opened(pair, classes={KIDNEY: "kidney", TUMOR: "tumor"})
    _, drawn = draw_fake(900)
    expected = np.flip(np.select([drawn == KIDNEY, drawn == TUMOR], [1, 2], 0).transpose(2, 1, 0), (0, 1, 2))
    assert np.array_equal(label, expected)
    assert met == {0, 1, KIDNEY, TUMOR}  # 1 is a class of theirs that is background here
    assert spacing == pytest.approx((5.0, 0.8, 0.8))
    assert 403 % 256 not in met


def test_the_ignore_value_is_no_class(tmp_path: Path) -> None:
    image, label = draw_fake(1)
    label[:4] = 255
    pair = Pair("a", save(tmp_path / "i.nii.gz", image), save(tmp_path / "l.nii.gz", label))
    assert set(np.unique(opened(pair, classes={KIDNEY: "kidney"})[1])) == {0, 1}


def test_intensities_are_mapped_to_hounsfield_units(tmp_path: Path) -> None:
    pair = find_pairs(write_freetumor(tmp_path, 1), settings())[0]
    image = opened(pair, intensity={})[0]
    drawn, _ = draw_fake(950)
    expected = np.flip(np.clip(drawn, -1000, 1000).transpose(2, 1, 0), (0, 1, 2))
    assert np.allclose(image, expected, atol=0.01)
    with pytest.raises(VolumeError, match="no Hounsfield units; correct 'intensity'"):
        opened(pair, intensity={"stored": [0, 0.001], "units": [-1000, 100000]})


def test_fractions_in_a_label_map_are_refused(tmp_path: Path) -> None:
    image, label = draw_fake(1)
    pair = Pair("a", save(tmp_path / "i.nii.gz", image), save(tmp_path / "l.nii.gz", label + 0.4))
    with pytest.raises(LabelValueError, match="no whole number"):
        opened(pair)


def test_spacing_and_orientation_may_be_told(tmp_path: Path) -> None:
    image, label = draw_fake(1)
    paths = []
    for name, voxels in (("i", image), ("l", label)):
        file = nib.Nifti1Image(voxels, None)
        nib.save(file, tmp_path / f"{name}.nii.gz")
        paths.append(tmp_path / f"{name}.nii.gz")
    pair = Pair("a", *paths)
    with pytest.raises(VolumeError, match="say 'orientation' and 'spacing'"):
        opened(pair)
    told = opened(pair, orientation="RAS", spacing=[0.8, 0.9, 5.0])
    assert told[3] == pytest.approx((5.0, 0.9, 0.8))
    known = Pair("b", save(tmp_path / "i2.nii.gz", image, AFFINE), save(tmp_path / "l2.nii.gz", label, AFFINE))
    assert np.array_equal(told[0], opened(known)[0])
    flipped = opened(pair, orientation="LAS", spacing=[0.8, 0.9, 5.0])
    assert np.array_equal(flipped[0], told[0][:, :, ::-1])
    assert opened(known, spacing=[1.0, 2.0, 3.0])[3] == pytest.approx((3.0, 2.0, 1.0))


def test_a_single_slice_may_be_a_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gray, label = rng.integers(0, 255, (40, 48), np.uint8), np.zeros((40, 48), np.uint8)
    label[10:20, 10:20] = 2
    Image.fromarray(gray).save(tmp_path / "i.png")
    Image.fromarray(label).save(tmp_path / "l.png")
    pair = Pair("a", tmp_path / "i.png", tmp_path / "l.png")
    with pytest.raises(VolumeError, match="how large a pixel"):
        opened(pair)
    image, found, _, spacing = opened(pair, spacing=[5, 1, 1], intensity={"stored": [0, 255], "units": [-100, 155]})
    assert np.allclose(image[0], gray.astype(float) - 100)
    assert np.array_equal(found[0], label)
    assert spacing == (5.0, 1.0, 1.0)
    Image.fromarray(label[:-1]).save(tmp_path / "l.png")
    with pytest.raises(VolumeError, match="differs from the scan's"):
        opened(pair, spacing=[5, 1, 1])
    Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(tmp_path / "i.png")
    with pytest.raises(VolumeError, match="a gray picture"):
        opened(pair, spacing=[5, 1, 1])


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_what_cannot_be_hounsfield_units_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(VolumeError, match="no Hounsfield units; say in 'intensity'"):
        check_units(Path("a"), ends, settings())
    check_units(Path("a"), ends, settings(intensity={"stored": [0, 1], "units": [0, 1]}))


def test_hounsfield_units_pass() -> None:
    check_units(Path("a"), (-1000.0, 255.0), settings())
    check_units(Path("a"), (0.0, 1200.0), settings())


def test_values_that_match_nothing_are_told() -> None:
    error = unmatched(Path("set"), [0, 3, 255, 7], {1: 1, 2: 2})
    assert "any of the values [1, 2] that are classes; they hold 3, 7" in str(error)
