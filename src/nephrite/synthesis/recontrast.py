"""The contrast of a real slice drawn anew, class by class: as in another phase of contrast agent, or another center.

Every class, and the background, gets a map of intensities of its own; at borders one map goes over into the other. So
anatomy, texture and labels stay, unlike in SynthSeg (Billot et al. 2023), which draws all intensities of a class.

s  slices of a run    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

BACKGROUND = 0
Range = tuple[float, float]


@dataclass(frozen=True)
class ContrastRanges:
    """What the map of one class is drawn from.

    Attributes:
        shift: added to all its intensities.
        gain: factor on their distance from its mean; of the background, from 0.
        gamma: exponent of its intensities.
    """

    shift: Range = (0.0, 0.0)
    gain: Range = (1.0, 1.0)
    gamma: Range = (1.0, 1.0)


@dataclass(frozen=True)
class ContrastMap:
    """The map of one class, as drawn; see `ContrastRanges`."""

    shift: float
    gain: float
    gamma: float


def draw(
    ranges: Mapping[int, ContrastRanges], organs: Mapping[int, int | None], rng: np.random.Generator
) -> dict[int, ContrastMap]:
    """One map for the background (0) and each class.

    Args:
        ranges: of each label value, and of 0.
        organs: lesion class to the organ that holds it, whose shift it shares: a lesion stays as visible as it was,
            but for its own shift.
        rng: gives the numbers.
    """
    maps = {
        value: ContrastMap(
            float(rng.uniform(*each.shift)), float(rng.uniform(*each.gain)), float(rng.uniform(*each.gamma))
        )
        for value, each in ranges.items()
    }
    shared = {value: maps[organ].shift for value, organ in organs.items() if organ is not None}
    return {
        value: ContrastMap(each.shift + shared.get(value, 0.0), each.gain, each.gamma) for value, each in maps.items()
    }


def apply(
    maps: Mapping[int, ContrastMap],
    image: Float32[np.ndarray, "s h w"],
    label: UInt8[np.ndarray, "s h w"],
    *,
    border: float,
) -> Float32[np.ndarray, "s h w"]:
    """Redraw the contrast of some slices of one patient.

    Args:
        maps: of each label value, and of 0 for all other pixels.
        image: in [0, 1].
        label: label values.
        border: sigma in pixels over which one map goes over into the next.
    """
    total, weights = np.zeros_like(image), np.zeros_like(image)
    known = [value for value in maps if value != BACKGROUND]
    for value, each in maps.items():
        mask = ~np.isin(label, known) if value == BACKGROUND else label == value
        if not mask.any():
            continue
        # where the map holds, and what it makes of the slices
        weight = ndimage.gaussian_filter(mask.astype(np.float32), (0.0, border, border), mode="nearest")
        bent = image**each.gamma
        anchor = 0.0 if value == BACKGROUND else float(bent[mask].mean())
        total += weight * (anchor + each.shift + each.gain * (bent - anchor))
        weights += weight
    mixed: Float32[np.ndarray, "s h w"] = (total / weights).clip(0, 1).astype(np.float32)
    return mixed
