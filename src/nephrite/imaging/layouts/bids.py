"""The Brain Imaging Data Structure: scans of subjects and sessions, and label maps that were derived from them.

    sub-<label>/[ses-<label>/]anat/<entities>_<suffix>.nii.gz                       a scan; ct/ and pet/ as well
    derivatives/<pipeline>/sub-<label>/.../<entities>[...]_dseg.nii.gz              its label map
    derivatives/<pipeline>/sub-<label>/.../<entities>[...]_label-<label>_mask.nii.gz  the same, of one class

A label map belongs to the scan whose entities it repeats (BIDS 1.10, "Imaging data types", "Masks" and
"Segmentations"); it may add what says how it was made. One that lies in another space or resolution than the scan is
of no scan here. Sessions of a subject are scans of one patient.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nephrite.errors import SourceError

DERIVATIVES = "derivatives"
NO_SUBJECTS = {DERIVATIVES, "sourcedata", "code", "stimuli"}  # folders of the standard that hold other things
SUFFIXES = (".nii.gz", ".nii")
TYPES = ("anat", "ct", "pet")  # folders of volumes; the others hold series in time
SEGMENTED, MASK, LABEL = "dseg", "mask", "label"
NO_SCANS = {SEGMENTED, MASK, "probseg", "defacemask"}
MADE_BY = {LABEL, "desc", "seg", "atlas"}  # entities that say what a label map shows, and how it was made
SPACE, ORIGINAL = "space", "orig"
NAMES_TABLE = f"*{SEGMENTED}.tsv"


class Named(NamedTuple):
    """A file with what its name says.

    Attributes:
        path: of it.
        entities: key to value, in the order of the name.
        suffix: what it is.
    """

    path: Path
    entities: Mapping[str, str]
    suffix: str

    @property
    def name(self) -> str:
        """Its entities in one word."""
        return "_".join(f"{key}-{value}" for key, value in self.entities.items())

    @property
    def subject(self) -> str:
        """Whose it is."""
        return f"sub-{self.entities['sub']}"


@dataclass(frozen=True)
class BidsCase:
    """A scan, with its label map where one was derived from it, and its channels where they were asked for."""

    name: str
    subject: str
    image: Path
    label: Path | None
    channels: tuple[Path, ...] = ()


def find_bids(folder: Path, wanted: Sequence[str] = ()) -> list[BidsCase]:
    """Scans of a data set, sorted by name.

    Args:
        folder: of the data set.
        wanted: suffixes of the scans that are channels of one; without any, each scan stands for itself.

    Raises:
        SourceError: a label map belongs to several scans, or a scan has several; label maps are of several kinds; or a
            channel is missing.
    """
    groups: dict[str, list[Named]] = {}
    for scan in _scans(folder):
        if not wanted or scan.suffix in wanted:
            groups.setdefault(scan.name if wanted else scan.path.as_posix(), []).append(scan)
    # one label map for a scan, and one scan for a label map
    owned: dict[str, Named] = {}
    for label in _labels(folder) if groups else ():
        mine = [key for key, group in groups.items() if any(_is_of(label, scan) for scan in group)]
        if len(mine) > 1:
            first, second = (groups[key][0].path.name for key in mine[:2])
            remedy = (
                "name those to learn from in 'acquire.channels' (or one by --channel), as T1w, or move the others "
                "out of the data set"
            )
            raise SourceError(label.path, f"belongs to several scans by its name: {first} and {second}", remedy)
        for key in mine:
            _check_kind(label, next(iter(owned.values()), label))
            if (twin := owned.setdefault(key, label)) is not label:
                finding = f"is a second label map of {groups[key][0].path.name}, beside {twin.path}"
                raise SourceError(label.path, finding, "move one of them away")
    cases = [_as_case(group, owned.get(key), wanted) for key, group in groups.items()]
    return sorted(cases, key=lambda case: case.name)


def _as_case(group: Sequence[Named], label: Named | None, wanted: Sequence[str]) -> BidsCase:
    """Scans that are channels of one, in the order that is wanted."""
    first = group[0]
    found = {scan.suffix: scan.path for scan in group}
    if len(found) < len(group):
        raise SourceError(first.path, f"is there twice, as {group[1].path.name} too", "keep one of them")
    if label and (missing := [suffix for suffix in wanted if suffix not in found]):
        finding = f"has no '{missing[0]}' beside it, a channel to learn from"
        raise SourceError(first.path, finding, "add the scan, or correct 'acquire.channels'")
    channels = [found[suffix] for suffix in wanted if suffix in found] or [first.path]
    return BidsCase(first.name, first.subject, channels[0], label and label.path, tuple(channels) if wanted else ())


def class_names(folder: Path) -> dict[int, str]:
    """Names of label values: of tables beside segmentations, or that of the one class of masks.

    A value that tables name in two ways has no name.
    """
    root, found = folder / DERIVATIVES, dict[int, set[str]]()
    for path in sorted(root.rglob(NAMES_TABLE)):
        for value, name in _table(path):
            found.setdefault(value, set()).add(name)
    masks = set() if found else {label.entities.get(LABEL, "") for label in _labels(folder)} - {""}
    if len(masks) == 1:
        found = {1: masks}
    return {value: min(names) for value, names in found.items() if len(names) == 1}


def _scans(folder: Path) -> Iterator[Named]:
    for subject in sorted(folder.glob("sub-*")):
        for path in sorted(subject.rglob("*.nii*")):
            named = _named(path)
            if path.parent.name in TYPES and named and named.suffix not in NO_SCANS:
                yield named


def _labels(folder: Path) -> Iterator[Named]:
    """Label maps of any pipeline; masks that do not say of what are of the brain, mostly, and left out."""
    for path in sorted((folder / DERIVATIVES).rglob("*.nii*")):
        named = _named(path)
        if named and (named.suffix == SEGMENTED or (named.suffix == MASK and LABEL in named.entities)):
            yield named


def _named(path: Path) -> Named | None:
    """What the name of a file says; None where it is none of the standard."""
    ending = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if ending is None:
        return None
    *parts, suffix = path.name.removesuffix(ending).split("_")
    found = [re.fullmatch(r"([a-z]+)-([A-Za-z0-9+]+)", part) for part in parts]
    entities = {match[1]: match[2] for match in found if match}
    return Named(path, entities, suffix) if "sub" in entities and len(entities) == len(parts) else None


def _is_of(label: Named, scan: Named) -> bool:
    """Whether a label map repeats the entities of a scan, and adds none that say that its voxels are others."""
    if any(label.entities.get(key) != value for key, value in scan.entities.items()):
        return False
    added = label.entities.keys() - scan.entities.keys()
    in_place = label.entities.get(SPACE) in (ORIGINAL, scan.suffix)
    return added <= MADE_BY | ({SPACE} if in_place else set())


def _check_kind(label: Named, first: Named) -> None:
    """Refuse label maps whose values need not mean the same."""
    kinds = [(each.suffix, *(each.entities.get(key) for key in sorted(MADE_BY))) for each in (label, first)]
    if kinds[0] != kinds[1]:
        finding = f"is another kind of label map than {first.path.name}"
        remedy = f"keep one kind; where each class has a mask of its own, save them as one '_{SEGMENTED}' per scan"
        raise SourceError(label.path, finding, remedy)


def _table(path: Path) -> Iterator[tuple[int, str]]:
    """Values and names of a table, without background and what is no table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                value, name = str(row.get("index") or ""), str(row.get("name") or "").strip()
                if value.isdecimal() and int(value) and name:
                    yield int(value), name
    except (OSError, ValueError, csv.Error):
        return
