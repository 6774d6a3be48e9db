"""DICOM SEG (PS3.3 A.51): one plane of pixels per segment and slice, read by highdicom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from pydicom import Dataset

from nephrite.errors import DicomError
from nephrite.imaging.dicom_elements import BROKEN, numbers
from nephrite.imaging.label_maps.placing import Placed, check_space, paste_plane, place_plane
from nephrite.imaging.label_maps.regions import RegionFile
from nephrite.imaging.series import Series

AGAIN = "export it again, or save it as another format"
_BROKEN = (*BROKEN, AttributeError, IndexError, RuntimeError)


class SegmentationFile(RegionFile):
    """A DICOM SEG: binary, fractional (a voxel counts from one half on) or as a label map.

    Raises:
        DicomError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        from highdicom.seg import segread

        self.path = path
        try:
            self._object = segread(path)
            self._segments = {
                number: str(self._object.get_segment_description(number).segment_label)
                for number in self._object.segment_numbers
            }
        except _BROKEN as error:
            # which element is missing says nothing of the person; what an element holds might
            reason = str(error) if isinstance(error, AttributeError) else type(error).__name__
            raise DicomError(path, f"is no DICOM SEG that can be read ({reason})", AGAIN) from error
        self.names = tuple(self._segments.values())
        self._size = (int(self._object.Rows), int(self._object.Columns))
        self._kind = str(self._object.SegmentationType)
        self._planes: dict[int, list[tuple[int, tuple[int, ...], Placed]]] = {}

    def place(self, series: Series, names: Sequence[str]) -> None:
        """See `RegionFile`."""
        check_space(self.path, str(self._object.get("FrameOfReferenceUID") or ""), series)
        wanted = {number for number, name in self._segments.items() if name in names}
        planes = defaultdict(list)
        shared = (self._object.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        for frame, own in enumerate(self._object.get("PerFrameFunctionalGroupsSequence") or [], start=1):
            segments = self._segments_of(frame, own, shared) & wanted
            if segments:
                placed = self._place_frame(series, frame, own, shared)
                planes[placed.position].append((frame, tuple(sorted(segments)), placed))
        self._planes = dict(planes)

    def masks(self, position: int) -> Iterator[tuple[str, Bool[np.ndarray, "rows columns"]]]:
        """See `RegionFile`."""
        for frame, segments, placed in self._planes.get(position, []):
            what = f"frame {frame}"
            values = self._decode(frame, what)
            for segment in segments:
                mask = values == segment if self._kind == "LABELMAP" else self._marked(values)
                yield self._segments[segment], paste_plane(self.path, mask, placed, self._shape, what)

    def _decode(self, frame: int, what: str) -> np.ndarray:
        try:
            return np.asarray(self._object.get_stored_frame(frame))
        except _BROKEN as error:
            finding = f"the pixels of {what} are missing or damaged ({type(error).__name__})"
            raise DicomError(self.path, finding, "fetch the file again") from error

    def _marked(self, values: np.ndarray) -> Bool[np.ndarray, "rows columns"]:
        most = int(self._object.get("MaximumFractionalValue") or 1) if self._kind == "FRACTIONAL" else 1
        marked: Bool[np.ndarray, "rows columns"] = values.astype(np.int64) * 2 >= most
        return marked

    def _segments_of(self, frame: int, own: Dataset, shared: Dataset) -> set[int]:
        if self._kind == "LABELMAP":
            return set(self._segments)
        item = (own.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence") or [None])[0]
        number = None if item is None else numbers(item, "ReferencedSegmentNumber", 1)
        if number is None or int(number[0]) not in self._segments:
            raise DicomError(self.path, f"frame {frame} does not say which segment it shows", AGAIN)
        return {int(number[0])}

    def _place_frame(self, series: Series, frame: int, own: Dataset, shared: Dataset) -> Placed:
        # where it lies, by its own groups or those that all frames share
        flat = Dataset()
        for name in ("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"):
            for item in (own.get(name) or shared.get(name) or [])[:1]:
                flat.update(item)
        counts = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
        origin, axes, spacing = (numbers(flat, keyword, count) for keyword, count in counts.items())
        if origin is None or axes is None or spacing is None:
            finding = f"frame {frame} does not say where it lies ({', '.join(counts)})"
            raise DicomError(self.path, finding, AGAIN)
        # the slice and the pixels there
        self._shape = series.images[0].size
        return place_plane(
            self.path,
            series,
            f"frame {frame}",
            origin=origin,
            directions=axes.reshape(2, 3),
            spacing=(float(spacing[0]), float(spacing[1])),
            size=self._size,
        )
