"""Scans that are found by the names of their files: pairs, nnU-Net's and the Decathlon's folders, and BIDS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nephrite.errors import SourceError
from nephrite.imaging.layouts.bids import find_bids
from nephrite.imaging.layouts.description import channel_names, channel_numbers
from nephrite.imaging.layouts.pairing import CHANNELS, SUFFIX, TEST, TRAINING, Channel, Found, find_layout, matching

SUFFIXES = (SUFFIX, ".nii")


@dataclass(frozen=True)
class Filed:
    """A scan, with its label map where there is one.

    Attributes:
        name: of the case.
        image: file of the scan.
        label: file of the label map.
        person: whose scan it is, where the layout tells.
        channels: those that were asked for, of which the image is the first.
    """

    name: str
    image: Path
    label: Path | None
    person: str | None = None
    channels: tuple[Channel, ...] = ()


def labeled_scans(folder: Path, wanted: Sequence[str] = ()) -> list[Filed]:
    """Scans with label maps.

    Args:
        folder: of a data set.
        wanted: names of channels; without any, scans have one.

    Raises:
        SourceError: one of a pair is missing, or a scan has several channels and none is wanted; a channel is missing;
            or it is not clear what belongs together.
    """
    found = find_layout(folder, SUFFIXES[1:])
    pairs = found.pairs(several=bool(wanted)) if found else []
    scans = [_filed(pair.name, pair.image, pair.label, _channels(folder, found, pair.name, wanted)) for pair in pairs]
    return scans + [scan for scan in _of_subjects(folder, wanted) if scan.label]


def all_scans(folder: Path, wanted: Sequence[str] = ()) -> list[Filed]:
    """Scans with and without label maps; raises as `labeled_scans`, but for a label map that is missing."""
    if folder.name in (TRAINING, TEST):
        return _alone(folder, wanted)
    found = find_layout(folder, SUFFIXES[1:])
    if found is None:
        return _alone(folder / TRAINING, wanted) + _alone(folder / TEST, wanted) + _of_subjects(folder, wanted)
    found.check(found.masks.keys() - found.scans.keys(), several=bool(wanted))
    pairs = [
        _filed(name, path, found.masks.get(name), _channels(folder, found, name, wanted))
        for name, path in found.scans.items()
    ]
    return pairs + _alone(folder / TEST, wanted) + _of_subjects(folder, wanted)


def count_unlabeled(folder: Path, wanted: Sequence[str] = ()) -> int:
    """How many scans lie among the cases of a folder without label maps, as their layout allows."""
    return len(_alone(folder / TEST, wanted)) + sum(scan.label is None for scan in _of_subjects(folder, wanted))


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


def _channels(folder: Path, found: Found | None, name: str, wanted: Sequence[str]) -> tuple[Channel, ...]:
    if not wanted or found is None:
        return ()
    numbers, stacked = channel_numbers(folder, wanted), len(channel_names(folder)) != 1
    return found.channels(name, numbers, stacked=stacked)


def _alone(folder: Path, wanted: Sequence[str] = ()) -> list[Filed]:
    """Scans of imagesTr or imagesTs by their names, without nnU-Net's mark where each has it."""
    plain = matching(folder, f"*{SUFFIX}", SUFFIXES[1:])
    if wanted and plain:
        number = channel_numbers(folder.parent, wanted)[0]
        marked = matching(folder, f"*_{number:04d}{SUFFIX}", SUFFIXES[1:])
        stacked = {name: Channel(path, number) for name, path in plain.items()}
        channels = {name: Channel(path) for name, path in marked.items()} or stacked
        return [Filed(name, channel.path, None, channels=(channel,)) for name, channel in channels.items()]
    marked = matching(folder, f"*{CHANNELS[0]}{SUFFIX}", SUFFIXES[1:])
    scans = marked if len(marked) == len(plain) else plain
    return [Filed(name, path, None) for name, path in scans.items()]


def _filed(name: str, image: Path, label: Path | None, channels: tuple[Channel, ...]) -> Filed:
    return Filed(name, channels[0].path if channels else image, label, channels=channels)


def _of_subjects(folder: Path, wanted: Sequence[str] = ()) -> list[Filed]:
    return [
        Filed(case.name, case.image, case.label, case.subject, tuple(map(Channel, case.channels)))
        for case in find_bids(folder, wanted)
    ]
