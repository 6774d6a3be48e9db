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
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

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
