"""Small DICOM series and a local HTTP host that fails on demand."""

from __future__ import annotations

import gzip
import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, SegmentationStorage

WriteSlice = Callable[..., Path]


@pytest.fixture
def write_slice(tmp_path: Path) -> WriteSlice:
    """Write one 6 x 8 CT slice of stored value 1000 at z mm into tmp_path/ct; an element set to None is left out."""

    def write(name: str, z: float, pixels: np.ndarray | None = None, **elements: Any) -> Path:
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID, header.Modality = (
            CTImageStorage,
            f"1.2.{zlib.crc32(name.encode())}",
            "CT",
        )
        header.SeriesInstanceUID, header.InstanceNumber = "1.2.840.111111", 1
        header.PatientID, header.PatientName = "", "Doe^Jane"
        header.ImagePositionPatient, header.ImageOrientationPatient = [-4, -3, z], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.SliceThickness = [0.5, 0.75], 2
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
        stored = np.full((6, 8), 1000, np.uint16) if pixels is None else pixels
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.set_pixel_data(stored, "MONOCHROME2", stored.dtype.itemsize * 8, generate_instance_uid=False)
        for keyword, value in elements.items():
            if value is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, value)
        path = tmp_path / "ct" / name
        path.parent.mkdir(exist_ok=True)
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.save_as(path, enforce_file_format=True)
        return path

    return write


@dataclass
class FaultyHost:
    """Serves `files` with ETags and ranges; each request first takes a fault from `faults`, if one is left.

    Faults: a status number; "cut" sends half of the body and closes; "changed" does so too, and has another file then;
    "whole" ignores the range asked for.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[int | str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)  # the Range header of every request so far


class _Handler(BaseHTTPRequestHandler):
    host: FaultyHost

    def do_GET(self) -> None:
        fault = self.host.faults.pop(0) if self.host.faults else None
        self.host.ranges.append(self.headers["Range"])
        body = self.host.files.get(self.path)
        if body is None or isinstance(fault, int):
            self._reply(fault if isinstance(fault, int) else 404, b"")
            return
        tag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        asked = self.headers["Range"] if fault != "whole" else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(body):
            self._reply(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return
        extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if asked else {}
        rest = body[start:]
        if fault == "changed":
            self.host.files[self.path] = body + body
        self._reply(206 if asked else 200, rest, {"ETag": tag, **extra}, cut=fault in ("cut", "changed"))

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def host() -> Iterator[FaultyHost]:
    """A local HTTP host for the time of a test."""
    faulty = FaultyHost()
    handler = type("Handler", (_Handler,), {"host": faulty})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        faulty.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield faulty
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def scan_bytes() -> bytes:
    """A gzip file of some 80 kB."""
    return gzip.compress(np.random.default_rng(0).bytes(80_000), mtime=0)


SPACE = "1.2.840.777777"  # frame of reference of slices and label objects
WriteObject = Callable[..., Path]


def _empty(uid: UID, modality: str) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = uid
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    header.Modality, header.SeriesInstanceUID, header.StudyInstanceUID = modality, "1.2.9", "1.2.8"
    header.PatientName, header.PatientID = "Doe^Jane", "X99"
    return header


@pytest.fixture
def write_stack(write_slice: WriteSlice) -> Callable[..., Path]:
    """Write three slices at 30, 25 and 20 mm, 0.5 mm between rows, 0.75 mm between columns; return the folder."""

    def write(**elements: Any) -> Path:
        for number, z in enumerate((30.0, 25.0, 20.0)):
            path = write_slice(f"{number}.dcm", z, **{"FrameOfReferenceUID": SPACE, **elements})
        return path.parent

    return write


@pytest.fixture
def write_seg(tmp_path: Path) -> WriteObject:
    """Write a DICOM SEG of (segment number, z in mm, mask) frames on the grid of `write_stack`."""

    def write(
        names: list[str], frames: list[tuple[int, float, np.ndarray]], kind: str = "BINARY", **elements: Any
    ) -> Path:
        uid = UID("1.2.840.10008.5.1.4.1.1.66.7") if kind == "LABELMAP" else SegmentationStorage
        header = _empty(uid, "SEG")
        header.FrameOfReferenceUID, header.SegmentationType = SPACE, kind
        header.SegmentSequence = []
        for number, name in enumerate(names, start=1):
            segment = Dataset()
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-D0050", "SRT", "Tissue"
            segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType = number, name, "MANUAL"
            segment.SegmentedPropertyCategoryCodeSequence = segment.SegmentedPropertyTypeCodeSequence = [code]
            header.SegmentSequence.append(segment)
        shared, measures, axes = Dataset(), Dataset(), Dataset()
        measures.PixelSpacing, measures.SliceThickness = elements.pop("spacing", [0.5, 0.75]), 5
        axes.ImageOrientationPatient = elements.pop("axes", [1, 0, 0, 0, 1, 0])
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [axes]
        header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [shared], []
        corner = elements.pop("corner", [-4, -3])
        for number, z, _ in frames:
            groups, place, which = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = [*corner, z]
            which.ReferencedSegmentNumber = number
            groups.PlanePositionSequence, groups.SegmentIdentificationSequence = [place], [which]
            header.PerFrameFunctionalGroupsSequence.append(groups)
        stack = np.stack([mask for _, _, mask in frames]).astype(np.uint8)
        header.Rows, header.Columns, header.NumberOfFrames = *stack.shape[1:], len(stack)
        header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
        bits = 1 if kind == "BINARY" else 8
        header.BitsAllocated, header.BitsStored, header.HighBit = bits, bits, bits - 1
        header.PixelData = pack_bits(stack.ravel()) if kind == "BINARY" else stack.tobytes() + b"\0" * (stack.size % 2)
        for keyword, value in elements.items():
            setattr(header, keyword, value)
        path = tmp_path / "ct" / "seg.dcm"
        path.parent.mkdir(exist_ok=True)
        header.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_structures(tmp_path: Path) -> WriteObject:
    """Write an RTSTRUCT of (name, contours); a contour is a list of points in mm."""

    def write(rois: list[tuple[str, list[np.ndarray]]], space: str = SPACE, kind: str = "CLOSED_PLANAR") -> Path:
        header = _empty(RTStructureSetStorage, "RTSTRUCT")
        header.StructureSetROISequence, header.ROIContourSequence = [], []
        for number, (name, contours) in enumerate(rois, start=1):
            roi, drawn = Dataset(), Dataset()
            roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, space
            drawn.ReferencedROINumber, drawn.ContourSequence = number, []
            for points in contours:
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
                contour.ContourData = [f"{value:.4f}" for value in np.ravel(points)]
                drawn.ContourSequence.append(contour)
            header.StructureSetROISequence.append(roi)
            header.ROIContourSequence.append(drawn)
        path = tmp_path / "ct" / "rs.dcm"
        path.parent.mkdir(exist_ok=True)
        header.save_as(path, enforce_file_format=True)
        return path

    return write
