"""The slices of judged patients that the page shows, with truth and both arms as outlines.

A patient's slices are cropped to where any of the three has the region, thinned to a few, and stored as gray WebP.
Where scores are of windows, what lies outside of them is dark, and has no outlines. Where the page would grow beyond
its limit, all patients get fewer slices, and at last none.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from nibabel.orientations import apply_orientation
from PIL import Image

from nephrite.config import Arm, Config, ResampleSettings, ResizeSettings
from nephrite.errors import StoreError, VolumeError
from nephrite.files import read_json
from nephrite.imaging.geometry import nifti_geometry
from nephrite.imaging.grid import plan_grid, resize_label
from nephrite.metrics.scores import ArmScores
from nephrite.metrics.windows import windows_of
from nephrite.report.page import data_element
from nephrite.report.web.outlines import outline_path
from nephrite.report.web.patients import Pair, PatientRow, Unit
from nephrite.store.slices import PairStore, SliceRef

AGAIN = "run 'evaluate' again"
MASK, MANIFEST = "segmentation.nii.gz", "manifest.json"
MARGIN, SMALLEST = 12, 64  # pixels about the region, and of the crop: so that one sees where it is
BEYOND = 1  # slices before the first and behind the last one that hold the region
UNSEEN = 0.3  # brightness of what lies outside of the windows that are scored: dark, and still to be recognized
QUALITY = 60  # of WebP: outlines are drawn apart, so borders need not be sharp
COMPACT: dict[str, Any] = {"separators": (",", ":")}
Mask = Bool[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class LabelMaps:
    """The folders of label maps that 'evaluate' kept, each with a manifest that says whose they are.

    Attributes:
        root: above all of them.
        fraction: label fraction of the arms.
        arms: scores, which name the segmenter that each was made with.
    """

    root: Path
    fraction: float
    arms: Sequence[ArmScores]

    def path(self, training_set: str, unit: Unit, scan: str) -> Path | None:
        """The label map of a scan; None where none is kept.

        Raises:
            StoreError: the folder's label maps are of another segmenter than the one that was scored.
        """
        arm = Arm(training_set=training_set, segmenter=unit[0], fraction=self.fraction, cell=unit[1])
        folder = self.root / str(arm)
        if not (folder / MANIFEST).is_file():
            return None
        scored = next((each.inputs.get("segmenter") for each in self.arms if each.arm == arm), None)
        found = read_json(folder / MANIFEST, AGAIN)
        made = found.get("segmenter") if isinstance(found, dict) else None
        if scored and made != scored:
            raise StoreError(folder, "holds label maps of another segmenter than the one that was scored", AGAIN)
        path = folder / scan / MASK
        return path if path.is_file() else None


@dataclass(frozen=True)
class Kept:
    """Where label maps of both arms lie, and what they are of.

    Attributes:
        store: the prepared slices.
        maps: the label maps.
        config: settings, which say the region that decides, the grid, and the windows.
    """

    store: PairStore
    maps: LabelMaps
    config: Config

    def views(self, row: PatientRow, scan: str, without: Mask, with_it: Mask) -> Views:
        """A scan with the three masks, as far as they are scored."""
        label = np.asarray(self.store.label(scan))
        truth, windows = np.isin(label, self._values), windows_of(self.config, scan, label)
        scored = np.full_like(truth[0], fill_value=not windows)
        for window in windows:
            window.cut(scored)[:] = True
        name, cell = row.unit
        return Views(
            row.patient,
            scan,
            (truth & scored, without & scored, with_it & scored),
            lambda place: self.store.windowed(SliceRef(scan, place)) * np.where(scored, 1, UNSEEN),
            self.store.patient(scan).spacing[1:],
            f"Segmenter {name}, cell {cell}",
            measured=self.config.prepare.spacing == "measured",
        )

    def found(self, training_set: str, unit: Unit, scan: str) -> Mask | None:
        """The region as one arm found it, on the store's grid; None where no label map is kept.

        Raises:
            StoreError: the label map is broken, or not of this scan.
        """
        path = self.maps.path(training_set, unit, scan)
        shape = self.store.label(scan).shape
        return read_found(path, self._values, self.config.prepare.in_plane, shape) if path else None

    @property
    def _values(self) -> Sequence[int]:
        return self.config.evaluate.regions[self.config.trial.primary].labels


@dataclass(frozen=True)
class Views:
    """One scan of a patient with three masks on one grid.

    Attributes:
        patient: as the table names it.
        scan: its name.
        masks: truth, without, with.
        gray: gives a slice, with intensities from 0 (black) to 1.
        spacing: millimeters between rows and columns.
        made_by: what made both arms' masks.
        measured: whether voxel sizes are the scanner's; else areas are told in pixels.
    """

    patient: str
    scan: str
    masks: tuple[Mask, Mask, Mask]
    gray: Callable[[int], Float[np.ndarray, "height width"]]
    spacing: Sequence[float]
    made_by: str = ""
    measured: bool = True

    @cached_property
    def areas(self) -> np.ndarray:
        """Pixels of each mask in each slice."""
        return np.stack([mask.sum(axis=(1, 2)) for mask in self.masks])

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns that are shown in all slices."""
        together = np.any([mask.any(axis=0) for mask in self.masks], axis=0)
        return _around(together.any(axis=1)), _around(together.any(axis=0))

    @cached_property
    def start(self) -> int:
        """The slice that is shown first: with most of the truth, else with most of what was found."""
        return int(np.argmax(self.areas[0] if self.areas[0].any() else self.areas.sum(axis=0)))

    def chosen(self, most: int) -> list[int]:
        """At most so many slices: evenly over those that hold the region, the first one shown among them."""
        holding = np.flatnonzero(self.areas.sum(axis=0))
        if not len(holding):
            return [len(self.masks[0]) // 2]
        first, last = max(0, int(holding[0]) - BEYOND), min(self.areas.shape[1] - 1, int(holding[-1]) + BEYOND)
        start = min(max(self.start, first), last)
        return [first + place for place in _evenly(last + 1 - first, most, start - first)]

    def picture(self, place: int) -> str:
        """A slice as a data URI."""
        gray = np.rint(self.gray(place)[self.box] * 255).astype(np.uint8)
        with io.BytesIO() as file:
            Image.fromarray(gray).save(file, "WEBP", quality=QUALITY, method=4)
            return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def read_found(
    path: Path, values: Sequence[int], in_plane: ResizeSettings | ResampleSettings, shape: Sequence[int]
) -> Mask:
    """A region of a label map in a scan's own voxels, brought to the grid of the store as `prepare` brings label maps.

    Args:
        path: of the NIfTI file.
        values: of the region.
        in_plane: setting of the grid.
        shape: slices, height, width of the store's slices.

    Raises:
        StoreError: the file is broken, or of another scan.
    """
    try:
        image = nib.nifti1.load(path)
        geometry = nifti_geometry(path, image.header, image.shape, AGAIN)
        own = apply_orientation(np.asarray(image.dataobj), geometry.transform)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError, VolumeError) as error:
        raise StoreError(path, f"cannot be read ({type(error).__name__})", AGAIN) from None
    marked: UInt8[np.ndarray, "slice rows columns"] = np.isin(own, values).astype(np.uint8)
    on_grid = resize_label(marked, plan_grid(in_plane, geometry.planes, geometry.spacing)).astype(bool)
    if on_grid.shape != tuple(shape):
        raise StoreError(path, f"has {len(on_grid)} slices, and its scan has {shape[0]}", AGAIN)
    return on_grid


