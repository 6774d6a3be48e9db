"""RTSTRUCT (PS3.3 A.19): regions of interest as closed contours in the planes of slices, in mm.

A pixel belongs to a region if its center lies within an odd number of the region's contours of that slice: an inner
contour is a hole (PS3.3 C.8.8.6.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from pydicom import Dataset, dcmread

from nephrite.errors import DicomError
from nephrite.imaging.dicom_elements import BROKEN
from nephrite.imaging.label_maps.placing import ANOTHER, check_space, pixel_places, slice_at
from nephrite.imaging.label_maps.regions import RegionFile
from nephrite.imaging.series import Series

CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
_TAGS = ["StructureSetROISequence", "ROIContourSequence", "ReferencedFrameOfReferenceSequence", "FrameOfReferenceUID"]

Contour = Float[np.ndarray, "point 2"]


class StructureFile(RegionFile):
    """An RTSTRUCT; of its regions of interest those with closed contours: a point or a line marks no region.

    Raises:
        DicomError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            header = dcmread(path, force=True, specific_tags=list(_TAGS))
            self._spaces, self._contours = _read_structures(header)
        except (*BROKEN, AttributeError) as error:
            finding = f"is no RTSTRUCT that can be read ({type(error).__name__})"
            raise DicomError(path, finding, "export it again") from error
        self.names = tuple(name for name, _ in self._contours)
        self._size = (0, 0)
        self._planes: dict[int, list[tuple[str, list[Contour]]]] = {}

    def place(self, series: Series, names: Sequence[str]) -> None:
        """See `RegionFile`."""
        # contours of each slice, on its pixels
        self._size, planes = series.images[0].size, defaultdict(list)
        for space, (name, contours) in zip(self._spaces, self._contours, strict=True):
            if name not in names:
                continue
            check_space(self.path, space, series)
            placed: dict[int, list[Contour]] = defaultdict(list)
            for number, points in enumerate(contours, start=1):
                what = f"contour {number} of {name!r}"
                position = slice_at(self.path, series, points, what)
                placed[position].append(self._on_pixels(series, position, points, what))
            for position, drawn in placed.items():
                planes[position].append((name, drawn))
        self._planes = dict(planes)

    def masks(self, position: int) -> Iterator[tuple[str, Bool[np.ndarray, "rows columns"]]]:
        """See `RegionFile`."""
        for name, contours in self._planes.get(position, []):
            mask = np.zeros(self._size, dtype=bool)
            for contour in contours:
                fill_contour(mask, contour)
            yield name, mask

    def _on_pixels(self, series: Series, position: int, points: Float[np.ndarray, "point 3"], what: str) -> Contour:
        places = pixel_places(series, position, points)
        if places.min() < -1 or (places > np.array(self._size)).any():
            raise DicomError(self.path, f"{what} reaches outside of the scan's slices", ANOTHER)
        return places


def fill_contour(mask: Bool[np.ndarray, "rows columns"], contour: Contour) -> None:
    """Turn every pixel over whose center lies within a closed contour, given as rows and columns."""
    from matplotlib.path import Path as Outline

    # pixels that may lie within
    low = np.maximum(np.ceil(contour.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(contour.max(axis=0)) + 1, mask.shape).astype(int)
    if (high <= low).any():
        return
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    centers = np.stack([rows.ravel(), columns.ravel()], axis=1)
    within = Outline(contour, closed=False).contains_points(centers).reshape(rows.shape)
    mask[low[0] : high[0], low[1] : high[1]] ^= within


def _read_structures(header: Dataset) -> tuple[list[str], list[tuple[str, list[Float[np.ndarray, "point 3"]]]]]:
    """Frame of reference, and name with contours in mm, of each region that has closed contours."""
    frames = header.get("ReferencedFrameOfReferenceSequence") or []
    common = header.get("FrameOfReferenceUID") or (frames[0].get("FrameOfReferenceUID") if len(frames) == 1 else "")
    drawn = {int(item.ReferencedROINumber): item for item in header.get("ROIContourSequence") or []}
    spaces, found = [], []
    for roi in header.get("StructureSetROISequence") or []:
        item = drawn.get(int(roi.ROINumber), Dataset())
        contours = [
            np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            for contour in item.get("ContourSequence") or []
            if contour.ContourGeometricType in CLOSED
        ]
        if contours:
            spaces.append(str(roi.get("ReferencedFrameOfReferenceUID") or common or ""))
            found.append((str(roi.get("ROIName") or ""), contours))
    return spaces, found
