"""Folders of label maps: which file is whose prediction, by which arm and replicate.

Predictions lie in ARM/REPLICATE/ID.nii.gz. Folders between a replicate and its label maps are folds of one
cross-validation, as nnU-Net writes them: ARM/REPLICATE/fold_0/validation/ID.nii.gz.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nephrite.config import SetLabel
from nephrite.errors import SourceError
from nephrite.files import PARTIAL, as_record
from nephrite.record_fields import STRICT, Line, PatientId

SUFFIXES = (".nii.gz", ".nii", ".dcm")  # the last one of a DICOM SEG
KITS = "segmentation"  # a label map in its patient's own folder
LAYOUT = "put label maps into ARM/REPLICATE/ID.nii.gz"


@dataclass(frozen=True)
class Predicted:
    """One predicted label map: whose, by which arm and replicate, and in which fold, if folds are told."""

    __pydantic_config__ = STRICT

    patient: PatientId
    arm: SetLabel
    replicate: Line
    fold: Line | None
    path: Path


def find_predictions(folder: Path) -> list[Predicted]:
    """The label maps of all arms.

    Raises:
        SourceError: the folder is missing or empty, an arm has no replicate or label map, or a patient is there twice.
    """
    found: list[Predicted] = []
    for arm in _folders(folder):
        if loose := label_maps(arm.iterdir()):
            raise SourceError(loose[0][1], "lies beside the replicates of its arm", LAYOUT)
        for replicate in _folders(arm):
            found += _of_replicate(arm.name, replicate)
    return found


def find_references(folder: Path) -> dict[str, Path]:
    """Patient to the reader's label map.

    Raises:
        SourceError: the folder is missing or holds none, or one patient has two.
    """
    remedy = f"name a folder of ID.nii.gz, or of ID/{KITS}.nii.gz"
    if not folder.is_dir():
        raise SourceError(folder, "is no folder", remedy)
    inside = sorted(folder.iterdir())
    maps = label_maps(inside)
    maps += [
        (path.name, file)
        for path in inside
        if path.is_dir()
        for name, file in label_maps(path.iterdir())
        if name == KITS
    ]
    found: dict[str, Path] = {}
    for patient, path in maps:
        if patient in found:
            raise SourceError(path, f"'{patient}' has a second label map, {found[patient]}", "keep one of them")
        found[patient] = path
    if not found:
        raise SourceError(folder, "holds no label map", remedy)
    return found


def label_maps(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """Id and file of each label map among some paths."""
    files = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    return [(path.name.removesuffix(end), path) for path in files for end in SUFFIXES if path.name.endswith(end)]


def _of_replicate(arm: str, replicate: Path) -> list[Predicted]:
    """The label maps of one replicate, each patient once."""
    found: dict[str, Predicted] = {}
    for patient, path in label_maps(sorted(replicate.rglob("*"))):
        if patient in found:
            finding = f"'{patient}' is predicted twice, also by {found[patient].path}"
            raise SourceError(path, finding, "keep one: in a cross-validation each patient is predicted once")
        inner = path.relative_to(replicate).parts[:-1]
        names = {"patient": patient, "arm": arm, "replicate": replicate.name, "fold": inner[0] if inner else None}
        found[patient] = as_record({**names, "path": path}, Predicted, path, "rename the folder or the file")
    if not found:
        raise SourceError(replicate, "holds no label map", LAYOUT)
    return [*found.values()]


def _folders(parent: Path) -> list[Path]:
    """Visible folders, without what a killed writer left; there must be one."""
    if not parent.is_dir():
        raise SourceError(parent, "is no folder", LAYOUT)
    found = [path for path in sorted(parent.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    found = [path for path in found if not path.name.endswith(PARTIAL)]
    if not found:
        raise SourceError(parent, "holds no folder", LAYOUT)
    return found
