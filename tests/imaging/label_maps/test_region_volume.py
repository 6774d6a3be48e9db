from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nephrite.config import Config, PrepareSettings
from nephrite.errors import DicomError, LabelValueError, SourceError
from nephrite.imaging.label_maps.region_volume import open_regions

WriteObject = Callable[..., Path]
Load = Callable[..., Config]
CORNER = np.zeros((6, 8), bool)
CORNER[1:3, 2:7] = True
LESION = np.zeros((6, 8), bool)
LESION[1, 3:5] = True


@pytest.fixture
def settings(load: Load) -> PrepareSettings:
    return load("prepare.segments={Left kidney: kidney, GTV: tumor, Body: null}").prepare


def label_map(images: Path, labels: Path, settings: PrepareSettings, size: int = 2) -> np.ndarray:
    volume = open_regions(images, labels, settings)
    return np.concatenate([block for _, block in volume.label_blocks(size, settings.classes)])


@pytest.mark.parametrize("size", [1, 2, 16])
def test_segments_become_classes_on_the_slices_of_their_positions(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings, size: int
) -> None:
    folder = write_stack()
    frames = [(2, 25.0, LESION), (1, 20.0, CORNER), (1, 25.04, CORNER), (3, 999.0, CORNER)]
    path = write_seg([" LEFT kidney", "gtv", "Body"], frames)
    labels = label_map(folder, folder, settings, size)
    assert np.array_equal(labels, np.stack([0 * CORNER, 1 * CORNER + LESION, CORNER]))
    assert open_regions(folder, folder, settings).sources["label"] == (path,)


def test_label_map_is_turned_as_the_scan_is(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings
) -> None:
    folder = write_stack(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    write_seg(["GTV"], [(1, 25.0, LESION)], axes=[-1, 0, 0, 0, 1, 0])
    labels = label_map(folder, folder, settings)
    assert np.array_equal(labels[1], 2 * LESION[:, ::-1])


def test_structures_become_classes(
    write_stack: Callable[..., Path], write_structures: WriteObject, settings: PrepareSettings
) -> None:
    square = np.array([[-2.6, -2.6, 25], [1.0, -2.6, 25], [1.0, -1.6, 25], [-2.6, -1.6, 25]])
    folder = write_stack()
    write_structures([("GTV", [square]), ("Body", [square + 1000])])
    assert np.array_equal(label_map(folder, folder, settings)[1], 2 * CORNER)


def test_label_objects_may_lie_in_a_folder_of_their_own(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings, tmp_path: Path
) -> None:
    folder = write_stack()
    (tmp_path / "label").mkdir()
    write_seg(["GTV"], [(1, 25.0, LESION)]).rename(tmp_path / "label" / "seg")
    assert label_map(folder, tmp_path / "label", settings).sum() == 2 * LESION.sum()
    (folder / "0.dcm").rename(tmp_path / "label" / "0.dcm")
    with pytest.raises(DicomError, match=r"0\.dcm: is no label map \(a slice of CT or MR\)"):
        open_regions(folder, tmp_path / "label", settings)


def test_two_objects_of_different_classes_are_put_together(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings
) -> None:
    folder = write_stack()
    write_seg(["Left kidney"], [(1, 25.0, CORNER)]).rename(folder / "kidney.dcm")
    write_seg(["GTV"], [(1, 25.0, LESION)])
    assert np.array_equal(label_map(folder, folder, settings)[1], 1 * CORNER + LESION)


def test_two_objects_of_one_class_are_refused(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings
) -> None:
    folder = write_stack()
    write_seg(["GTV"], [(1, 25.0, CORNER)]).rename(folder / "first.dcm")
    write_seg(["GTV"], [(1, 25.0, LESION)])
    with pytest.raises(LabelValueError, match=r"ct: 2 label objects of this case mark 'tumor'; keep the one"):
        open_regions(folder, folder, settings)


def test_case_without_label_object_is_refused(write_stack: Callable[..., Path], settings: PrepareSettings) -> None:
    folder = write_stack()
    with pytest.raises(SourceError, match="holds neither DICOM SEG nor RTSTRUCT"):
        open_regions(folder, folder, settings)


@pytest.mark.parametrize(("space", "finding"), [("1.2.3", "in another frame of reference"), ("", "names no frame")])
def test_other_frame_of_reference_is_refused(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings, space: str, finding: str
) -> None:
    folder = write_stack()
    write_seg(["GTV"], [(1, 25.0, LESION)], FrameOfReferenceUID=space)
    with pytest.raises(DicomError, match=finding):
        open_regions(folder, folder, settings)


def test_messages_and_logs_hold_nothing_of_the_person(
    write_stack: Callable[..., Path], write_seg: WriteObject, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_stack()
    write_seg(["GTV"], [(1, 25.0, LESION)])
    with caplog.at_level(logging.DEBUG), pytest.raises(LabelValueError) as caught:
        open_regions(folder, folder, load().prepare)
    assert not any(word in str(caught.value) + caplog.text for word in ("Doe", "Jane", "X99"))


def test_damaged_object_is_one_line(
    write_stack: Callable[..., Path], write_seg: WriteObject, settings: PrepareSettings
) -> None:
    folder = write_stack()
    elements: dict[str, Any] = {"SegmentSequence": []}
    write_seg(["GTV"], [(1, 25.0, LESION)], **elements)
    with pytest.raises((DicomError, LabelValueError), match=r"seg\.dcm: "):
        open_regions(folder, folder, settings)
