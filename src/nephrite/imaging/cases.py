"""A case's files, and a scan's: what is found in a folder, and opened by the reader of its layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nephrite.imaging.layouts.pairing import Channel


@dataclass(frozen=True)
class Case:
    """One patient's files: two NIfTI files, a folder of DICOM files and one of labels, or one folder of both.

    Attributes:
        patient: name of the case.
        layout: which reader opens it: two NIfTI files are 'kits', wherever they lie.
        image: file or folder of the scan.
        label: file or folder of the label map.
        person: whose scan it is, where the layout tells.
        channels: of a scan of which some were asked for, or that has several; the image is the first.
    """

    patient: str
    layout: Literal["kits", "moai", "dicom"]
    image: Path
    label: Path
    person: str | None = None
    channels: tuple[Channel, ...] = ()

    @property
    def scan(self) -> Scan:
        """The case without its label map."""
        return Scan(self.patient, "nifti" if self.layout == "kits" else "dicom", self.image, self.person, self.channels)


@dataclass(frozen=True)
class Scan:
    """One patient's scan, whether or not there is a label map: a NIfTI file, or a folder with one DICOM series."""

    patient: str
    layout: Literal["nifti", "dicom"]
    image: Path
    person: str | None = None
    channels: tuple[Channel, ...] = ()
