"""Folders of cases that a program reads, in the layout of nnU-Net v2, and volumes that it writes.

    imagesTr/<id>_0000.nii.gz   float32; Hounsfield units of CT, else the scan's own intensities; _0001, ... where a
                                scan has several channels
    labelsTr/<id>.nii.gz        uint8, on the same grid
    dataset.json                as nnU-Net reads it, and what it does not ask for under 'nephrite'

Folders of scans without label maps hold `imagesTs` alone, those of masks to be painted `labelsTr`. A case is a patient:
all slices of the store, of its size and with its spacing. Intensities are cut off at the window of 'prepare.intensity':
a program is shown what a network of this package is shown. Painted slices have nothing beyond the window, and could be
told from real ones by that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.config import IGNORED
from nephrite.errors import ProgramError
from nephrite.files import write_json
from nephrite.imaging.geometry import match_grids
from nephrite.imaging.masks import channel_values
from nephrite.imaging.nifti import NiftiFile, open_nifti
from nephrite.imaging.volume import slice_blocks

DATASET, ENDING = "dataset.json", ".nii.gz"
IMAGES, LABELS, SCANS = "imagesTr", "labelsTr", "imagesTs"
BLOCK = 64  # slices that are windowed at a time
DIGITS = 5  # decimals of an intensity, of a window of width 1


MEND = "mend the program, or what the settings say of it"


class GivenScan(Protocol):
    """What a program is given of a scan; `segmentation.backend.Scan` adds whose it is."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, height and width."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between slices, rows and columns."""

    @property
    def intensity_window(self) -> tuple[float, float]:
        """The intensities that `windowed` makes 0 and 1: Hounsfield units of CT, else those of the scan."""

    @property
    def channel_names(self) -> Sequence[str]:
        """Of scans that have several channels; else none."""

    @property
    def channels(self) -> Sequence[GivenScan]:
        """The scan of each channel; itself where it has one."""

    def windowed(self, part: range) -> Float32[np.ndarray, "slice height width"]:
        """Some slices in [0, 1]."""


@dataclass(frozen=True)
class Case:
    """One case: its id, its scan, and its label map where the program may know it."""

    name: str
    scan: GivenScan
    label: UInt8[np.ndarray, "slice height width"] | None = None


@dataclass(frozen=True)
class Mask:
    """A label map to be painted.

    Attributes:
        name: its id.
        label: label values.
        spacing: millimeters between slices, rows and columns.
        window: the least and the largest intensity that it may be painted with.
    """

    name: str
    label: UInt8[np.ndarray, "slice height width"]
    spacing: tuple[float, float, float]
    window: tuple[float, float]


@dataclass(frozen=True)
class Wanted:
    """What is to be found.

    Attributes:
        channels: name to label values.
        ignored: whether some voxels have the ignore index.
        image: what dataset.json calls the image; nnU-Net normalizes 'CT' by the whole set, and all else by the case.
        facts: further entries under 'nephrite'.
    """

    channels: Mapping[str, tuple[int, ...]]
    ignored: bool = False
    image: str = "CT"
    facts: Mapping[str, Any] | None = None


def write_cases(folder: Path, cases: Iterable[Case], wanted: Wanted) -> list[str]:
    """Write a folder of cases; gives their ids."""
    names: list[str] = []
    shown: Sequence[str] = ()
    windows: dict[str, Any] = {}
    labeled = False
    for case in cases:
        labeled = labeled or case.label is not None
        channels, shown = case.scan.channels, case.scan.channel_names
        for number, channel in enumerate(channels):
            image = image_path(folder, case.name, labeled=case.label is not None, channel=number)
            image.parent.mkdir(parents=True, exist_ok=True)
            write_volume(image, _intensities(channel), channel.spacing)
        if case.label is not None:
            path = label_path(folder, case.name)
            path.parent.mkdir(exist_ok=True)
            write_volume(path, _known(case.label, wanted), case.scan.spacing)
        each = [channel.intensity_window for channel in channels]
        windows[case.name] = each if len(each) > 1 else each[0]
        names.append(case.name)
    _write_dataset(folder, windows, wanted, shown or (wanted.image,), count=len(names) if labeled else 0)
    return names


def write_masks(folder: Path, masks: Iterable[Mask], wanted: Wanted) -> dict[str, tuple[float, float]]:
    """Write a folder of label maps to be painted; gives their ids, each with its window."""
    windows: dict[str, tuple[float, float]] = {}
    for mask in masks:
        path = label_path(folder, mask.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, _known(mask.label, wanted), mask.spacing)
        windows[mask.name] = mask.window
    _write_dataset(folder, windows, wanted, (wanted.image,), count=0)
    return windows


def _write_dataset(
    folder: Path, windows: Mapping[str, Any], wanted: Wanted, shown: Sequence[str], *, count: int
) -> None:
    names = {str(number): name for number, name in enumerate(shown)}
    content: dict[str, Any] = {"channel_names": names, **_labels(wanted)}
    own = {"windows": windows, "channels": dict(wanted.channels), **(wanted.facts or {})}
    write_json(folder / DATASET, {**content, "numTraining": count, "file_ending": ENDING, "nephrite": own})


def image_path(folder: Path, name: str, *, labeled: bool, channel: int = 0) -> Path:
    """Where the scan of a case lies, or one of its channels."""
    return folder / (IMAGES if labeled else SCANS) / f"{name}_{channel:04d}{ENDING}"


def label_path(folder: Path, name: str) -> Path:
    """Where the label map of a case lies."""
    return folder / LABELS / f"{name}{ENDING}"


def emptied(folder: Path) -> Path:
    """A folder without what an earlier attempt left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def distinct_names(patients: Sequence[str]) -> list[str]:
    """An id for each scan, where several may be of one patient: 'a1', or 'a1.1' and 'a1.2'."""
    count = dict.fromkeys(patients, 0)
    names = []
    for patient in patients:
        count[patient] += 1
        names.append(patient if patients.count(patient) == 1 else f"{patient}.{count[patient]}")
    return names


