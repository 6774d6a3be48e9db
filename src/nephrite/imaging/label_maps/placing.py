"""Where a plane of a label object lies among the slices of a series: by position in mm, never by number or order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from nephrite.errors import DicomError
from nephrite.imaging.series import Series

TOLERANCE = 0.1  # of a voxel along each axis: what rounding of positions leaves
ANOTHER = "give the label object of this very scan"


@dataclass(frozen=True)
class Placed:
    """A plane brought onto a slice: transposed, then flipped, then pasted with its corner at `corner`.

    Attributes:
        position: of the slice in the series.
        transposed: whether its rows run along the slice's columns.
        flipped: whether its rows, its columns then run backwards.
        corner: row and column of its first pixel then.
    """

    position: int
    transposed: bool
    flipped: tuple[bool, bool]
    corner: tuple[int, int]


def check_space(path: Path, found: str, series: Series) -> None:
    """Refuse a label object whose positions are measured from another origin than the scan's (PS3.3 C.7.4.1).

    Raises:
        DicomError: the frames of reference differ, or one has none.
    """
    own = series.images[0].space
    if not own or not found:
        finding = f"{'the scan' if not own else 'it'} names no frame of reference, so its positions may be others"
        raise DicomError(path, finding, "export scan and label object together")
    if own != found:
        finding = f"lies in another frame of reference (...{found[-6:]}) than the scan (...{own[-6:]})"
        raise DicomError(path, finding, ANOTHER)


def slice_at(path: Path, series: Series, points: Float[np.ndarray, "point 3"], what: str) -> int:
    """The slice, as position in the series, in which points lie.

    Args:
        path: of the label object, for the error.
        series: with the slices.
        points: mm of DICOM's patient system.
        what: they are, for the error.

    Raises:
        DicomError: they lie beside the slices, or in no one plane with one.
    """
    normal = np.cross(*series.images[0].directions)
    levels = np.array([image.position @ normal for image in series.images])
    along = points @ normal
    nearest = int(np.abs(levels - along[0]).argmin())
    away = float(np.abs(along - levels[nearest]).max())
    if away > TOLERANCE * series.distance:
        finding = f"{what} lies {away:.2f} mm from the nearest of {len(levels)} slices, {series.distance:.2f} mm apart"
        raise DicomError(path, finding, f"{ANOTHER}, with all of its slices")
    return nearest


def pixel_places(series: Series, position: int, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 2"]:
    """Row and column of points in a slice, as fractions; 0 is the center of the first pixel (PS3.3 C.7.6.2.1.1)."""
    image = series.images[position]
    offsets = points - image.position
    return np.stack([offsets @ image.directions[1], offsets @ image.directions[0]], axis=1) / image.pixel_spacing


def place_plane(
    path: Path,
    series: Series,
    what: str,
    *,
    origin: Float[np.ndarray, "3"],
    directions: Float[np.ndarray, "2 3"],
    spacing: tuple[float, float],
    size: tuple[int, int],
) -> Placed:
    """Find the slice and the pixels on which a plane of pixels lies.

    Args:
        path: of the label object, for the error.
        series: with the slices.
        what: the plane is, for the error.
        origin: center of its first pixel in mm.
        directions: of growing column index, of growing row index.
        spacing: between rows, between columns.
        size: rows, columns.

    Raises:
        DicomError: its pixels are not pixels of a slice, to a tenth of a pixel.
    """
    # corners of the plane on the slice
    down, across = directions[1] * spacing[0] * (size[0] - 1), directions[0] * spacing[1] * (size[1] - 1)
    corners = np.stack([origin, origin + down, origin + across])
    position = slice_at(path, series, corners, what)
    places = pixel_places(series, position, corners)
    # pixel by pixel along rows and columns, in whatever direction
    steps = np.stack([directions[1] * spacing[0], directions[0] * spacing[1]])
    matrix = pixel_places(series, position, series.images[position].position + steps)
    whole = np.rint(matrix)
    stretch = np.abs(matrix - whole) * (np.array(size)[:, None] - 1)
    if (np.abs(whole).sum(axis=0) != 1).any() or (np.abs(whole).sum(axis=1) != 1).any() or stretch.max() > TOLERANCE:
        raise DicomError(path, f"{what} has pixels of another size or direction than the scan's", ANOTHER)
    drift = float(np.abs(places - np.rint(places)).max())
    if drift > TOLERANCE:
        raise DicomError(path, f"{what} lies {drift:.2f} pixels beside the scan's", ANOTHER)
    # its first pixel once it lies as the slice does
    opposite = places[1] + places[2] - places[0]
    first = np.rint(np.minimum(places.min(axis=0), opposite))
    transposed = bool(whole[0, 0] == 0)
    signs = whole.sum(axis=0)  # of the slice's rows, columns
    return Placed(position, transposed, (bool(signs[0] < 0), bool(signs[1] < 0)), (int(first[0]), int(first[1])))


def paste_plane(
    path: Path, mask: Bool[np.ndarray, "rows columns"], placed: Placed, size: tuple[int, int], what: str
) -> Bool[np.ndarray, "height width"]:
    """Bring a plane's mask onto a slice's pixels.

    Raises:
        DicomError: it marks pixels outside of the slice.
    """
    # turn it as the slice lies
    turned = mask.T if placed.transposed else mask
    turned = turned[:: -1 if placed.flipped[0] else 1, :: -1 if placed.flipped[1] else 1]
    # paste what lies within
    canvas = np.zeros(size, dtype=bool)
    within, source = [], []
    for start, length, limit in zip(placed.corner, turned.shape, size, strict=True):
        low, high = max(start, 0), max(min(start + length, limit), 0)
        within.append(slice(low, max(high, low)))
        source.append(slice(low - start, max(high, low) - start))
    canvas[within[0], within[1]] = turned[source[0], source[1]]
    if np.count_nonzero(canvas) < np.count_nonzero(turned):
        raise DicomError(path, f"{what} marks pixels outside of the scan's slices", ANOTHER)
    return canvas
