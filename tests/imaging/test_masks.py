from __future__ import annotations

from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.imaging.masks import channel_values, count_slices, paint_labels, split_channels, write_mask
from nephrite.imaging.nifti import open_nifti, open_nifti_scan


def overlap(*channels: list[int]) -> np.ndarray:
    """Channels over a row of voxels."""
    return np.array(channels, dtype=bool).reshape(len(channels), 1, 1, -1)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ({"kidney": (1, 2), "tumor": (2,)}, [0, 1, 2, 2]),
        ({"kidney": (1,), "tumor": (2,)}, [0, 1, 2, 2]),
        ({"tumor": (2,), "kidney": (1, 2)}, [0, 2, 1, 2]),  # the order of channels does not decide, what they hold does
        ({"both": (1, 2), "third": (3,)}, [0, 1, 3, 3]),
    ],
)
def test_voxel_gets_the_value_of_the_most_specific_channel(
    channels: dict[str, tuple[int, ...]], expected: list[int]
) -> None:
    labels = paint_labels(overlap([0, 1, 0, 1], [0, 0, 1, 1]), channels)
    assert labels.ravel().tolist() == expected
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("order", list(permutations(["abdomen", "kidney", "tumor"])))
def test_order_of_channels_that_share_values_does_not_matter(order: tuple[str, ...]) -> None:
    values = {"abdomen": (1, 2, 3), "kidney": (1, 2), "tumor": (2,)}
    found = {"abdomen": [1, 1, 1, 0, 0], "kidney": [0, 1, 1, 0, 1], "tumor": [0, 0, 1, 1, 0]}
    labels = paint_labels(overlap(*(found[name] for name in order)), {name: values[name] for name in order})
    assert labels.ravel().tolist() == [3, 1, 2, 2, 1]


@pytest.mark.parametrize(("order", "expected"), [("ab", 2), ("ba", 1)])
def test_of_equally_specific_channels_the_later_overrules(order: str, expected: int) -> None:
    values = {"a": (1,), "b": (2,)}
    assert paint_labels(overlap([1], [1]), {name: values[name] for name in order}).item() == expected


def scan_file(path: Path, codes: str, affine: np.ndarray, kind: type[nib.Nifti1Image] = nib.Nifti1Image) -> Path:
    """A scan of random voxels whose axes lie as `codes` say."""
    stored = np.random.default_rng(0).integers(0, 100, (4, 5, 6)).astype(np.int16)
    image = kind(stored, affine)
    image.header["descrip"] = b"Jane Doe"
    target = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(codes)))
    image.as_reoriented(target).to_filename(path)
    return path


@pytest.mark.parametrize("codes", ["RAS", "LPS", "IPL", "PSR", "ALI"])
def test_mask_lies_on_the_scan_however_its_axes_lie(tmp_path: Path, codes: str) -> None:
    turned = np.array([[0.7, 0.1, 0, 9], [-0.1, 0.7, 0, -8], [0, 0, 3, 7], [0, 0, 0, 1]])
    scan = open_nifti_scan(scan_file(tmp_path / "scan.nii.gz", codes, turned))
    blocks = np.concatenate([block for _, block in scan.image_blocks(2)])
    write_mask(tmp_path / "mask.nii.gz", (blocks > 50).astype(np.uint8), scan.header)
    source, mask = (
        nib.Nifti1Image.from_filename(tmp_path / "scan.nii.gz"),
        nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz"),
    )
    assert np.array_equal(mask.affine, source.affine)
    assert np.array_equal(np.asarray(mask.dataobj), source.get_fdata() > 50)
    assert mask.get_data_dtype() == np.uint8


@pytest.mark.parametrize("codes", [(0, 1), (2, 0), (1, 4)])
def test_geometry_is_copied_and_nothing_else(tmp_path: Path, codes: tuple[int, int]) -> None:
    path = scan_file(tmp_path / "scan.nii", "RAS", np.diag([0.7, 0.8, 3, 1]))
    image = nib.Nifti1Image.from_filename(path)
    image.header["sform_code"], image.header["qform_code"] = codes
    nib.save(nib.Nifti1Image(image.get_fdata().astype(np.int16), None, image.header), path)
    header = open_nifti(path).header
    write_mask(tmp_path / "mask.nii", np.zeros(open_nifti(path).geometry.planes, np.uint8), header)
    written = nib.Nifti1Image.from_filename(tmp_path / "mask.nii").header
    assert (int(written["sform_code"]), int(written["qform_code"])) == codes
    assert np.array_equal(written.get_best_affine(), header.get_best_affine())
    assert b"Jane" not in (tmp_path / "mask.nii").read_bytes()


def test_nifti_2_stays_nifti_2(tmp_path: Path) -> None:
    path = scan_file(tmp_path / "scan.nii", "RAS", np.diag([1 / 3, 0.8, 3, 1]), nib.Nifti2Image)
    write_mask(tmp_path / "mask.nii", np.zeros(open_nifti(path).geometry.planes, np.uint8), open_nifti(path).header)
    assert np.array_equal(
        nib.Nifti2Image.from_filename(tmp_path / "mask.nii").affine, nib.Nifti2Image.from_filename(path).affine
    )


def test_voxels_and_slices_of_each_class_are_counted() -> None:
    mask = np.zeros((3, 4, 4), np.uint8)
    mask[0, :2], mask[2, 0, 0] = 1, 1
    assert count_slices(mask, [1, 2]) == {1: (9, 2), 2: (0, 0)}


def test_a_channel_is_where_the_label_is_one_of_its_values() -> None:
    labels = np.array([[[0, 1, 2, 3]], [[2, 2, 0, 1]]], dtype=np.uint8)
    found = split_channels(labels, {"kidney": (1, 2), "tumor": [2]})
    assert found.shape == (2, 2, 1, 4)
    assert found[:, :, 0].tolist() == [
        [[False, True, True, False], [False, False, True, False]],
        [[True, True, False, True], [True, True, False, False]],
    ]


def test_channels_paint_their_own_value_the_widest_first() -> None:
    painted = channel_values({"cyst": (3,), "tumor": (2,), "kidney": (1, 2, 3)})
    assert [*painted.items()] == [("kidney", 1), ("cyst", 3), ("tumor", 2)]