def views_of(kept: Kept, pair: Pair, rows: Sequence[PatientRow], scans: Mapping[str, Sequence[str]]) -> Iterator[Views]:
    """What can be shown of each patient: the first scan whose label maps of both arms are kept.

    Args:
        kept: the label maps.
        pair: both arms.
        rows: the patients.
        scans: patient to the ids of the scans in the store.
    """
    for row in rows:
        for scan in scans.get(row.patient, ()):
            without, with_it = (kept.found(name, row.unit, scan) for name in (pair.against, pair.training_set))
            if without is not None and with_it is not None:
                yield kept.views(row, scan, without, with_it)
                break


def slice_elements(
    views: Iterable[Views], pair: Pair, rows: Sequence[PatientRow], *, most: int, room: int
) -> tuple[list[str], int]:
    """The page's data elements, and how many slices a patient has at most; none where even one each is too many.

    Args:
        views: of the patients that can be shown.
        pair: both arms.
        rows: the patients of the table.
        most: slices of a patient.
        room: bytes that the page has left.
    """
    by_patient = {row.patient: row for row in rows}
    # one patient at a time: masks are large, and what is kept of them is small
    shown = [_content(view, pair, by_patient[view.patient], most) for view in views]
    while most >= 1 and shown:
        elements = [data_element(str(each["patient"]), json.dumps(_thinned(each, most), **COMPACT)) for each in shown]
        if sum(map(len, elements)) <= room:
            return elements, most
        most //= 2
    return [], 0


