"""Soft shapes painted into a volume of Hounsfield units: what the phantom's anatomy is made of.

Positions are patient millimeters: x to the patient's left, y to the back, z to the feet; the origin is the middle of
the vertebral body at the height of the renal hila. A shape gives a level in mm per voxel: negative inside, zero on its
surface. A voxel that a surface cuts takes a share of both tissues (partial volume).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]
Level = Float32[np.ndarray, "_ _ _"]  # slice, height, width of a box, or what broadcasts to it

FIELD_DEVIATION = 0.33  # of a cubic B-spline field with standard normal coefficients, in three dimensions
MARGIN = 6.0  # mm around a shape that its soft edge may reach


@dataclass(frozen=True)
class Canvas:
    """A volume that is being painted.

    Attributes:
        image: Hounsfield units, changed in place.
        z: position of every slice (slice,) in mm.
        y, x: position of every pixel (height, width) in mm, already turned by the patient's roll.
        softness: width in mm over which an upright surface blurs within a slice.
    """

    image: Level
    z: Float32[np.ndarray, " slice"]
    y: Float32[np.ndarray, "height width"]
    x: Float32[np.ndarray, "height width"]
    softness: float

    def box(self, center: Point, reach: Point) -> Box:
        """The smallest box of voxels that holds all points within `reach` of `center` along each axis."""
        x, y, z = center
        near: np.ndarray = (np.abs(self.x - x) < reach[0]) & (np.abs(self.y - y) < reach[1])
        return _span(np.abs(self.z - z) < reach[2]), _span(np.any(near, axis=1)), _span(np.any(near, axis=0))

    def offsets(self, box: Box, center: Point) -> tuple[Level, Level, Level]:
        """Offsets (x, y, z) from `center` in mm, shaped to broadcast over the box."""
        x, y, z = (np.float32(value) for value in center)
        return self.x[box[1:]][None] - x, self.y[box[1:]][None] - y, self.z[box[0]][:, None, None] - z

    def coverage(self, level: Level) -> Level:
        """Share of each voxel that lies inside, from the level at its center and the level's change across slices."""
        edge = self.softness + (np.abs(np.gradient(level, axis=0)) if len(level) > 1 else 0.0)
        share: Level = np.clip(0.5 - level / edge, 0.0, 1.0, dtype=np.float32)
        return share

    def paint(self, box: Box, share: Level, hounsfield: float | Level) -> None:
        """Mix `hounsfield` into the box by its share of each voxel."""
        target = self.image[box]
        target += share * (np.asarray(hounsfield, dtype=np.float32) - target)


