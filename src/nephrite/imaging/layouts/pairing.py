"""Scans and label maps that are pairs by their names: one table, for scans of one's own and for synthetic ones.

The layouts of generators were taken from the sources of the programs that write them:

    imagesTr/*_0000.nii.gz, labelsTr/*.nii.gz       nnU-Net (Isensee et al. 2021)
    imagesTr/*.nii.gz, labelsTr/*.nii.gz            Medical Segmentation Decathlon (Antonelli et al. 2022)
    img/*.nii.gz, lab/*.nii.gz                      FreeTumor (Wu et al. 2024), and the other names in `FOLDERS`
    image/*.nii.gz, mask/*.nii.gz                   Med-DDPM (Dorjsembe et al. 2024)
    *_image.nii.gz, *_label.nii.gz                  MAISI (Guo et al. 2024), and the other endings in `ENDINGS`

A star stands for the name of the case. For '.nii.gz' in a pattern, the other suffixes that are asked for are found as
well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nephrite.errors import SourceError

SUFFIX = ".nii.gz"
TRAINING, LABELS, TEST = "imagesTr", "labelsTr", "imagesTs"  # folders of nnU-Net and the Decathlon
CHANNELS = ("_0000", "_0001")  # how nnU-Net marks the first and the second channel
NNUNET = (f"{TRAINING}/*{CHANNELS[0]}{SUFFIX}", f"{LABELS}/*{SUFFIX}")
DECATHLON = (f"{TRAINING}/*{SUFFIX}", f"{LABELS}/*{SUFFIX}")
FOLDERS = (
    *(("images", "labels"), ("images", "masks"), ("images", "segmentations")),
    *(("image", "label"), ("image", "mask"), ("img", "lab"), ("img", "seg")),
)
ENDINGS = [(image, label) for image in ("_image", "_img") for label in ("_label", "_seg", "_mask")]
LAYOUTS = (
    *(NNUNET, DECATHLON),
    *((f"{image}/*{SUFFIX}", f"{label}/*{SUFFIX}") for image, label in FOLDERS),
    *((f"*{image}{SUFFIX}", f"*{label}{SUFFIX}") for image, label in ENDINGS),
)
PLACES = {TRAINING, LABELS, TEST, "labelsTs", *(name for names in FOLDERS for name in names)}


class Pair(NamedTuple):
    """A scan and its label map.

    Attributes:
        name: of the case, unlike all others of its set.
        image, label: files.
    """

    name: str
    image: Path
    label: Path


class Channel(NamedTuple):
    """One channel of a scan.

    Attributes:
        path: the file that holds it.
        number: which of its volumes it is, in a file of four axes.
    """

    path: Path
    number: int | None = None


@dataclass(frozen=True)
class Found:
    """What a folder holds in one layout.

    Attributes:
        patterns: of scans and of label maps.
        scans: by the name of the case.
        masks: the same, of label maps.
        further: second channels of these scans.
    """

    patterns: tuple[str, str]
    scans: Mapping[str, Path]
    masks: Mapping[str, Path]
    further: Mapping[str, Path] = field(default_factory=dict)

    @property
    def shared(self) -> set[str]:
        """Names of cases that have both."""
        return self.scans.keys() & self.masks.keys()

    def pairs(self, *, several: bool = False) -> list[Pair]:
        """Scans with label maps, sorted by name; of several channels the first, where several are allowed.

        Raises:
            SourceError: a scan or label map has no counterpart, or a scan a second channel.
        """
        self.check(self.scans.keys() ^ self.masks.keys(), several=several)
        return [Pair(name, self.scans[name], self.masks[name]) for name in sorted(self.scans)]

    def channels(self, name: str, numbers: Sequence[int], *, stacked: bool) -> tuple[Channel, ...]:
        """Channels of a scan.

        Args:
            name: of the case.
            numbers: of the channels.
            stacked: whether the Decathlon's files hold several.

        Raises:
            SourceError: the layout has one channel, or a file is missing.
        """
        path = self.scans[name]
        if self.patterns == DECATHLON and stacked:
            return tuple(Channel(path, number) for number in numbers)
        if self.patterns == NNUNET:
            ending = path.name.removeprefix(name + CHANNELS[0])
            found = tuple(Channel(path.with_name(f"{name}_{number:04d}{ending}")) for number in numbers)
            for channel in found:
                if not channel.path.is_file():
                    finding = "is missing, and is a channel to learn from"
                    raise SourceError(channel.path, finding, "add the file, or correct 'acquire.channels'")
            return found
        raise SourceError(path, "has one channel, by its layout", "leave 'acquire.channels' out")

    def check(self, alone: Collection[str], *, several: bool = False) -> None:
        """Refuse second channels, and cases whose scan or label map has no counterpart; raises as `pairs`."""
        if self.further and not several:
            first = self.further[min(self.further)]
            remedy = f"name channels in 'acquire.channels' (or one by --channel), or keep one, as '{CHANNELS[0]}'"
            raise SourceError(first, "is a second channel, and one is taken", remedy)
        if names := sorted(alone):
            images, labels = self.patterns
            in_scans = names[0] in self.scans
            place, lacks = (self.scans[names[0]], labels) if in_scans else (self.masks[names[0]], images)
            more = f" (and {len(names) - 1} more)" if names[1:] else ""
            finding = f"pairs with nothing: '{lacks.replace('*', names[0])}' is missing{more}"
            raise SourceError(place, finding, "add the file, or move its counterpart away")


def find_layout(folder: Path, others: Sequence[str], layouts: Sequence[tuple[str, str]] = LAYOUTS) -> Found | None:
    """What a folder holds in the one layout that its files have; None where it has none of them.

    Args:
        folder: of scans and label maps.
        others: suffixes that stand for '.nii.gz' as well.
        layouts: patterns of scans and of label maps.

    Raises:
        SourceError: a file is there with two suffixes, or the files are pairs in two layouts.
    """
    found = [_found(folder, patterns, others) for patterns in layouts]
    held = [each for each in found if each.scans and each.masks]
    paired = [each for each in held if each.shared]
    if len(paired) > 1:
        ways = " and ".join(f"'{images}' with '{labels}'" for images, labels in (each.patterns for each in paired[:2]))
        raise SourceError(folder, f"holds pairs of scan and label map in two ways: {ways}", "keep one of them")
    return next(iter(paired or held), None)


def _found(folder: Path, patterns: tuple[str, str], others: Sequence[str]) -> Found:
    images, labels = patterns
    scans, masks = matching(folder, images, others), matching(folder, labels, others)
    further = matching(folder, images.replace(*CHANNELS), others) if scans and CHANNELS[0] in images else {}
    return Found(patterns, scans, masks, further)


def matching(folder: Path, pattern: str, others: Sequence[str]) -> dict[str, Path]:
    """Files that fit a pattern, by what its star stands for; hidden ones are left out.

    Raises:
        SourceError: a file is there with two suffixes.
    """
    found: dict[str, Path] = {}
    for suffix in (SUFFIX, *others) if pattern.endswith(SUFFIX) else ("",):
        exact = pattern.removesuffix(SUFFIX) + suffix if suffix else pattern
        before, after = exact.split("*")
        for path in sorted(folder.glob(exact)):
            name = path.relative_to(folder).as_posix().removeprefix(before)
            name = name[: len(name) - len(after)] if after else name
            if name and not name.startswith(".") and path.is_file():
                twin = found.setdefault(name, path)
                if twin != path:
                    raise SourceError(path, f"is there a second time, as {twin.name}", "keep one of them")
    return found


def check_names(scans: Mapping[str, Path]) -> None:
    """Refuse names that cannot be ids, or differ by capital letters only.

    Raises:
        SourceError: names one.
    """
    seen: dict[str, str] = {}
    for name, path in scans.items():
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            finding = f"{name!r} cannot be an id: letters, digits, '.', '_' and '-' only"
            raise SourceError(path, finding, "rename the file")
        if (twin := seen.setdefault(name.lower(), name)) != name:
            raise SourceError(path, f"differs from '{twin}' by capital letters only", "rename one of them")
