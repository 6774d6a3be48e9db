"""Masks as outlines that a page draws at any size: SVG paths along the borders of pixels."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator
from jaxtyping import Bool


def outline_path(mask: Bool[np.ndarray, "height width"]) -> str:
    """The border of a mask as an SVG path, in half pixels from the upper left corner; '' for an empty mask.

    Contours run halfway between the centers of pixels inside and outside, so a single pixel is a small diamond.
    """
    if not mask.any():
        return ""
    around = np.pad(mask, 1).astype(np.float32)
    lines = contour_generator(z=around, line_type=LineType.Separate).lines(0.5)
    return "".join(_path(np.asarray(line)) for line in lines)


def _path(line: np.ndarray) -> str:
    """One closed line: where it begins, then steps; steps in one direction are one."""
    # the center of pixel (0, 0) lies at (1, 1) half pixels; padding moved it by one pixel
    points = np.rint(2 * line).astype(int) - 1
    steps = np.diff(points, axis=0)
    steps = steps[np.any(steps != 0, axis=1)]
    turns = np.flatnonzero(np.any(np.diff(steps, axis=0) != 0, axis=1)) + 1
    joined = [part.sum(axis=0) for part in np.split(steps, turns)][:-1] if len(steps) else []
    moves = "".join(f" {x} {y}" for x, y in joined)
    return f"M{points[0][0]} {points[0][1]}l{moves.strip()}z".replace(" -", "-") if joined else ""
