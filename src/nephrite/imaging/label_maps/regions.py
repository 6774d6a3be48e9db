"""Named regions of DICOM label objects, and how they become one label map.

Which name is which class is said by the settings ('prepare.segments'); a name that they do not know is refused, since
it may be a class under another name.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from nephrite.config import PrepareSettings
from nephrite.errors import LabelValueError
from nephrite.imaging.series import Series

log = logging.getLogger(__name__)

OVERLAP = 0.02  # of the smaller class: contours that were drawn side by side overlap by a border
_SHOWN = 12  # names


class RegionFile(ABC):
    """A DICOM object that marks named regions.

    Attributes:
        path: its file.
        names: of its regions, in its order; one may stand there several times.
    """

    path: Path
    names: tuple[str, ...]

    @abstractmethod
    def place(self, series: Series, names: Sequence[str]) -> None:
        """Find the slices of the regions of some names; the others are not looked at.

        Raises:
            DicomError: a region does not lie on the slices.
        """

    @abstractmethod
    def masks(self, position: int) -> Iterator[tuple[str, Bool[np.ndarray, "rows columns"]]]:
        """The regions placed on one slice of the series, by its position, as they are stored.

        Raises:
            DicomError: a region marks pixels outside of the slice, or cannot be decoded.
        """


def name_key(name: str) -> str:
    """A region's name as the settings are asked for it: without outer space, in small letters."""
    return name.strip().casefold()


def assign_values(files: Sequence[RegionFile], settings: PrepareSettings) -> list[dict[str, int]]:
    """For each file, the label value of each of its regions that is wanted.

    Raises:
        LabelValueError: the settings do not know a name, want none of them, or find a class in two files.
    """
    # what the settings say of every name
    known, assigned = settings.segment_values, []
    for file in files:
        unknown = [name for name in file.names if name_key(name) not in known and "*" not in known]
        if unknown:
            raise _unknown_names(file, unknown, settings)
        values = {name: known.get(name_key(name), known.get("*")) for name in file.names}
        assigned.append({name: value for name, value in values.items() if value is not None})
    # a label map that is empty by mistake would count as a healthy patient
    if not any(assigned):
        raise _unknown_names(files[0], [name for file in files for name in file.names], settings)
    # two files with one class are two readers, or two versions
    holders = Counter(value for values in assigned for value in set(values.values()))
    for value, count in holders.items():
        if count > 1:
            finding = f"{count} label objects of this case mark '{settings.classes[value]}'"
            raise LabelValueError(files[0].path.parent, finding, "keep the one that counts")
    return assigned


def _unknown_names(file: RegionFile, names: Sequence[str], settings: PrepareSettings) -> LabelValueError:
    shown = ", ".join(repr(name) for name in dict.fromkeys(names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    classes = ", ".join(settings.classes.values())
    finding = f"marks regions that are none of the classes ({classes}) by name: {shown or 'none at all'}"
    remedy = "say in 'prepare.segments' which class each is, or null to leave it out ('*' stands for all others)"
    return LabelValueError(file.path, finding, remedy)


class Overlaps:
    """One label value per voxel where regions overlap, and how much of each class was lost by that.

    A lesion overrules the class that holds it. Elsewhere classes may share a thin border, of the higher value.
    """

    def __init__(self, settings: PrepareSettings, place: Path) -> None:
        self.settings, self.place = settings, place
        self.sizes: Counter[int] = Counter()
        self.shared: Counter[tuple[int, int]] = Counter()

    def paint(self, masks: Mapping[int, Bool[np.ndarray, "rows columns"]]) -> UInt8[np.ndarray, "rows columns"]:
        """Label map of one slice: label value to mask, at least one."""
        labels = np.zeros(next(iter(masks.values())).shape, np.uint8)
        for value in self._order(masks):
            mask = masks[value]
            self.sizes[value] += int(np.count_nonzero(mask))
            for other, count in Counter(labels[mask].tolist()).items():
                if other and not self._holds(value, other):
                    self.shared[other, value] += count
            labels[mask] = value
        return labels

    def check(self) -> None:
        """Judge the overlaps of all slices.

        Raises:
            LabelValueError: two classes share more than a border.
        """
        names = self.settings.classes
        for (first, second), count in self.shared.items():
            share = count / min(self.sizes[first], self.sizes[second])
            if share > OVERLAP:
                finding = f"'{names[first]}' and '{names[second]}' share {count} voxels, {share:.0%} of the smaller one"
                remedy = "name lesions and the class that holds them in 'prepare.lesions', or leave one region out"
                raise LabelValueError(self.place, finding, remedy)
            log.warning("%s: %d voxels are of two classes: '%s' counts there", self.place, count, names[second])

    def _holds(self, lesion: int, organ: int) -> bool:
        lesions = self.settings.lesion_values
        return lesion in lesions and lesions[lesion] in (None, organ)

    def _order(self, values: Mapping[int, object]) -> list[int]:
        """Rising values, but lesions after the classes that may hold them."""
        return sorted(values, key=lambda value: (value in self.settings.lesion_values, value))
