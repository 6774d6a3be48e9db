"""Which patients a folder holds: KiTS layout, MOAI layout, or both side by side.

    <case>/imaging.nii.gz, <case>/segmentation.nii.gz             KiTS layout, .nii too
    train/DICOM/<case>/*.dcm, train/Label/<case>/*.png            MOAI layout, with or without train/

The name of the case's folder is the patient's id; ids in headers are never read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nephrite.errors import SourceError
from nephrite.files import PARTIAL
from nephrite.imaging.nifti import open_kits
from nephrite.imaging.volume import Volume

_SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Case:
    """One patient's files: two NIfTI files, or a folder of DICOM files and a folder of PNG labels."""

    patient: str
    layout: Literal["kits", "moai"]
    image: Path
    label: Path


def find_cases(folder: Path) -> list[Case]:
    """List the cases of a folder, sorted by patient.

    Raises:
        SourceError: the folder is missing or holds no case; a scan or label map is missing; a name cannot be a patient
            id; one patient is there twice (ids that differ in upper and lower case only count as one).
    """
    if not folder.is_dir():
        raise SourceError(folder, "is not a folder", "give the folder that holds the cases")
    cases = sorted(_kits_cases(folder) + _moai_cases(folder), key=lambda case: case.patient)
    if not cases:
        finding = "holds no case: neither <case>/imaging.nii.gz nor train/DICOM/<case>"
        raise SourceError(folder, finding, "give a folder in KiTS or MOAI layout")
    _check_ids(cases)
    return cases


def open_volume(case: Case) -> Volume:
    """Open a case's scan and label map with the reader of its layout; raises what that reader raises."""
    if case.layout == "kits":
        return open_kits(case.image, case.label)
    from nephrite.imaging.dicom import open_moai  # pydicom takes a while to import

    return open_moai(case.image, case.label)


def _kits_cases(folder: Path) -> list[Case]:
    cases = []
    for path in _folders(folder):
        image, label = _nifti(path, "imaging"), _nifti(path, "segmentation")
        if image is None and label is None:
            continue
        if image is None or label is None:
            missing = path / ("imaging.nii.gz" if image is None else "segmentation.nii.gz")
            raise SourceError(missing, "is missing", "add the file, or move the case's folder away")
        cases.append(Case(path.name, "kits", image, label))
    return cases


def _nifti(case: Path, role: str) -> Path | None:
    found = [path for suffix in _SUFFIXES if (path := case / f"{role}{suffix}").is_file()]
    if len(found) > 1:
        raise SourceError(case, f"holds both {found[0].name} and {found[1].name}", "keep one of them")
    return found[0] if found else None


def _moai_cases(folder: Path) -> list[Case]:
    """Cases under train/DICOM or DICOM; a folder of either kind without its counterpart is an error."""
    cases = []
    for root in (folder / "train", folder):
        images = {path.name: path for path in _folders(root / "DICOM")}
        labels = {path.name: path for path in _folders(root / "Label")}
        if images.keys() ^ labels.keys():
            name = min(images.keys() ^ labels.keys())
            missing = root / ("Label" if name in images else "DICOM") / name
            raise SourceError(missing, "is missing", "add the folder, or move its counterpart away")
        cases += [Case(name, "moai", path, labels[name]) for name, path in images.items()]
    return cases


def _folders(parent: Path) -> list[Path]:
    """Visible folders in `parent`, without what a killed writer left; empty if there is no `parent`."""
    if not parent.is_dir():
        return []
    names = sorted(path for path in parent.iterdir() if path.is_dir())
    return [path for path in names if not path.name.startswith(".") and not path.name.endswith(PARTIAL)]


def _check_ids(cases: Sequence[Case]) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", case.patient):
            finding = f"{case.patient!r} cannot be a patient id: letters, digits, '.', '_' and '-' only"
            raise SourceError(case.image, finding, "rename the case's folder")
        twin = seen.setdefault(case.patient.lower(), case)
        if twin is not case:
            finding = f"patient {case.patient} is there twice, also as {twin.image}"
            raise SourceError(case.image, finding, "keep one of them")
