from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.errors import LabelValueError, VolumeError
from nephrite.imaging.nifti import NiftiVolume, open_kits, open_nifti_scan
from nephrite.imaging.volume import Volume

CLASSES = {1: "kidney", 2: "tumor"}
KITS = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])


def save(path: Path, array: np.ndarray, affine: np.ndarray = KITS) -> Path:
    image = nib.Nifti1Image(array, affine)
    image.to_filename(path)
    return path


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def image_of(volume: Volume, size: int = 2) -> np.ndarray:
    return np.concatenate([block for _, block in volume.image_blocks(size)])


def open_case(folder: Path, scan: np.ndarray, affine: np.ndarray = KITS) -> NiftiVolume:
    image = save(folder / "imaging.nii.gz", scan, affine)
    return open_kits(image, save(folder / "segmentation.nii.gz", np.zeros(scan.shape, np.uint8), affine))


def test_kits_order_is_kept(tmp_path: Path) -> None:
    scan = numbered(5, 6, 7)
    volume = open_case(tmp_path, scan)
    assert (volume.spacing, volume.shape, volume.orientation) == ((3.0, 0.8, 0.8), (5, 6, 7), "IPL")
    assert np.array_equal(image_of(volume), scan)


def test_ras_scan_is_turned_to_superior_anterior_right_first(tmp_path: Path) -> None:
    scan = numbered(7, 6, 5)  # x to right, y to anterior, z to superior
    volume = open_case(tmp_path, scan, np.diag([0.7, 0.8, 3.0, 1.0]))
    assert (volume.spacing, volume.shape) == ((3.0, 0.8, 0.7), (5, 6, 7))
    assert np.array_equal(image_of(volume), scan[::-1, ::-1, ::-1].transpose(2, 1, 0))


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 1, 1)])
def test_one_slice_with_or_without_its_axis(tmp_path: Path, shape: tuple[int, ...]) -> None:
    scan = numbered(*shape)
    volume = open_case(tmp_path, scan, np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert volume.shape == (1, 6, 5)
    assert np.array_equal(image_of(volume)[0], scan.reshape(5, 6).T)


def test_uncompressed_files_are_read(tmp_path: Path) -> None:
    scan = numbered(3, 4, 5)
    volume = open_kits(save(tmp_path / "a.nii", scan), save(tmp_path / "b.nii", np.ones(scan.shape, np.uint8)))
    assert np.array_equal(image_of(volume), scan)
    assert [block.sum() for _, block in volume.label_blocks(2, CLASSES)] == [40, 20]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, np.dtype(">i2")])
def test_whole_intensities_of_any_type_are_int16(tmp_path: Path, dtype: np.dtype[np.generic]) -> None:
    scan = numbered(3, 4, 5)
    image = image_of(open_case(tmp_path, scan.astype(dtype)))
    assert image.dtype == np.int16
    assert np.array_equal(image, scan)


@pytest.mark.parametrize("value", [0.25, 40_000.0, -40_000.0])
def test_other_intensities_are_float32(tmp_path: Path, value: float) -> None:
    scan = numbered(3, 4, 5).astype(np.float64)
    scan[2, 3, 3:] = value * 0.9, value
    image = image_of(open_case(tmp_path, scan))
    assert image.dtype == np.float32
    assert image[2, 3, 4] == value


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(numbered(3, 4, 5), KITS)
    image.header.set_slope_inter(0.5, -10)
    image.to_filename(tmp_path / "imaging.nii.gz")
    label = save(tmp_path / "segmentation.nii.gz", np.zeros((3, 4, 5), np.uint8))
    assert np.array_equal(image_of(open_kits(tmp_path / "imaging.nii.gz", label)), numbered(3, 4, 5) * 0.5 - 10)


def test_slope_of_a_label_map_is_applied(tmp_path: Path) -> None:
    label = nib.Nifti1Image(np.full((3, 4, 5), 10, np.int16), KITS)
    label.header.set_slope_inter(0.1, 0)
    label.to_filename(tmp_path / "segmentation.nii.gz")
    volume = open_kits(save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5)), tmp_path / "segmentation.nii.gz")
    blocks = [block for _, block in volume.label_blocks(2, CLASSES)]
    assert np.array_equal(np.concatenate(blocks), np.ones((3, 4, 5)))


@pytest.mark.parametrize(("top", "dtype"), [(2, np.uint8), (5, np.uint8), (200, np.int16)])
def test_labels_that_a_scaled_file_rounds_are_read(tmp_path: Path, top: int, dtype: type[np.generic]) -> None:
    truth = (numbered(3, 4, 5) % 2).astype(np.float64)
    truth[0, 0, 0] = top
    label = nib.Nifti1Image(truth, KITS)
    label.header.set_data_dtype(dtype)  # nibabel scales floats to the type's range: 1 becomes 1.0039
    label.to_filename(tmp_path / "segmentation.nii.gz")
    volume = open_kits(save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5)), tmp_path / "segmentation.nii.gz")
    stored = nib.Nifti1Image.from_filename(tmp_path / "segmentation.nii.gz").get_fdata()
    assert not np.array_equal(stored, truth)
    blocks = [block for _, block in volume.label_blocks(2, {1: "kidney", top: "tumor"})]
    assert np.array_equal(np.concatenate(blocks), truth)


