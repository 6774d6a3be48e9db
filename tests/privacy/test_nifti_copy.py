from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.errors import VolumeError
from nephrite.files import sha256
from nephrite.privacy.nifti_copy import copy_nifti

MARKER = "DOE_JANE"
AFFINE = np.array([[0.8, 0, 0, -20], [0, 0.8, 0, 5], [0, 0, 5, 7], [0, 0, 0, 1.0]])


def image(kind: type[nib.Nifti1Image], order: str) -> nib.Nifti1Image:
    """A scan with markers in every field of text, in an extension and in a field of no known meaning."""
    values = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(f"{order}i2")
    header = kind.header_class(endianness=order)
    header.set_data_dtype(values.dtype)
    made = kind(values, AFFINE, header)
    header = made.header
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        if field in header.structarr.dtype.names:
            header[field] = MARKER.encode()
    header["intent_p1"] = 7
    header.set_xyzt_units("mm")
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", MARKER.encode()))
    return made


@pytest.mark.parametrize("name", ["imaging.nii", "imaging.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_voxels_and_grid_stay_and_all_else_goes(
    kind: type[nib.Nifti1Image], order: str, name: str, tmp_path: Path
) -> None:
    source, target = tmp_path / name, tmp_path / f"copy-{name}"
    nib.save(image(kind, order), source)
    copy_nifti(source, target)
    before, after = kind.from_filename(source), kind.from_filename(target)
    content = gzip.decompress(target.read_bytes()) if name.endswith("gz") else target.read_bytes()
    assert MARKER.encode() not in content
    assert np.array_equal(np.asarray(before.dataobj), np.asarray(after.dataobj))
    assert np.array_equal(before.affine, after.affine)
    assert after.header["intent_p1"] == 0
    assert (after.header.get_xyzt_units(), after.header.endianness) == (("mm", "unknown"), order)
    assert not after.header.extensions


def test_scale_stays(tmp_path: Path) -> None:
    made = image(nib.Nifti1Image, "<")
    made.header.set_slope_inter(2.5, -3)
    nib.save(made, tmp_path / "a.nii.gz")
    copy_nifti(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    before, after = (nib.Nifti1Image.from_filename(tmp_path / f"{name}.nii.gz") for name in "ab")
    assert np.array_equal(before.get_fdata(), after.get_fdata())


@pytest.mark.parametrize("name", ["clean.nii", "clean.nii.gz"])
def test_what_is_clean_is_copied_byte_by_byte(name: str, tmp_path: Path) -> None:
    nib.save(image(nib.Nifti1Image, "<"), tmp_path / "source.nii.gz")
    copy_nifti(tmp_path / "source.nii.gz", tmp_path / "first.nii.gz")
    content = (tmp_path / "first.nii.gz").read_bytes()
    source = tmp_path / name
    source.write_bytes(content if name.endswith("gz") else gzip.decompress(content))
    copy_nifti(source, tmp_path / f"copy-{name}")
    assert sha256(tmp_path / f"copy-{name}") == sha256(source)


def clean_bytes(tmp_path: Path) -> bytes:
    nib.save(image(nib.Nifti1Image, "<"), tmp_path / "source.nii.gz")
    copy_nifti(tmp_path / "source.nii.gz", tmp_path / "clean.nii.gz")
    return gzip.decompress((tmp_path / "clean.nii.gz").read_bytes())


def test_names_that_gzip_keeps_go(tmp_path: Path) -> None:
    plain = clean_bytes(tmp_path)
    half = gzip.compress(plain[:300], mtime=0)
    with (tmp_path / "named.nii.gz").open("wb") as file:
        file.write(half)  # a first member without a name
        with gzip.GzipFile(filename=f"{MARKER}.nii", mode="wb", fileobj=file) as packed:
            packed.write(plain[300:])
    copy_nifti(tmp_path / "named.nii.gz", tmp_path / "copy.nii.gz")
    copied = (tmp_path / "copy.nii.gz").read_bytes()
    assert MARKER.encode() not in copied
    assert gzip.decompress(copied) == plain


def test_what_follows_the_voxels_goes(tmp_path: Path) -> None:
    plain = clean_bytes(tmp_path)
    (tmp_path / "longer.nii").write_bytes(plain + MARKER.encode())
    copy_nifti(tmp_path / "longer.nii", tmp_path / "copy.nii")
    assert (tmp_path / "copy.nii").read_bytes() == plain


@pytest.mark.parametrize("content", [b"", b"no scan", gzip.compress(b"no scan", mtime=0)])
def test_what_is_no_nifti_is_refused(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / ("a.nii.gz" if content[:2] == b"\x1f\x8b" else "a.nii")
    source.write_bytes(content)
    with pytest.raises(VolumeError, match=r"is empty|is not a readable NIfTI"):
        copy_nifti(source, tmp_path / "b.nii")


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    nib.save(image(nib.Nifti1Image, "<"), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:-20])
    with pytest.raises(VolumeError, match="is truncated or damaged"):
        copy_nifti(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")


@pytest.mark.parametrize("name", ["imaging.nii", "imaging.nii.gz"])
def test_one_volume_of_four_axes_becomes_a_scan(name: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-1000, 1000, (6, 5, 4, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / name)
    copy_nifti(tmp_path / name, tmp_path / f"copy-{name}", number=1)
    copied = nib.Nifti1Image.from_filename(tmp_path / f"copy-{name}")
    assert np.array_equal(np.asarray(copied.dataobj), values[..., 1])
    assert np.allclose(copied.affine, AFFINE)
    with pytest.raises(VolumeError, match="has 4 axes and 3 channels, and channel 3 is asked for"):
        copy_nifti(tmp_path / name, tmp_path / "none.nii", number=3)
    nib.save(nib.Nifti1Image(values[..., 0], AFFINE), tmp_path / name)
    with pytest.raises(VolumeError, match="has 3 axes and 1 channels, and channel 1 is asked for"):
        copy_nifti(tmp_path / name, tmp_path / "none.nii", number=1)