def write_volume(
    path: Path,
    planes: UInt8[np.ndarray, "slice height width"] | Float32[np.ndarray, "slice height width"],
    spacing: tuple[float, float, float],
) -> None:
    """Write a volume with the axes of the store (first slice superior, rows to posterior, columns to left).

    A NIfTI file has its columns first: left, posterior, inferior are the negative directions of its world.

    Args:
        path: of the NIfTI file.
        planes: voxels.
        spacing: millimeters between slices, rows and columns.
    """
    image = nib.Nifti1Image(np.ascontiguousarray(planes.T), np.diag([*(-step for step in reversed(spacing)), 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def open_written(like: NiftiFile, path: Path, place: str) -> NiftiFile:
    """What a program wrote for a volume, with its axes in that volume's order.

    Args:
        like: the volume that it was given.
        path: where it had to write.
        place: how an error names it.

    Raises:
        ProgramError: it is not there.
        DataError: it is damaged, or lies on another grid.
    """
    if not path.is_file():
        raise ProgramError(place, "was not written", MEND)
    file = open_nifti(path)
    return replace(file, geometry=match_grids(like.geometry, file.geometry, path))


def _intensities(scan: GivenScan) -> Float32[np.ndarray, "slice height width"]:
    """The scan within its window, in its own unit; rounded, since values that were whole numbers pack well."""
    low, high = scan.intensity_window
    digits = DIGITS - int(np.floor(np.log10(abs(high - low))))
    planes = np.empty(scan.shape, np.float32)
    for part in slice_blocks(len(planes), BLOCK):
        planes[part] = np.round(low + (high - low) * scan.windowed(range(part.start, part.stop)), digits)
    return planes


def _known(label: UInt8[np.ndarray, "slice height width"], wanted: Wanted) -> UInt8[np.ndarray, "slice height width"]:
    """The label map without values that no channel shows: to a segmenter they are background."""
    shown = [value for values in wanted.channels.values() for value in values] + [IGNORED] * wanted.ignored
    return np.where(np.isin(label, shown), label, 0).astype(np.uint8)


def _labels(wanted: Wanted) -> dict[str, Any]:
    """'labels' of dataset.json; where channels overlap, regions in the order in which one paints over the other."""
    painted = channel_values(wanted.channels)
    ignored = {"ignore": IGNORED} if wanted.ignored else {}
    if all(len(values) == 1 for values in wanted.channels.values()):
        return {"labels": {"background": 0, **painted, **ignored}}
    regions = {name: list(wanted.channels[name]) for name in painted}
    return {"labels": {"background": 0, **regions, **ignored}, "regions_class_order": list(painted.values())}
