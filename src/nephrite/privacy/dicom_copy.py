"""A DICOM file without what says who was scanned: the elements that readers need stay, by name, and all else goes.

Private elements, overlays and comments are on no list, so they go, whatever they hold. Unique identifiers are hashed
with the local salt, the same to the same, so that a segmentation still belongs to its series. Pixel data stay as they
are stored, compressed or not. Elements of code strings keep known codes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from nephrite.errors import DicomError
from nephrite.imaging.dicom_elements import BROKEN

REGISTERED = "1.2.840.10008."  # identifiers that the standard defines: kinds of objects, ways of storing them
METHOD = "Nephrite: allow-list of elements"
KEPT = (
    # what it is, and how its pixels are stored and meant
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality ImageType"
    " InstanceNumber SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns"
    " BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit RescaleSlope"
    " RescaleIntercept RescaleType WindowCenter WindowWidth LossyImageCompression PixelData ExtendedOffsetTable"
    " ExtendedOffsetTableLengths"
    # where it lies
    " ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness SpacingBetweenSlices SliceLocation"
    " GantryDetectorTilt PatientPosition"
    # enhanced multi-frame: functional groups
    " SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence PlanePositionSequence"
    " PlaneOrientationSequence PixelValueTransformationSequence FrameContentSequence DimensionIndexValues"
    " InStackPositionNumber DimensionOrganizationSequence DimensionOrganizationUID DimensionOrganizationType"
    " DimensionIndexSequence DimensionIndexPointer FunctionalGroupPointer"
    # segmentations
    " SegmentationType SegmentationFractionalType MaximumFractionalValue SegmentsOverlap SegmentSequence SegmentNumber"
    " SegmentLabel SegmentAlgorithmType SegmentedPropertyCategoryCodeSequence SegmentedPropertyTypeCodeSequence"
    " CodeValue CodingSchemeDesignator CodeMeaning SegmentIdentificationSequence ReferencedSegmentNumber"
    " DerivationImageSequence SourceImageSequence ReferencedSeriesSequence ReferencedInstanceSequence"
    " ReferencedSOPClassUID ReferencedSOPInstanceUID ReferencedFrameNumber"
    # structure sets
    " StructureSetROISequence ROINumber ROIName ReferencedFrameOfReferenceUID ROIContourSequence ReferencedROINumber"
    " ContourSequence ContourGeometricType NumberOfContourPoints ContourData ContourImageSequence"
    " ReferencedFrameOfReferenceSequence RTReferencedStudySequence RTReferencedSeriesSequence"
)
NAMES = {"SegmentLabel", "ROIName", "CodeValue", "CodingSchemeDesignator", "CodeMeaning"}  # by which classes are found
CODES = (
    "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME MIXED NONE MONOCHROME1 MONOCHROME2 RGB YBR_FULL"
    " YBR_FULL_422 YBR_RCT YBR_ICT CT MR OT SEG RTSTRUCT BINARY FRACTIONAL LABELMAP PROBABILITY OCCUPANCY YES NO"
    " UNDEFINED MANUAL AUTOMATIC SEMIAUTOMATIC CLOSED_PLANAR CLOSEDPLANAR_XOR OPEN_PLANAR OPEN_NONPLANAR POINT"
    " HFS HFP FFS FFP HFDR HFDL FFDR FFDL 3D 3D_TEMPORAL TILED_FULL TILED_SPARSE 00 01 HU US PALETTE_COLOR"
)
_CODES = {code.replace("PALETTE_", "PALETTE ") for code in CODES.split()}
_TAGS = {Tag(number): name for name in KEPT.split() if (number := tag_for_keyword(name)) is not None}
_TEXT = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
_BYTES = {"OB", "OW", "OV", "OB or OW"}
_BINARY = {"PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"}
_NUMBERS = {"AT", "DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"}
_EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
_BROKEN = (*BROKEN, AttributeError)  # the latter where an element is to be written


def copy_dicom(source: Path, target: Path, salt: str) -> None:
    """Copy what readers need of a slice, a multi-frame scan, a segmentation or a structure set.

    Raises:
        DicomError: the file is no DICOM, or is damaged.
    """
    try:
        header = dcmread(source, force=True)
        if not header:
            raise DicomError(source, "is empty or not DICOM", "fetch the file again")
        clean = clean_dataset(header, salt)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = _syntax(source, header)
        named = header.file_meta.get("MediaStorageSOPClassUID") or ""
        meta.MediaStorageSOPClassUID = UID(str(clean.get("SOPClassUID") or _new_uid(str(named), salt)))
        meta.MediaStorageSOPInstanceUID = UID(str(clean.get("SOPInstanceUID") or _new_uid(source.name, salt)))
        clean.file_meta = meta
        content = BytesIO()
        clean.save_as(content, enforce_file_format=True)
    except _BROKEN as error:
        raise DicomError(source, f"cannot be de-identified ({type(error).__name__})", "fetch it again") from error
    # apart from the above: what a disk answers says nothing about the source
    target.write_bytes(content.getbuffer())


def clean_dataset(header: Dataset, salt: str) -> Dataset:
    """The elements that may stay, with identifiers hashed, and a note that the identity was removed."""
    clean = _kept(header, lambda uid: _new_uid(uid, salt))
    clean.SpecificCharacterSet = "ISO_IR 192"
    for name in _EMPTY:  # must be there, and may be empty
        setattr(clean, name, "")
    clean.PatientIdentityRemoved, clean.DeidentificationMethod = "YES", METHOD
    return clean


def _kept(header: Dataset, new_uid: Callable[[str], str]) -> Dataset:
    clean = Dataset()
    for tag in header.keys():  # noqa: SIM118 # a data set iterates over elements, and reads each one for that
        if not (name := _TAGS.get(BaseTag(tag))):
            continue
        try:
            element = header[tag]
            value = _value(name, element, new_uid)
        except (*_BROKEN, OverflowError):  # a value that is no number where one must stand may be anything
            continue
        if value is not None:
            made = DataElement(tag, element.VR, value, already_converted=True)
            made.is_undefined_length = element.is_undefined_length
            clean[tag] = made
    return clean


def _value(name: str, element: DataElement, new_uid: Callable[[str], str]) -> Any:
    """What an element may say: None for nothing."""
    kind, value = element.VR, element.value
    if kind == "SQ":
        return Sequence([_kept(item, new_uid) for item in value])
    if kind in _NUMBERS:
        numbers = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
        for number in filter(None, numbers):
            float(number)  # raises where text stands in place of a number
        return value
    if (kind in _TEXT and name in NAMES) or (kind in _BYTES and name in _BINARY):
        return value
    # identifiers and code strings, of which there may be several
    known: list[str]
    several = [value] if isinstance(value, str) else list(value or []) if kind in _TEXT | {"UI"} else []
    if kind == "UI":
        known = [UID(new_uid(str(uid))) for uid in several if uid]
    else:
        known = [text for text in several if text in _CODES]
    return (known[0] if len(known) == 1 else known) if known else None


def _new_uid(uid: str, salt: str) -> str:
    if uid.startswith(REGISTERED):
        return uid
    return str(generate_uid(entropy_srcs=[salt, uid]))


def _syntax(path: Path, header: FileDataset) -> UID:
    """How the elements are stored; a file that does not say it, and is compressed, cannot be told."""
    if given := header.file_meta.get("TransferSyntaxUID"):
        return UID(given)
    if "PixelData" in header and header["PixelData"].is_undefined_length:
        finding = "does not say how its pixels are compressed (no TransferSyntaxUID)"
        raise DicomError(path, finding, "export it again with its file meta information")
    implicit, little = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
