from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from nephrite.errors import DicomError, VolumeError
from nephrite.imaging.dicom import open_dicom_scan
from nephrite.imaging.dicom_file import read_content

WriteSlice = Callable[..., Path]
WITHOUT, BARE_IMPLICIT, BARE_EXPLICIT = UID("1.2.9.1"), UID("1.2.9.2"), UID("1.2.9.3")
VALUES = (np.arange(48).reshape(6, 8) * 20 + 300).astype(np.uint16)  # 12 bits


def recompress(path: Path, syntax: str, old: str = "1.2.840.10008.1.2.1") -> None:
    """Say another transfer syntax of the same length in the file's header."""
    was = old.encode() + b"\0" * (len(old) % 2)
    content = path.read_bytes()
    start = content.index(was)
    rest = content[start + len(was) :]
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    group_length = int.from_bytes(content[140:144], "little") + len(new) - len(was)
    head = content[:140] + group_length.to_bytes(4, "little") + content[144 : start - 2]
    path.write_bytes(head + len(new).to_bytes(2, "little") + new + rest)


def jpeg_lossless(path: Path) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def store_as(path: Path, syntax: UID) -> None:
    """Write a file again in another transfer syntax, without a word about it, or as a bare data set."""
    if syntax == JPEGLosslessSV1:
        jpeg_lossless(path)
        return
    header = dcmread(path)
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        header.compress(syntax, generate_instance_uid=False)
    elif syntax in (DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian):
        header.file_meta.TransferSyntaxUID = syntax
    elif syntax == ExplicitVRBigEndian:
        header.file_meta.TransferSyntaxUID = syntax
        swapped = Dataset()
        swapped.update(header)
        swapped.file_meta = header.file_meta
        swapped.PixelData = header.pixel_array.byteswap().tobytes()
        swapped.save_as(path, enforce_file_format=True)
        return
    if syntax in (WITHOUT, BARE_IMPLICIT, BARE_EXPLICIT):
        bare = Dataset()
        bare.update(header)
        bare.save_as(path, implicit_vr=syntax == BARE_IMPLICIT, little_endian=True)
        if syntax == WITHOUT:  # preamble and meta information without the one element
            path.write_bytes(bytes(128) + b"DICM" + path.read_bytes())
        return
    header.save_as(path, enforce_file_format=True)


SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    WITHOUT,
    BARE_IMPLICIT,
    BARE_EXPLICIT,
]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", ["a.dcm", "a"])
def test_every_transfer_syntax_gives_the_same_voxels(
    write_slice: WriteSlice, tmp_path: Path, syntax: UID, signed: bool, name: str
) -> None:
    large = np.tile(VALUES, (8, 8))
    stored = large.astype(np.int16) - 900 if signed else large
    store_as(write_slice(name, 0.0, stored), syntax)
    block = next(open_dicom_scan(tmp_path / "ct").image_blocks(1))[1]
    assert np.array_equal(block[0], np.maximum(stored.astype(int) - 1024, -1024))


def test_truncated_compressed_pixels_are_refused(write_slice: WriteSlice, tmp_path: Path) -> None:
    path = write_slice("a.dcm", 0.0, np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16))
    store_as(path, JPEGLosslessSV1)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VolumeError, match=r"a\.dcm: pixel data are missing, truncated or damaged"):
        next(open_dicom_scan(tmp_path / "ct").image_blocks(1))


def test_shape_of_pixels_that_differs_from_the_header_is_refused(write_slice: WriteSlice, tmp_path: Path) -> None:
    write_slice("a.dcm", 0.0, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, Columns=2)
    with pytest.raises(VolumeError, match=r"a\.dcm: pixel data"):
        next(open_dicom_scan(tmp_path / "ct").image_blocks(1))


def test_unknown_transfer_syntax_is_refused(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0)
    recompress(path, "1.2.840.10008.1.2.4.999")
    with pytest.raises(DicomError, match=r"1\.2\.840\.10008\.1\.2\.4\.999 is unknown"):
        read_content(path)


def test_compression_that_no_decoder_reads_is_refused_by_name(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0, BitsStored=12, HighBit=11)
    recompress(path, JPEGExtended12Bit)
    with pytest.raises(DicomError, match=r"JPEG Extended.* with 12 bits, which no decoder here reads; decompress"):
        read_content(path)


def test_missing_decoder_is_named(write_slice: WriteSlice, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_slice("a.dcm", 0.0)
    recompress(path, HTJ2KLossless)
    read_content(path)
    monkeypatch.setattr("pydicom.pixels.common.CoderBase.is_available", False)
    with pytest.raises(DicomError, match=r"High-Throughput JPEG 2000.*\(1\.2\.840\.10008\.1\.2\.4\.201\).*install one"):
        read_content(path)


def test_compressed_pixels_of_a_syntax_that_is_not_said_are_refused(write_slice: WriteSlice) -> None:
    path = write_slice("a.dcm", 0.0)
    header = dcmread(path)
    header.compress(RLELossless, generate_instance_uid=False)
    header.save_as(path)
    recompress(path, "1.2", old=RLELossless)
    header = dcmread(path, force=True)
    del header.file_meta.TransferSyntaxUID
    header.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(DicomError, match="does not say how its pixels are compressed"):
        read_content(path)
