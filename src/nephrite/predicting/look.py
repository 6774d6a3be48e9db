"""A second look at a scan with its mask: pictures for a person, and what speaks against the mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.config import PercentileSettings, WindowSettings
from nephrite.imaging.geometry import voxel_milliliters
from nephrite.imaging.grid import plan_grid
from nephrite.imaging.intensity import apply_window, fixed_window
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.thumbnail import draw_thumbnail
from nephrite.imaging.volume import ScanVolume
from nephrite.predicting.masks import Mask

FAR = 2.0  # a scan's extent, or its pixels, differ from the network's by this factor: what it sees is of another size
LEAST_INSIDE = 0.01  # share of voxels within the window, below which the network sees black and white alone
LEAST_SPREAD = 0.05  # share of the window that intensities span, below which it sees one gray
UNLIKE = 2.0  # a volume is this many times above the largest of the training patients, or below the smallest
SHOWN = (0.5, 99.5)  # percentiles of the slices that are shown, where the window is not one of fixed ends
BLOCK = 32  # slices that are read at a time


@dataclass(frozen=True)
class Seen:
    """What a second reading of a scan brings.

    Attributes:
        planes: intensities of the slices to be shown, by their positions.
        inside: share of the voxels within the window; None where it has no fixed ends.
        spread: share of the window between the lowest and the highest voxel, cut to the window; None likewise.
    """

    planes: dict[int, Float32[np.ndarray, "height width"]]
    inside: float | None = None
    spread: float | None = None


def shown_slices(mask: Mask, most: int) -> list[int]:
    """For each structure, the largest first, the slice that holds the middle one of its voxels; at most so many.

    Without any structure the middle slice is shown, so that one sees where nothing was found.
    """
    sizes = np.bincount(mask.ravel(), minlength=256)[1:]
    values = [int(value) + 1 for value in np.argsort(-sizes, kind="stable") if sizes[value]]
    found = [_middle(mask == value) for value in values] or [len(mask) // 2]
    return list(dict.fromkeys(found))[:most]


def _middle(marked: np.ndarray) -> int:
    filled = np.cumsum(np.count_nonzero(marked, axis=(1, 2)))
    return int(np.searchsorted(filled, filled[-1] / 2))


def read_again(volume: ScanVolume, intensity: WindowSettings | PercentileSettings, positions: Sequence[int]) -> Seen:
    """Read a scan for the slices to be shown, and for how its intensities lie to the window.

    Raises:
        VolumeError: the scan was changed or damaged meanwhile.
    """
    window = fixed_window(intensity) if isinstance(intensity, WindowSettings) else None
    planes: dict[int, Float32[np.ndarray, "height width"]] = {}
    inside, ends = 0, [np.inf, -np.inf]
    for part, block in volume.image_blocks(BLOCK):
        planes |= {place: block[place - part.start].astype(np.float32) for place in positions
                   if part.start <= place < part.stop}  # fmt: skip
        if window:
            inside += int(np.count_nonzero((block > window[0]) & (block < window[1])))
            ends = [min(ends[0], float(block.min())), max(ends[1], float(block.max()))]
    if window is None:
        return Seen(planes)
    low, high = np.clip(ends, *window)
    return Seen(planes, inside / float(np.prod(volume.shape)), float(high - low) / (window[1] - window[0]))


def write_overlays(folder: Path, mask: Mask, seen: Seen, intensity: WindowSettings | PercentileSettings) -> None:
    """Write a PNG of each shown slice with the outline of every structure, numbered from the most superior slice on."""
    if not seen.planes:
        return
    stack = np.stack([*seen.planes.values()])
    if isinstance(intensity, WindowSettings):
        low, high = fixed_window(intensity)
    else:
        low, high = (float(end) for end in np.percentile(stack, SHOWN))
    for place, plane in seen.planes.items():
        picture = apply_window(plane, low, max(high, low + 1e-6))
        (folder / f"slice-{place + 1:04d}.png").write_bytes(draw_thumbnail(picture, mask[place]))


def doubts(
    volume: ScanVolume, mask: Mask, seen: Seen, recipe: Recipe, *, trained_on: bool, measured: bool
) -> Iterator[str]:
    """Why a mask may be wrong, as far as the model says what it takes; what it does not say is not guessed.

    Args:
        volume: the scan.
        mask: that was found.
        seen: of the same scan.
        recipe: of the model.
        trained_on: whether the model learned from this patient.
        measured: whether the size of voxels is known.
    """
    if trained_on:
        yield "the model learned from this patient: its mask says nothing of how well the model does on new ones"
    if measured and recipe.in_plane.kind == "resample":
        yield from _size_doubts(volume, mask, recipe.in_plane.spacing, recipe)
    if measured:
        yield from _volume_doubts(volume, mask, recipe)
    if seen.inside is not None and seen.inside < LEAST_INSIDE:
        yield (
            f"only {seen.inside:.1%} of its voxels lie within the model's window of intensities "
            f"({_window(recipe)}): is it of another modality or unit?"
        )
    elif seen.spread is not None and seen.spread < LEAST_SPREAD:
        yield (
            f"its intensities span {seen.spread:.1%} of the model's window ({_window(recipe)}): "
            "is it of another modality or unit?"
        )


def _size_doubts(volume: ScanVolume, mask: Mask, spacing: float, recipe: Recipe) -> Iterator[str]:
    """Field of view and pixels beside those that the network was made for, and structures that its view cuts."""
    # extents in millimeters
    view = recipe.in_plane.size * spacing
    sides = [count * size for count, size in zip(volume.shape[1:], volume.spacing[1:], strict=True)]
    if max(sides) > FAR * view or max(sides) < view / FAR:
        rows, columns = sides
        yield f"its slices measure {rows:.0f} x {columns:.0f} mm, and the model sees {view:.0f} x {view:.0f} mm"
    if max(volume.spacing[1:]) > FAR * spacing:
        rows, columns = volume.spacing[1:]
        yield f"its pixels measure {rows:.2f} x {columns:.2f} mm, and the model learned on {spacing:.2f} mm"
    # what reaches the edge of the view goes on beyond it, maybe
    if cut := [recipe.classes[value] for value in recipe.classes if _touches_edge(mask == value, volume, recipe)]:
        yield f"{', '.join(cut)} reaches the edge of what the model sees ({view:.0f} mm): more may lie beyond it"


def _volume_doubts(volume: ScanVolume, mask: Mask, recipe: Recipe) -> Iterator[str]:
    """Classes whose volume is less than half the smallest among the training patients, or more than twice the largest.

    A rule of thumb: with few training patients their range is narrow, and organs of new ones often lie a little beyond.
    """
    voxel = voxel_milliliters(volume.spacing)
    for value, name in recipe.classes.items():
        if name not in recipe.volumes:
            continue
        found, (low, high) = voxel * np.count_nonzero(mask == value), (size / 1000 for size in recipe.volumes[name])
        if not low / UNLIKE <= found <= high * UNLIKE:
            yield f"{found:.1f} ml of {name}, and the patients that the model learned from had {low:.1f} to {high:.1f}"


def _touches_edge(marked: UInt8[np.ndarray, "slice height width"], volume: ScanVolume, recipe: Recipe) -> bool:
    """Whether a structure reaches an edge at which the scan goes on and the network's view does not."""
    grid = plan_grid(recipe.in_plane, volume.shape, volume.spacing)
    for axis, scaled in ((1, grid.height), (2, grid.width)):
        if scaled <= grid.size:
            continue
        found = np.flatnonzero(marked.any(axis=(0, 3 - axis)))
        count, hidden = marked.shape[axis], (scaled - grid.size) // 2 / scaled
        first, last = hidden * count, (1 - (scaled - grid.size - (scaled - grid.size) // 2) / scaled) * count - 1
        pixel = count / scaled  # of the network, in those of the scan: probabilities fade within one
        if len(found) and (found[0] <= first + pixel or found[-1] >= last - pixel):
            return True
    return False


def _window(recipe: Recipe) -> str:
    assert isinstance(recipe.intensity, WindowSettings)
    low, high = fixed_window(recipe.intensity)
    return f"{low:g} to {high:g}"
