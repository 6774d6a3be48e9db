from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from nephrite.errors import DicomError, VolumeError
from nephrite.judging.given import Column
from nephrite.judging.judge import Source
from nephrite.judging.scoring import Regions, read_map, score_folders
from nephrite.judging.seg_maps import PlacedLabels, on_one_grid, read_segmentation, turned
from nephrite.privacy.pseudonyms import pseudonyms

SLICES, ROWS, COLUMNS = 6, 8, 10
AFFINE = np.array([[-0.75, 0, 0, 4], [0, -0.5, 0, 3], [0, 0, 2.5, 0], [0, 0, 0, 1]])  # of column, row, slice


def volume() -> np.ndarray:
    """Label map of a scan as a viewer holds it: slices from feet to head."""
    labels = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    labels[1:5, 1:5, 2:8] = 1
    labels[2:4, 2:4, 3:5] = 2
    return labels


def write_seg(
    path: Path,
    labels: np.ndarray,
    *,
    corner: tuple[float, float] = (-4, -3),
    spacing: tuple[float, float] = (0.5, 0.75),
) -> Path:
    """Write the label map as a DICOM SEG of the slices that mark something."""
    images = []
    for number in range(SLICES):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID, image.Modality = CTImageStorage, f"1.2.{number + 1}", "CT"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = "1.3", "1.4", "1.5"
        image.PatientID = image.PatientName = image.PatientSex = image.PatientBirthDate = ""
        image.StudyID = image.StudyDate = image.StudyTime = image.AccessionNumber = image.ReferringPhysicianName = ""
        image.ImagePositionPatient, image.ImageOrientationPatient = [*corner, 2.5 * number], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness, image.InstanceNumber = list(spacing), 2.5, number + 1
        image.Rows, image.Columns = ROWS, COLUMNS
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        images.append(image)
    code = Code("85756007", "SCT", "Tissue")
    kinds = [
        SegmentDescription(number, name, code, code, SegmentAlgorithmTypeValues.MANUAL)
        for number, name in enumerate(("organ", "tumor"), start=1)
    ]
    segmentation = Segmentation(
        images, labels, "BINARY", kinds, "1.6", 1, "1.7", 1, "maker", "model", "1", "0", omit_empty_frames=True
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def write_nifti(path: Path, labels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(labels.transpose(2, 1, 0), AFFINE)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def test_a_segmentation_lies_where_a_nifti_file_of_the_same_scan_does(tmp_path: Path) -> None:
    whole = read_map(write_nifti(tmp_path / "a.nii.gz", volume()))
    part = read_segmentation(write_seg(tmp_path / "a.dcm", volume()))
    assert part.labels.shape == (4, ROWS, COLUMNS)  # slices that mark something
    assert part.spacing == whole.spacing == (2.5, 0.5, 0.75)
    for one, other in ((whole, part), (part, whole)):
        marked, found = on_one_grid(one, other)
        assert np.array_equal(marked, found)
    assert np.array_equal(whole.labels, volume()[::-1])  # from head to feet


def test_slices_that_one_of_both_lacks_are_background(tmp_path: Path) -> None:
    other = np.roll(volume(), 1, axis=0)
    write_nifti(tmp_path / "references" / "a.nii.gz", volume())
    write_nifti(tmp_path / "references" / "b.nii.gz", volume())
    for arm in ("real", "fakes"):
        for patient in "ab":
            write_nifti(tmp_path / "predictions" / arm / "0" / f"{patient}.nii.gz", volume())
    shifted = tmp_path / "predictions" / "fakes" / "0" / "a.dcm"
    write_seg(shifted, other)
    shifted.with_name("a.nii.gz").unlink()
    given = score_folders(tmp_path / "predictions", tmp_path / "references", Regions({"any": (1, 2), "tumor": (2,)}))
    values = given.values[Column("fakes", "0", "any", "dice")]
    assert sorted(values) == pytest.approx([3 / 4, 1])
    assert sorted(given.values[Column("fakes", "0", "tumor", "hd95")]) == pytest.approx([0, 2.5])
    assert [path.name for path in given.references] == ["a.nii.gz", "b.nii.gz"]


def test_another_grid_is_refused(tmp_path: Path) -> None:
    whole = read_map(write_nifti(tmp_path / "a.nii.gz", volume()))
    moved = write_seg(tmp_path / "moved.dcm", volume(), corner=(-4.3, -3))
    wider = write_seg(tmp_path / "wider.dcm", volume(), spacing=(0.5, 0.8))
    for path in (moved, wider):
        with pytest.raises(VolumeError, match=r"dcm: lies up to .* voxels off the grid of a.nii.gz"):
            on_one_grid(whole, read_segmentation(path))


def test_what_makes_no_label_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.dcm").write_bytes(b"nothing")
    with pytest.raises(DicomError, match=r"b.dcm: is no DICOM SEG"):
        read_segmentation(tmp_path / "b.dcm")
    lacking = dcmread(write_seg(tmp_path / "c.dcm", volume()))
    del lacking.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    lacking.save_as(tmp_path / "c.dcm")
    with pytest.raises(DicomError, match=r"c.dcm: is no DICOM SEG that makes one label map"):
        read_segmentation(tmp_path / "c.dcm")


@pytest.mark.parametrize("codes", ["IPL", "SAR", "LPS", "RAI"])
def test_any_order_of_axes_is_turned_to_one(codes: str, tmp_path: Path) -> None:
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    labels = np.random.default_rng(0).integers(0, 3, (3, 4, 5)).astype(np.uint8)
    straight = turned(labels, AFFINE, tmp_path)
    change = ornt_transform(io_orientation(AFFINE), axcodes2ornt(tuple(codes)))
    image = nib.orientations.apply_orientation(labels, change)
    again = turned(np.asarray(image), AFFINE @ inv_ornt_aff(change, labels.shape), tmp_path)
    assert isinstance(again, PlacedLabels)
    assert np.array_equal(again.labels, straight.labels)
    assert again.affine == pytest.approx(straight.affine)
    assert "".join(nib.aff2axcodes(again.affine)) == "IPL"


def test_patients_of_dicom_files_get_pseudonyms(tmp_path: Path) -> None:
    for patient in "ab":
        write_nifti(tmp_path / "references" / f"{patient}.nii.gz", volume())
        for arm in ("real", "fakes"):
            write_seg(tmp_path / "predictions" / arm / "0" / f"{patient}.dcm", volume())
    source = Source(None, tmp_path / "predictions", tmp_path / "references", {"tumor": (2,)})
    assert sorted(source.read().patients) == sorted(pseudonyms("ab").values())
