"""Windows in which a patient is scored, for scans that were cut about their lesions.

Where a lesion sits in the middle of every scan, a mask that never looks at the image finds it. Windows at seeded
places, some without a lesion, take this away: the same windows for every arm and every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

from nephrite.config import Config
from nephrite.seeds import derive_seed

Voxels = TypeVar("Voxels", bound=np.ndarray)


class Window(NamedTuple):
    """A square of all slices of a scan: first row, first column, pixels per side."""

    row: int
    column: int
    size: int

    def cut(self, stack: Voxels) -> Voxels:
        """The part of [..., height, width] that lies inside."""
        return stack[..., self.row : self.row + self.size, self.column : self.column + self.size]  # type: ignore[return-value]  # a part of an array of the same kind


def windows_of(config: Config, patient: str, label: UInt8[np.ndarray, "slice height width"]) -> tuple[Window, ...]:
    """The windows in which a patient is scored, the same in all arms; none where whole slices are scored."""
    settings = config.evaluate.windows
    if settings is None:
        return ()
    return place_windows(
        np.isin(label, config.evaluate.regions[config.trial.primary].labels),
        size=settings.size,
        count=settings.count,
        free=round(settings.free * settings.count),
        seed=derive_seed(config.trial.seed, "windows", patient),
    )


def place_windows(
    region: Bool[np.ndarray, "slice height width"], *, size: int, count: int, free: int, seed: int
) -> tuple[Window, ...]:
    """Draw the places of a patient's windows; all slices of a window have the same place.

    Args:
        region: what windows may have to be free of.
        size: pixels per side; at most the scan's own.
        count: number of windows; two may overlap.
        free: so many of them hold nothing of the region, the others some of it. Where no place does, they lie anywhere.
        seed: of the places.
    """
    empty = _voxels_in_each(np.asarray(region.any(axis=0)), size) == 0
    generator = np.random.default_rng(seed)
    wanted = [empty if number < free else ~empty for number in range(count)]
    kinds = [kind if kind.any() else np.ones_like(empty) for kind in wanted]
    places = [np.argwhere(kind)[generator.integers(np.count_nonzero(kind))] for kind in kinds]
    return tuple(Window(int(row), int(column), size) for row, column in places)


def stack_apart(
    parts: Sequence[Bool[np.ndarray, "slice height width"]], gap: int
) -> Bool[np.ndarray, "all height width"]:
    """Windows as one stack, with `gap` empty slices between two of them, so that no surface reaches another window."""
    empty = np.zeros((gap, *parts[0].shape[1:]), dtype=bool)
    return np.concatenate([parts[0], *(piece for part in parts[1:] for piece in (empty, part))])


def _voxels_in_each(plane: Bool[np.ndarray, "height width"], size: int) -> np.ndarray:
    """How many pixels of a plane lie in the window at each place, by sums over rectangles (Crow 1984)."""
    sums = np.pad(plane.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return np.asarray(sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size])