def test_interpolated_labels_in_a_scaled_file_are_refused(tmp_path: Path) -> None:
    label = nib.Nifti1Image(np.linspace(0, 2, 60).reshape(3, 4, 5), KITS)
    label.header.set_data_dtype(np.uint8)
    label.to_filename(tmp_path / "segmentation.nii.gz")
    volume = open_kits(save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5)), tmp_path / "segmentation.nii.gz")
    with pytest.raises(LabelValueError, match="is not an integer"):
        list(volume.label_blocks(2, CLASSES))


def padded(lowest: float, *others: float) -> np.ndarray:
    scan = np.full((3, 4, 5), 50.0)
    scan[:, 0] = lowest
    scan[1, 2, : len(others)] = others
    return scan


@pytest.mark.parametrize(
    ("scan", "first"),
    [
        (padded(-2000, -1024, -60), -1024),
        (padded(-3024, -60), -1024),
        (padded(-32768, -60.5), -1024),
        (padded(-2000, 0, 30), 0),  # MR: no intensity below 0
        (padded(-2000, -1500), -2000),  # no padding: others lie below air, too
        (padded(-1024, -60), -1024),
        (padded(-2000), 0),
    ],
)
@pytest.mark.parametrize("slope", [1, -1, 0.5])
def test_padding_is_what_it_is_in_dicom(tmp_path: Path, scan: np.ndarray, first: float, slope: float) -> None:
    image = nib.Nifti1Image((scan / slope).astype(np.float64), KITS)
    image.header.set_slope_inter(1, 0)
    image.to_filename(tmp_path / "imaging.nii")
    content = bytearray((tmp_path / "imaging.nii").read_bytes())
    content[112:116] = np.array([slope], "<f4").tobytes()
    (tmp_path / "imaging.nii").write_bytes(content)
    values = np.concatenate([block for _, block in open_nifti_scan(tmp_path / "imaging.nii").image_blocks(2)])
    assert np.unique(values[:, 0]).tolist() == [first]
    assert np.array_equal(values[:, 1:], scan[:, 1:])


def test_block_owns_its_memory(tmp_path: Path) -> None:
    volume = open_case(tmp_path, numbered(4, 4, 4))
    blocks = [block for _, block in volume.image_blocks(2)]
    assert all(block.flags.c_contiguous and block.base is None for block in blocks)


def test_peak_memory_stays_below_one_and_a_half_volumes(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).integers(-1000, 1000, (64, 128, 128)).astype(np.float64)
    volume = open_case(tmp_path, scan)
    tracemalloc.start()
    for _ in volume.image_blocks(8):
        pass
    for _ in volume.label_blocks(8, CLASSES):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scan.nbytes < peak < 1.5 * scan.nbytes


def test_label_values_outside_the_classes_name_the_file(tmp_path: Path) -> None:
    image = save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5))
    label = save(tmp_path / "segmentation.nii.gz", np.full((3, 4, 5), 3, np.uint16))
    with pytest.raises(LabelValueError, match=r"segmentation\.nii\.gz: values \{3\}"):
        list(open_kits(image, label).label_blocks(2, CLASSES))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_intensities_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    scan = numbered(3, 4, 5).astype(np.float32)
    scan[2, 0, 0] = value
    with pytest.raises(VolumeError, match=r"imaging\.nii\.gz: 1 intensities are NaN or infinite"):
        image_of(open_case(tmp_path, scan))


def test_shapes_that_differ_are_refused(tmp_path: Path) -> None:
    image = save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5))
    label = save(tmp_path / "segmentation.nii.gz", np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(VolumeError, match=r"segmentation.*\(3, 4, 4\) differs from the image's \(3, 4, 5\)"):
        open_kits(image, label)


@pytest.mark.parametrize("change", [np.diag([2.0, 2, 2, 1]), np.array([[1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0]])])
def test_label_map_on_another_grid_is_refused(tmp_path: Path, change: np.ndarray) -> None:
    moved = np.vstack([change[:3], [0, 0, 0, 1]]) @ KITS
    image = save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5))
    label = save(tmp_path / "segmentation.nii.gz", np.zeros((3, 4, 5), np.uint8), moved)
    with pytest.raises(VolumeError, match="voxels away from the image"):
        open_kits(image, label)


def test_label_map_stored_in_another_axis_order_is_matched(tmp_path: Path) -> None:
    image = save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5))
    truth = (numbered(3, 4, 5) % 3).astype(np.uint8)
    turned = KITS.copy()
    turned[:, :3] = KITS[:, [2, 1, 0]]
    label = save(tmp_path / "segmentation.nii.gz", truth.transpose(2, 1, 0), turned)
    blocks = [block for _, block in open_kits(image, label).label_blocks(2, CLASSES)]
    assert np.array_equal(np.concatenate(blocks), truth)


