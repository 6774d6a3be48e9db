"""Scans that are found by the names of their files: pairs, nnU-Net's and the Decathlon's folders, and BIDS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nephrite.errors import SourceError
from nephrite.imaging.layouts.bids import find_bids
from nephrite.imaging.layouts.pairing import CHANNELS, SUFFIX, TEST, TRAINING, find_layout, matching

SUFFIXES = (SUFFIX, ".nii")


@dataclass(frozen=True)
class Filed:
    """A scan, with its label map where there is one.

    Attributes:
        name: of the case.
        image: file of the scan.
        label: file of the label map.
        person: whose scan it is, where the layout tells.
    """

    name: str
    image: Path
    label: Path | None
    person: str | None = None


def labeled_scans(folder: Path) -> list[Filed]:
    """Scans with label maps.

    Raises:
        SourceError: one of a pair is missing, or a scan has several channels; or it is not clear what belongs together.
    """
    found = find_layout(folder, SUFFIXES[1:])
    pairs = [Filed(*pair) for pair in found.pairs()] if found else []
    return pairs + [scan for scan in _of_subjects(folder) if scan.label]


def all_scans(folder: Path) -> list[Filed]:
    """Scans with and without label maps; raises as `labeled_scans`, but for a label map that is missing."""
    if folder.name in (TRAINING, TEST):
        return _alone(folder)
    found = find_layout(folder, SUFFIXES[1:])
    if found is None:
        return _alone(folder / TRAINING) + _alone(folder / TEST) + _of_subjects(folder)
    found.check(found.masks.keys() - found.scans.keys())
    pairs = [Filed(name, path, found.masks.get(name)) for name, path in found.scans.items()]
    return pairs + _alone(folder / TEST) + _of_subjects(folder)


def count_unlabeled(folder: Path) -> int:
    """How many scans lie among the cases of a folder without label maps, as their layout allows."""
    return len(_alone(folder / TEST)) + sum(scan.label is None for scan in _of_subjects(folder))


def nothing_found(folder: Path) -> SourceError:
    """Why a folder has no case, as far as its layout can be guessed."""
    if (folder / TRAINING).is_dir():
        finding = "holds no case: no .nii.gz or .nii in imagesTr has a label map in labelsTr"
        return SourceError(folder, finding, "save scans and label maps as NIfTI, under names that belong together")
    if find_bids(folder):
        finding = "holds scans of subjects, and no label map of theirs (*_dseg, *_label-*_mask) in derivatives"
        return SourceError(folder, finding, "add them, named as the scans are")
    if below := sorted(folder.glob(f"*/{TRAINING}")):
        finding = "holds no case, and is above data sets"
        return SourceError(folder, finding, f"give one of them, such as {below[0].parent.name}")
    finding = (
        "holds no case: neither <case>/imaging.nii.gz, nor train/DICOM/<case>, nor <case>/*.dcm, nor pairs of files"
    )
    return SourceError(folder, finding, "give a folder in a layout of docs/own-data.md")


def _alone(folder: Path) -> list[Filed]:
    """Scans of imagesTr or imagesTs by their names, without nnU-Net's mark where each has it."""
    plain = matching(folder, f"*{SUFFIX}", SUFFIXES[1:])
    marked = matching(folder, f"*{CHANNELS[0]}{SUFFIX}", SUFFIXES[1:])
    scans = marked if len(marked) == len(plain) else plain
    return [Filed(name, path, None) for name, path in scans.items()]


def _of_subjects(folder: Path) -> list[Filed]:
    return [Filed(case.name, case.image, case.label, case.subject) for case in find_bids(folder)]
