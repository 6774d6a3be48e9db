"""Which PNG label belongs to which image of a series: by name, by instance number or by position; never by order.

File names given by a PACS are unique identifiers, whose order says nothing. So a rule counts only where it names one
label for every image, and where all rules that do so agree.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nephrite.errors import SourceError
from nephrite.imaging.dicom_file import SliceHeader

log = logging.getLogger(__name__)

REMEDY = "give each PNG the name of its image"
FROM_0 = "instance number counted from 0"
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_POSITION_TOLERANCE = 0.1  # of the slice distance


class Pairing(NamedTuple):
    """One label per image, in the order of the images, and the rule that says so."""

    rule: str
    labels: tuple[Path, ...]


def pair_labels(folder: Path, images: Sequence[SliceHeader], labels: Sequence[Path]) -> tuple[Path, ...]:
    """Find each image's label file.

    Names decide that are the same but for the suffix, or of which each label's holds one image's. Else a number in the
    labels' names must be, for all of them, the images' InstanceNumber, that number less one where the labels are
    counted from 0 and slices lie in the order of their numbers, a number in the images' names, or their position in mm.

    Args:
        folder: where the labels lie, for messages.
        images: of one series, in the order of their positions.
        labels: PNG files.

    Raises:
        SourceError: another number of labels than images; no rule names a label for each image, or two name different
            ones.
    """
    # one label per image
    if len(labels) != len(images):
        finding = f"{len(labels)} PNG labels for {len(images)} images of the series"
        raise SourceError(folder, finding, "give one PNG per image, also where nothing is labeled")
    # names decide; then every rule by numbers that fits must say the same
    if len(images) == 1:
        return tuple(labels)
    if named := _by_name(images, labels):
        return named
    found = _by_numbers(images, labels)
    if not found:
        raise SourceError(folder, f"no rule pairs its PNG labels with the images: {_tried(images, labels)}", REMEDY)
    for other in found[1:]:
        if other.labels != found[0].labels:
            raise SourceError(folder, _contradiction(images, found[0], other), REMEDY)
    log.info("%s: PNG labels are paired by %s", folder, found[0].rule)
    return found[0].labels


def _by_name(images: Sequence[SliceHeader], labels: Sequence[Path]) -> tuple[Path, ...] | None:
    """The same name but for the suffix; else the one label whose name holds the image's as a part, each label once."""
    stems = [_stem(image.path) for image in images]
    if len(set(stems)) < len(stems):  # frames of one file
        return None
    same = {path.stem: path for path in labels}
    if all(stem in same for stem in stems):
        return tuple(same[stem] for stem in stems)
    parts = [re.compile(rf"(?<![A-Za-z0-9.]){re.escape(stem)}(?![A-Za-z0-9])") for stem in stems]
    holders = [[path for path in labels if part.search(path.stem)] for part in parts]
    if all(len(found) == 1 for found in holders) and len({found[0] for found in holders}) == len(labels):
        return tuple(found[0] for found in holders)
    return None


def _by_numbers(images: Sequence[SliceHeader], labels: Sequence[Path]) -> list[Pairing]:
    """The pairs of every rule by which one number per label is one number per image."""
    # whole numbers that an image has
    keys: dict[str, list[float]] = {}
    instances = [image.instance for image in images if image.instance is not None]
    if len(set(instances)) == len(images):
        keys["instance number"] = [float(number) for number in instances]
        if _in_order(instances):
            keys[FROM_0] = [float(number - 1) for number in instances]
    for column in _columns([_stem(image.path) for image in images], r"\d+"):
        keys[f"a number in the images' names ({column[0]:g}, {column[1]:g}, ...)"] = column
    # each against each number in the labels' names
    found = []
    for column in _columns([path.stem for path in labels], r"\d+"):
        label_of = dict(zip(column, labels, strict=True))
        for rule, numbers in keys.items():
            if set(numbers) == set(column) and (rule != FROM_0 or min(column) == 0):
                found.append(Pairing(rule, tuple(label_of[number] for number in numbers)))
    # else positions in mm
    return found or _by_position(images, labels)


def _by_position(images: Sequence[SliceHeader], labels: Sequence[Path]) -> list[Pairing]:
    """A number in each label's name that is the position of one image in mm along z, to a tenth of a slice."""
    positions = np.array([image.position[2] for image in images])
    gap = float(np.abs(np.diff(positions)).min())
    found = []
    for column in _columns([path.stem for path in labels], r"-?\d+(?:\.\d+)?"):
        away = np.abs(positions[:, None] - np.array(column)[None])
        nearest = away.argmin(axis=1)
        if len(set(nearest.tolist())) == len(images) and away.min(axis=1).max() <= _POSITION_TOLERANCE * gap:
            found.append(Pairing("position", tuple(labels[number] for number in nearest)))
    return found


def _stem(path: Path) -> str:
    """Name without suffix; a suffix of digits is the last number of an identifier."""
    return path.name if path.suffix[1:].isdigit() else path.stem


def _in_order(numbers: Sequence[int]) -> bool:
    """Whether they follow the slices upwards or downwards, one by one."""
    steps = np.diff(numbers)
    return bool((steps == 1).all() or (steps == -1).all())


def _columns(names: Sequence[str], pattern: str) -> list[list[float]]:
    """The n-th number of every name, for each n where all names have one and all differ; none of an identifier."""
    found = [[float(digits) for digits in re.findall(pattern, _UID.sub("", name))] for name in names]
    columns = [list(column) for column in zip(*found, strict=False)]
    return [column for column in columns if len(set(column)) == len(names)]


def _tried(images: Sequence[SliceHeader], labels: Sequence[Path]) -> str:
    """What each rule would have needed, for the first image, and what there is."""
    instances = [image.instance for image in images if image.instance is not None]
    numbered = (
        f"{min(instances)} to {max(instances)}" if len(set(instances)) == len(images) else "missing or not unique"
    )
    first, last = sorted(float(image.position[2]) for image in images)[:: max(1, len(images) - 1)]
    names = sorted(path.name for path in labels)
    return (
        f"tried file names ({images[0].name} with {_stem(images[0].path)}.png), instance numbers ({numbered})"
        f" and positions ({first:g} to {last:g} mm) with {names[0]} to {names[-1]}"
    )


def _contradiction(images: Sequence[SliceHeader], one: Pairing, other: Pairing) -> str:
    place = next(place for place in range(len(images)) if one.labels[place] != other.labels[place])
    return (
        f"rules lead to different pairs: {images[place].name} with {one.labels[place].name} by {one.rule}, "
        f"with {other.labels[place].name} by {other.rule}"
    )