def test_label_map_one_slice_off_is_refused_with_both_origins(tmp_path: Path) -> None:
    moved = KITS.copy()
    moved[:3, 3] += moved[:3, 0]
    image = save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5))
    label = save(tmp_path / "segmentation.nii.gz", np.zeros((3, 4, 5), np.uint8), moved)
    with pytest.raises(VolumeError, match=r"up to 1 voxels away .*origin \(0, 0, -3\) mm.*origin \(0, 0, 0\) mm"):
        open_kits(image, label)


def test_label_map_without_orientation_is_to_take_that_of_its_image(tmp_path: Path) -> None:
    image = save(tmp_path / "imaging.nii.gz", numbered(3, 4, 5))
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None), tmp_path / "segmentation.nii.gz")
    with pytest.raises(VolumeError, match=r"segmentation.*code are 0\); save the label map with the image's affine"):
        open_kits(image, tmp_path / "segmentation.nii.gz")


def test_unit_of_the_image_is_known_of_the_volume(tmp_path: Path) -> None:
    scan = nib.Nifti1Image(numbered(3, 4, 5), np.diag([1.0, 1, 1, 1e-3]) @ KITS * 1000)
    scan.header.set_xyzt_units("micron")
    scan.to_filename(tmp_path / "imaging.nii.gz")
    label = save(tmp_path / "segmentation.nii.gz", np.zeros((3, 4, 5), np.uint8))
    volume = open_kits(tmp_path / "imaging.nii.gz", label)  # the label map's own grid is in mm
    assert (volume.spacing, volume.unit_given) == ((3.0, 0.8, 0.8), True)
    assert not open_kits(label, label).unit_given


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(numbered(3, 4, 5), KITS), tmp_path / "imaging.nii.gz")
    values = [block for _, block in open_nifti_scan(tmp_path / "imaging.nii.gz").image_blocks(2)]
    assert np.array_equal(np.concatenate(values), numbered(3, 4, 5))


def test_true_fourth_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"4 axes \(shape \(3, 4, 5, 2\)\)"):
        open_case(tmp_path, numbered(3, 4, 5, 2))


def test_zero_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="zero slices"):
        open_case(tmp_path, np.zeros((0, 4, 5), np.int16))


def test_color_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="not one number per voxel"):
        open_case(tmp_path, np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]))


def test_affine_without_orientation_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(numbered(3, 4, 5), KITS)
    image.set_sform(np.diag([0.0, 1, 1, 1]), "scanner")
    image.to_filename(tmp_path / "imaging.nii")
    with pytest.raises(VolumeError, match="does not say how the axes lie"):
        open_kits(tmp_path / "imaging.nii", tmp_path / "imaging.nii")


@pytest.mark.parametrize(
    ("name", "content", "finding"),
    [
        ("imaging.nii.gz", b"", "is empty"),
        ("imaging.nii.gz", b"<html>not found</html>" * 40, "is not a readable NIfTI"),
        ("imaging.nii.gz", gzip.compress(b"0" * 4000, mtime=0), "is not a readable NIfTI"),
        ("imaging.nii", b"0" * 4000, "is not a readable NIfTI"),
        ("imaging.nii", b"0" * 20, "is not a readable NIfTI"),
    ],
)
def test_file_that_is_no_nifti_is_refused(tmp_path: Path, name: str, content: bytes, finding: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=finding):
        open_kits(path, path)


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_truncated_gzip_is_refused(tmp_path: Path, kept: float) -> None:
    volume = open_case(tmp_path, np.random.default_rng(0).integers(0, 99, (9, 40, 40)).astype(np.int16))
    path = tmp_path / "imaging.nii.gz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(VolumeError, match=r"imaging\.nii\.gz: is truncated or damaged"):
        image_of(volume)


def test_changed_bytes_are_noticed_by_the_gzip_checksum(tmp_path: Path) -> None:
    volume = open_case(tmp_path, numbered(3, 4, 5))
    path = tmp_path / "imaging.nii.gz"
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the stored checksum
    path.write_bytes(content)
    with pytest.raises(VolumeError, match="damaged"):
        image_of(volume)


def test_truncated_plain_file_names_the_bytes(tmp_path: Path) -> None:
    image, label = save(tmp_path / "a.nii", numbered(3, 4, 5)), save(tmp_path / "b.nii", np.zeros((3, 4, 5), np.uint8))
    volume = open_kits(image, label)
    image.write_bytes(image.read_bytes()[:-20])
    with pytest.raises(VolumeError, match="100 of 120 bytes"):
        image_of(volume)


@pytest.mark.parametrize("offset", [np.nan, np.inf, 1e30])
def test_voxels_that_begin_nowhere_are_refused(tmp_path: Path, offset: float) -> None:
    path = save(tmp_path / "scan.nii", numbered(5, 6, 7))
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(offset).tobytes()
    path.write_bytes(bytes(content))
    with pytest.raises(
        VolumeError, match=rf"says that its voxels begin at byte {np.float32(offset):g}".replace("+", r"\+")
    ):
        open_nifti_scan(path)
