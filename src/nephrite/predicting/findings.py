"""What was found in scans, as a table and as a summary that a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nephrite.files import write_table
from nephrite.words import counted

NOT_CHECKED = "Not a medical device: nobody has checked these masks."


@dataclass(frozen=True)
class Segmented:
    """What was found in one scan.

    Attributes:
        patient: id, or pseudonym.
        slices: of the scan.
        sources: SHA-256 of the scan's files, by the digest of their names.
        voxel: milliliters; None where spacing is nominal.
        sizes: label value to voxels and slices.
        doubts: why its mask may be wrong, or its volumes may.
    """

    patient: str
    slices: int
    sources: dict[str, str]
    voxel: float | None
    sizes: dict[int, tuple[int, int]]
    doubts: tuple[str, ...] = ()

    def milliliters(self, value: int) -> float | None:
        """Volume of one class; None where spacing is nominal."""
        return None if self.voxel is None else self.sizes[value][0] * self.voxel


def write_volumes(path: Path, segmented: Sequence[Segmented], classes: Mapping[int, str]) -> None:
    """Write one row per patient and class; milliliters are empty where spacing is nominal."""
    rows = [
        (result.patient, name, _decimals(result.milliliters(value), 3), *result.sizes[value])
        for result in segmented
        for value, name in classes.items()
    ]
    write_table(path, ["patient", "class", "milliliters", "voxels", "slices"], rows)


def summary(segmented: Sequence[Segmented], classes: Mapping[int, str]) -> str:
    """Volumes of each scan in columns, then the warnings, each with its scan."""
    # a table
    measured = all(result.voxel is not None for result in segmented)
    head = ["scan", *(f"{name} {'ml' if measured else 'voxels'}" for name in classes.values())]
    table = [head, *([result.patient, *_amounts(result, classes)] for result in segmented)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]
    # warnings
    doubts = [f"{result.patient}: {doubt}" for result in segmented for doubt in result.doubts]
    if doubts:
        lines += [f"{counted(len(doubts), 'warning')}:", *doubts]
    return "\n".join([*lines, NOT_CHECKED, ""])


def _amounts(result: Segmented, classes: Mapping[int, str]) -> list[str]:
    return [_decimals(result.milliliters(value), 1) or str(result.sizes[value][0]) for value in classes]


def _decimals(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
