from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from nephrite.config import PrepareSettings
from nephrite.errors import DicomError
from nephrite.imaging.label_maps.region_volume import open_regions
from nephrite.imaging.label_maps.seg_writing import check_source, write_segmentation
from nephrite.imaging.series import read_series
from tests.conftest import write_series

CLASSES = {1: "kidney", 2: "tumor", 3: "cyst"}
SIDE = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_whole_series(tmp_path / "series")


def write_whole_series(folder: Path, *, turned: bool = False) -> Path:
    """A series with what an archive wants; `turned`: rows and columns run to the other sides."""
    write_series(folder, np.zeros((4, SIDE, SIDE)))
    study, space = generate_uid(), generate_uid()
    for path in folder.iterdir():
        header = dcmread(path)
        header.StudyInstanceUID, header.FrameOfReferenceUID = study, space
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        if turned:
            header.ImageOrientationPatient = [0, -1, 0, -1, 0, 0]
        header.save_as(path)
    return folder


def drawn() -> np.ndarray:
    mask = np.zeros((4, SIDE, SIDE), np.uint8)
    mask[0, 1:4, 2:9] = 1
    mask[2, 5:7, 1:4] = 1
    mask[2, 8, 9] = 2
    return mask


@pytest.mark.parametrize("turned", [False, True])
def test_our_own_reader_reads_the_same_label_map_back(tmp_path: Path, turned: bool) -> None:
    folder = write_whole_series(tmp_path / "series", turned=turned)
    assert write_segmentation(folder / "seg.dcm", drawn(), read_series(folder), CLASSES, model="kidney 3")
    settings = PrepareSettings.model_validate(
        {
            "classes": CLASSES,
            "channels": {"kidney": [1], "tumor": [2], "cyst": [3]},
            "intensity": {"kind": "window", "center": 0, "width": 400},
            "in_plane": {"kind": "resize", "size": 16},
        }
    )
    blocks = [block for _, block in open_regions(folder, folder, settings).label_blocks(2, CLASSES)]
    assert np.array_equal(np.concatenate(blocks), drawn())


def test_object_names_the_study_the_segments_and_the_model(folder: Path) -> None:
    write_segmentation(folder / "seg.dcm", drawn(), read_series(folder), CLASSES, model="kidney 3")
    made, source = dcmread(folder / "seg.dcm"), dcmread(folder / "1.dcm")
    assert [segment.SegmentLabel for segment in made.SegmentSequence] == ["kidney", "tumor"]
    assert (made.StudyInstanceUID, made.PatientName) == (source.StudyInstanceUID, source.PatientName)
    assert made.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "kidney 3"
    assert made.NumberOfFrames == 3  # empty ones are left out


def test_of_nothing_no_object_is_written(folder: Path, tmp_path: Path) -> None:
    nothing = np.zeros((4, SIDE, SIDE), np.uint8)
    assert not write_segmentation(tmp_path / "seg.dcm", nothing, read_series(folder), CLASSES, model="x")
    assert not (tmp_path / "seg.dcm").exists()


def test_a_series_without_study_is_refused_before(tmp_path: Path) -> None:
    write_series(tmp_path / "p", np.zeros((2, SIDE, SIDE)))
    with pytest.raises(DicomError, match=r"lacks StudyInstanceUID, FrameOfReferenceUID, which a DICOM SEG refers to"):
        check_source(read_series(tmp_path / "p"))
    check_source(read_series(write_whole_series(tmp_path / "whole")))
