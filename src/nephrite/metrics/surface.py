"""Distance between the surfaces of a segmentation and of the truth, in millimeters.

Surface elements and their areas follow Nikolov et al. 2021 ("Clinically applicable segmentation of head and neck
anatomy", supplement), from the lookup tables of DeepMind's `surface_distance`. Its own `compute_surface_distances`
calls names that NumPy 2 has removed and SciPy deprecates, so the distances are computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from surface_distance import lookup_tables

from nephrite.metrics.overlap import same_shape

Spacing = tuple[float, float, float]
INSIDE = 0b11111111  # all eight voxels about a corner belong to the region, so no surface passes there


@dataclass(frozen=True)
class SurfaceScores:
    """How well two surfaces agree.

    Attributes:
        dice: share of both surfaces, by area, that lies within the tolerance of the other one. Both regions empty
            scores 1, exactly one empty scores 0.
        hd95: 95th percentile, by area, of the distance to the other surface, the larger of both directions, in
            millimeters. Both empty is 0; with exactly one empty there is no distance: None.
    """

    dice: float
    hd95: float | None


def surface_scores(
    predicted: Bool[np.ndarray, "slice height width"],
    truth: Bool[np.ndarray, "slice height width"],
    *,
    spacing: Spacing,
    tolerance: float,
) -> SurfaceScores:
    """Surface Dice at a tolerance and HD95 of one region in one patient.

    Args:
        predicted: the region found.
        truth: the region marked by the reader.
        spacing: millimeters between slices, rows and columns.
        tolerance: millimeters up to which a surface element counts as found.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(predicted, truth)
    if not predicted.any() or not truth.any():
        both_empty = bool(predicted.any() == truth.any())
        return SurfaceScores(dice=1.0, hd95=0.0) if both_empty else SurfaceScores(dice=0.0, hd95=None)
    box = ndimage.find_objects((predicted | truth).view(np.uint8))[0]
    found, marked = _corner_codes(predicted[box]), _corner_codes(truth[box])
    one, other = _Side.of(found, marked, spacing), _Side.of(marked, found, spacing)
    area = one.areas.sum() + other.areas.sum()
    dice = (one.area_within(tolerance) + other.area_within(tolerance)) / area
    return SurfaceScores(dice=float(dice), hd95=max(one.percentile(95.0), other.percentile(95.0)))


@dataclass(frozen=True)
class _Side:
    """Surface elements of one region: distance to the other region's surface in mm, and area in mm2."""

    distances: Float[np.ndarray, " element"]
    areas: Float[np.ndarray, " element"]

    @classmethod
    def of(cls, codes: np.ndarray, other_codes: np.ndarray, spacing: Spacing) -> _Side:
        area_of_code = _areas(spacing)
        to_other = ndimage.distance_transform_edt(~_on_surface(other_codes), sampling=spacing)
        surface = _on_surface(codes)
        distances, areas = to_other[surface], area_of_code[codes[surface]]
        order = np.argsort(distances, kind="stable")
        return cls(distances[order], areas[order])

    def area_within(self, tolerance: float) -> float:
        return float(self.areas[self.distances <= tolerance].sum())

    def percentile(self, percent: float) -> float:
        shares = np.cumsum(self.areas) / self.areas.sum()
        place = min(int(np.searchsorted(shares, percent / 100)), len(shares) - 1)
        return float(self.distances[place])


@lru_cache(maxsize=64)
def _areas(spacing: Spacing) -> Float[np.ndarray, " code"]:
    """Area in mm2 of the surface that each corner code stands for; it takes as long as all else, so it is kept."""
    areas: Float[np.ndarray, " code"] = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    return areas


def _corner_codes(
    region: Bool[np.ndarray, "slice height width"],
) -> UInt8[np.ndarray, "slice_corner row_corner column_corner"]:
    """Which of the eight voxels about each voxel corner belong to the region, one bit each."""
    padded = np.pad(region, [(0, 1)] * 3).astype(np.uint8)
    codes: UInt8[np.ndarray, "slice_corner row_corner column_corner"] = ndimage.correlate(
        padded, lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL, mode="constant", cval=0
    )
    return codes


def _on_surface(codes: np.ndarray) -> Bool[np.ndarray, "slice_corner row_corner column_corner"]:
    surface: Bool[np.ndarray, "slice_corner row_corner column_corner"] = (codes != 0) & (codes != INSIDE)
    return surface
