"""The scans that a person points at: one file, one DICOM series, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from nephrite.errors import SourceError
from nephrite.imaging.cases import Scan
from nephrite.imaging.dicom_elements import is_dicom
from nephrite.imaging.dicom_file import read_content
from nephrite.imaging.layouts.filed import SUFFIXES
from nephrite.imaging.sources import check_ids, find_scans

IMAGING = "imaging"  # in KiTS layout the folder names the patient


def scans_at(place: Path) -> list[Scan]:
    """List the scans at a place, sorted by patient.

    Args:
        place: a NIfTI file; a folder that holds the slices of one DICOM series itself; or any folder of `find_scans`.

    Raises:
        SourceError: it is missing, is another file, or is refused by `find_scans`.
        DicomError: a DICOM file is damaged.
    """
    if place.is_file():
        scans = [Scan(_name(place), "nifti", place)]
    elif place.is_dir() and _holds_slices(place):
        scans = [Scan(place.resolve().name, "dicom", place)]
    elif place.is_dir():
        return find_scans(place)
    else:
        raise SourceError(place, "is not there", "give a NIfTI file, a DICOM series, or a folder of scans")
    check_ids(scans)
    return scans


def _name(file: Path) -> str:
    """The patient that a NIfTI file is of."""
    for suffix in SUFFIXES:
        if file.name.endswith(suffix):
            name = file.name.removesuffix(suffix)
            return file.resolve().parent.name if name == IMAGING else name
    if is_dicom(file):
        raise SourceError(file, "is one DICOM file, and a scan is a series of them", "give the folder of the series")
    raise SourceError(file, "is no scan: neither NIfTI (.nii, .nii.gz) nor DICOM", "give a scan, or a folder of scans")


def _holds_slices(folder: Path) -> bool:
    """Whether a DICOM series lies in the folder itself; a DICOMDIR alone is none."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    return any(is_dicom(path) and read_content(path).kind == "slices" for path in files)