def _content(view: Views, pair: Pair, row: PatientRow, most: int) -> dict[str, Any]:
    """What the page's script reads of one patient."""
    places, (rows, columns) = view.chosen(most), view.box
    spacing, each = view.spacing, view.spacing[0] * view.spacing[1] if view.measured else 1.0
    dice = f"with {pair.with_it[row.unit][row.patient]:.3f}, without {pair.without[row.unit][row.patient]:.3f}"
    of_scan = f", scan {view.scan}" if view.scan != view.patient else ""
    return {
        "patient": view.patient,
        "note": f"{view.made_by}, whose difference is closest to the mean: Dice {dice}{of_scan}.",
        "names": ["truth", f"without: {pair.against}", f"with: {pair.training_set}"],
        "unit": "mm\u00b2" if view.measured else "pixels",
        "size": [rows.stop - rows.start, columns.stop - columns.start],
        "spacing": [round(mm, 4) for mm in spacing],
        "count": view.areas.shape[1],
        "start": places.index(view.start) if view.start in places else 0,
        "slices": [
            {
                "number": place + 1,
                "image": view.picture(place),
                "areas": [round(float(area) * each) for area in view.areas[:, place]],
                "outlines": [outline_path(mask[place][view.box]) for mask in view.masks],
            }
            for place in places
        ],
    }


def _thinned(content: Mapping[str, Any], most: int) -> dict[str, Any]:
    """At most so many of the slices, the one that is shown first among them."""
    slices, start = content["slices"], content["start"]
    places = _evenly(len(slices), most, start)
    return {**content, "start": places.index(start), "slices": [slices[place] for place in places]}


def _evenly(count: int, most: int, kept: int) -> list[int]:
    """At most so many of `count` places, evenly, one of which is kept."""
    if count <= most:
        return [*range(count)]
    places = np.unique(np.rint(np.linspace(0, count - 1, most)).astype(int))
    places[np.argmin(np.abs(places - kept))] = kept
    return [int(place) for place in places]


def _around(marked: Bool[np.ndarray, " side"]) -> slice:
    """From where to where a side is shown: all of it where nothing is marked."""
    side, found = len(marked), np.flatnonzero(marked)
    if not len(found):
        return slice(0, side)
    length = min(side, max(SMALLEST, int(found[-1] - found[0]) + 1 + 2 * MARGIN))
    first = (int(found[0]) + int(found[-1]) + 1 - length) // 2
    first = min(max(0, first), side - length)  # a crop that would leave the slice moves into it
    return slice(first, first + length)