@dataclass(frozen=True)
class Blob:
    """An ellipsoid with smooth random bumps, optionally bent along its z axis.

    Attributes:
        radii: half axes in mm along its own axes.
        turn: rotation (3, 3) from patient axes to its own axes.
        bumps: B-spline coefficients in mm on its bounding box; positive pulls the surface in.
        bend: how far in mm its poles lie from its middle along its own x axis.
    """

    center: Point
    radii: Point
    turn: Float32[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    bumps: Float32[np.ndarray, "knot knot knot"] | None = None
    bend: float = 0.0

    @property
    def reach(self) -> Point:
        """Half size in mm of its bounding box along the patient's axes."""
        radii = np.add(self.radii, (abs(self.bend), 0.0, 0.0))
        bumps = 0.0 if self.bumps is None else 2.5 * float(self.bumps.std())
        return to_point(np.sqrt(((self.turn * radii[:, None]) ** 2).sum(axis=0)) + bumps + MARGIN)

    def point(self, own: Point) -> Point:
        """Patient position of a point given in its own axes, as parts of the half axes."""
        return to_point(np.array(self.center) + (np.array(own) * self.radii) @ self.turn)

    def own(self, canvas: Canvas, box: Box) -> list[Level]:
        """Offsets from the center along the blob's own axes, in mm."""
        x, y, z = canvas.offsets(box, self.center)
        axes = [(row[0] * x + row[1] * y) + row[2] * z for row in self.turn]
        if self.bend:
            axes[0] += np.float32(self.bend / self.radii[2] ** 2) * axes[2] ** 2
        return axes

    def level(self, canvas: Canvas, box: Box) -> Level:
        """Distance in mm to the surface, of first order at the surface (Taubin 1991, section 3)."""
        # distance to an ellipsoid's surface, to first order: level divided by slope
        square = np.full(canvas.image[box].shape, -1.0, dtype=np.float32)
        slope = np.full(square.shape, 1e-6, dtype=np.float32)
        for offset, radius in zip(self.own(canvas, box), self.radii, strict=True):
            scaled = offset * np.float32(1 / radius)
            scaled *= scaled
            square += scaled
            slope += scaled * np.float32(1 / radius**2)
        level: Level = square / (2.0 * np.sqrt(slope))
        if self.bumps is not None:
            level += self._bumps(canvas, box)
        return level

    def _bumps(self, canvas: Canvas, box: Box) -> Level:
        x, y, z = canvas.offsets(box, self.center)
        rows, columns = y[0, :, y.shape[2] // 2], x[0, x.shape[1] // 2, :]
        width, depth, height = self.reach
        assert self.bumps is not None
        return smooth_field(self.bumps, z[:, 0, 0] / height, rows / depth, columns / width)


@dataclass(frozen=True)
class Tube:
    """A round tube along a line of points, all in mm."""

    points: tuple[Point, ...]
    radius: float

    @property
    def center(self) -> Point:
        """Middle of its bounding box."""
        low, high = np.min(self.points, axis=0), np.max(self.points, axis=0)
        return to_point((low + high) / 2)

    @property
    def reach(self) -> Point:
        """Half size in mm of its bounding box."""
        return to_point(np.ptp(self.points, axis=0) / 2 + self.radius + MARGIN)

    def level(self, canvas: Canvas, box: Box) -> Level:
        """Distance in mm to the surface of the nearest piece."""
        level = np.full(canvas.image[box].shape, np.inf, dtype=np.float32)
        for start, end in zip(self.points, self.points[1:], strict=False):
            x, y, z = canvas.offsets(box, start)
            line = np.subtract(end, start).astype(np.float32)
            along = np.clip(((line[0] * x + line[1] * y) + line[2] * z) / (line @ line), 0.0, 1.0)
            square = (x - along * line[0]) ** 2 + (y - along * line[1]) ** 2 + (z - along * line[2]) ** 2
            np.minimum(level, np.sqrt(square), out=level)
        level -= np.float32(self.radius)
        return level


def smooth_field(
    coefficients: Float32[np.ndarray, "knot_z knot_y knot_x"],
    z: Float32[np.ndarray, " slice"],
    y: Float32[np.ndarray, " height"],
    x: Float32[np.ndarray, " width"],
) -> Level:
    """Cubic B-spline field over positions in -1..1 along each axis; standard normal coefficients give deviation 1."""
    basis = [_spline(place, knots) for place, knots in zip((z, y, x), coefficients.shape, strict=True)]
    rows = np.tensordot(basis[0], coefficients / np.float32(FIELD_DEVIATION), axes=1)
    result: Level = (basis[1] @ rows) @ basis[2].T
    return result


def turned(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float32[np.ndarray, "3 3"]:
    """Rotation by degrees about the x, then y, then z axis."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians([x, y, z])), np.sin(np.radians([x, y, z]))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turn: np.ndarray = about_z @ about_y @ about_x
    return turn.astype(np.float32)


def random_bumps(rng: np.random.Generator, size: float, knots: int = 6) -> Float32[np.ndarray, "knot knot knot"]:
    """Bumps of deviation `size` mm for a blob."""
    return np.float32(size) * rng.standard_normal((knots, knots, knots), dtype=np.float32)


def to_point(values: np.ndarray) -> Point:
    """Three numbers of an array as a point."""
    x, y, z = values
    return float(x), float(y), float(z)


def _spline(place: Float32[np.ndarray, " place"], knots: int) -> Float32[np.ndarray, "place knot"]:
    position = (np.clip(place, -1.0, 1.0) + 1.0) / 2.0 * (knots - 3) + 1.0
    distance = np.abs(position[:, None] - np.arange(knots))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2.0 - distance, 0.0, None) ** 3 / 6
    basis: np.ndarray = np.where(distance < 1.0, near, far)
    return basis.astype(np.float32)


def _span(near: np.ndarray) -> slice:
    places = np.flatnonzero(near)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
