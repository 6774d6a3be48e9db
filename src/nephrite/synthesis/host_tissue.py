"""Where a drawn lesion may lie: in an organ, or in a tissue that is known by its intensity alone.

s  slices of a run    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import ndimage

from nephrite.augment.lesions import find_body

Tissue = Literal["dark", "bright"] | tuple[float, float]
SMOOTH = 1.0  # sigma in pixels: noise makes no holes
CLOSED = 2  # pixels: vessels and bronchi that are no wider are part of the tissue
AIRY = 0.02  # of the contrast to what is bright: so much darker than lung is the air around the body
SMALLEST, PIECE = 0.02, 0.1  # shares of the slice, and of the largest piece: smaller pieces are no organ
BINS = 128


class Levels(NamedTuple):
    """Median intensities in one slice: of a tissue, and of what is darker and brighter than most of it."""

    darker: float
    tissue: float
    brighter: float


def find_tissue(image: Float32[np.ndarray, "h w"], tissue: Tissue) -> Bool[np.ndarray, "h w"]:
    """Where a slice shows a tissue.

    Args:
        image: in [0, 1].
        tissue: 'dark' or 'bright' for one side of Otsu's threshold, for scans that were rescaled one by one: lung is
            the dark side in any of them, without the air around the body; or a range of intensities, where they mean
            the same in all.
    """
    smooth = ndimage.gaussian_filter(image, SMOOTH)
    if isinstance(tissue, tuple):
        found = (smooth >= tissue[0]) & (smooth <= tissue[1])
    else:
        body = find_body(image)
        border = otsu(smooth[body]) if body.any() else 0.0
        found = body & ((smooth < border) if tissue == "dark" else (smooth >= border))
    # close what is narrow; a frame keeps the border of the slice from being eaten away
    padded = np.pad(found, CLOSED, mode="edge")
    disc = np.hypot(*np.mgrid[-CLOSED : CLOSED + 1, -CLOSED : CLOSED + 1]) <= CLOSED + 0.5
    closed = ndimage.binary_closing(padded, disc)[CLOSED:-CLOSED, CLOSED:-CLOSED]
    # leave out what is small, and the air around the body
    pieces, count = ndimage.label(closed)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    least = max(SMALLEST * found.size, PIECE * sizes.max(initial=0))
    kept = [number for number in range(1, count + 1) if sizes[number - 1] >= least]
    if tissue == "dark" and kept:
        kept = _without_air(smooth, pieces, kept)
    return np.isin(pieces, kept)


def _without_air(smooth: Float32[np.ndarray, "h w"], pieces: Int[np.ndarray, "h w"], dark: Sequence[int]) -> list[int]:
    """The dark pieces but for those that are darker than the largest: air around the body or in the trachea, not lung.

    A lobe that is left out by mistake only gets no lesion.
    """
    level = {number: float(np.median(smooth[pieces == number])) for number in dark}
    lung = level[max(dark, key=lambda number: np.count_nonzero(pieces == number))]
    rest = smooth[pieces == 0]
    contrast = float(np.median(rest)) - lung if len(rest) else 0.0
    return [number for number in dark if level[number] >= lung - AIRY * contrast]


def otsu(values: Float[np.ndarray, " n"]) -> float:
    """The threshold that parts values into two sorts with the least variance within (Otsu 1979).

    All values of one bin are one sort, the bright one.
    """
    counts, edges = np.histogram(values, BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above, sums = len(values) - below, np.cumsum(counts * middles)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][np.nanargmax(between)]) if np.isfinite(between).any() else float(edges[0])


def levels(image: Float32[np.ndarray, "h w"], home: Bool[np.ndarray, "h w"]) -> Levels:
    """Intensities of a tissue and beside it; the ends of the window where hardly any pixel is darker or brighter."""
    if not home.any():
        return Levels(0.0, 0.5, 1.0)
    low, tissue, high = np.quantile(image[home], (0.25, 0.5, 0.75))
    darker, brighter = image[~home & (image < low)], image[~home & (image > high)]
    few = SMALLEST * image.size
    return Levels(
        float(np.median(darker)) if len(darker) > few else 0.0,
        float(tissue),
        float(np.median(brighter)) if len(brighter) > few else 1.0,
    )
