"""The phantom's skeleton: vertebrae and ribs, and the muscles along the spine."""

from __future__ import annotations

import numpy as np

from nephrite.phantom.anatomy import WATER, Habitus, Outline, outline_body
from nephrite.phantom.canvas import Blob, Canvas, Tube, random_bumps, turned

DISC, BONE, MARROW = 75.0, 420.0, 150.0
VERTEBRA = 34.0  # mm from one vertebra to the next


def paint_bones(canvas: Canvas, habitus: Habitus, rng: np.random.Generator) -> None:
    """Paint the muscles along the spine, the vertebrae and the ribs."""
    first = float(rng.uniform(-VERTEBRA / 2, VERTEBRA / 2))
    for side in (-1, 1):
        _paint_muscles(canvas, side, habitus, rng)
    for place in np.arange(-10, 11) * VERTEBRA + first:
        _paint_vertebra(canvas, float(place), rng)
    ring = outline_body(
        canvas, habitus, habitus.half_width + habitus.wall / 2, habitus.half_depth + habitus.wall / 2, habitus.middle
    )
    _paint_ribs(canvas, ring, habitus, first)


def _paint_muscles(canvas: Canvas, side: int, habitus: Habitus, rng: np.random.Generator) -> None:
    size = float(rng.normal(1.0, 0.1))
    muscles: list[Blob | Tube] = [
        Tube(((side * 24.0, -2.0, -60.0), (side * 34.0, 0.0, 40.0), (side * 44.0, -8.0, 200.0)), 14.0 * size),
        Blob((side * 58.0, 42.0, 60.0), (17.0, 9.0 * size, 150.0), turned(z=side * 8.0), random_bumps(rng, 1.5)),
        Blob((side * 31.0, 57.0, 0.0), (31.0, 17.0 * size, 500.0), turned(z=-side * 6.0), random_bumps(rng, 2.0)),
    ]
    for muscle in muscles:
        _fill(canvas, muscle, habitus.contrast.muscle)


def _paint_vertebra(canvas: Canvas, place: float, rng: np.random.Generator) -> None:
    """Paint a body with its rim, the canal, two transverse processes and a spinous one, and the disc below."""
    body = Blob((0.0, 0.0, place), (24.0, 18.0, 24.0))
    box = canvas.box((0.0, 0.0, place), (40.0, 32.0, VERTEBRA / 2))
    if not canvas.image[box].size:
        return
    x, y, z = canvas.offsets(box, body.center)
    # disc, cortical bone, marrow
    rim = np.sqrt((x / 1.3) ** 2 + y**2) - np.float32(18.0)
    disc = np.abs(z) - np.float32(VERTEBRA / 2 - 4.0)
    canvas.paint(box, canvas.coverage(rim + 0 * z), DISC)
    canvas.paint(box, canvas.coverage(np.maximum(rim, disc)), BONE * 0.8)
    canvas.paint(box, canvas.coverage(np.maximum(rim, disc) + np.float32(2.5)), MARROW + rng.normal(0.0, 15.0))
    # arches and processes
    for side in (-1.0, 1.0):
        arch = ((side * 13.0, 12.0, place - 6), (side * 17.0, 27.0, place), (side * 42.0, 32.0, place + 2))
        _fill(canvas, Tube(arch, 4.5), BONE)
        _fill(canvas, Tube(((side * 15.0, 28.0, place), (0.0, 41.0, place + 8)), 4.5), BONE)
    # spinous process, and the canal with its fluid
    _fill(canvas, Tube(((0.0, 41.0, place + 4), (0.0, 68.0, place + 14)), 4.5), BONE)
    _fill(canvas, Tube(((0.0, 26.0, place - 17), (0.0, 26.0, place + 17)), 9.0), WATER + 20.0)


def _paint_ribs(canvas: Canvas, ring: Outline, habitus: Habitus, first: float) -> None:
    """Paint ribs as bent tubes in the wall: they sink from the spine to the front; the two lowest end early."""
    # pixels of the chest wall, as angles around the spine
    depth = ring.distance - ring.border
    rows, columns = np.nonzero(np.abs(depth) < 9.0)
    x, y = canvas.x[rows, columns], canvas.y[rows, columns] - np.float32(habitus.middle)
    angle = np.arctan2(np.abs(x), y)  # 0 at the back, pi at the front
    for number, reach in enumerate((0.95, 1.4, 1.9, 2.3, 2.4, 2.4, 2.4)):
        near = (angle > 0.3) & (angle < reach + 0.1)
        # each rib sinks towards the front, and ends at its reach
        row, column, turn = rows[near], columns[near], angle[near]
        sunk = canvas.z[:, None] - (first - VERTEBRA * (number + 1.0) + 62.0 * turn - 20.0)
        level = np.sqrt((depth[row, column] * 1.7) ** 2 + sunk**2) - np.float32(6.5)
        level = np.maximum(level, 40.0 * np.maximum(turn - np.float32(reach), np.float32(0.35) - turn))
        share = np.clip(0.5 - level / np.float32(3.0), 0.0, 1.0)
        canvas.image[:, row, column] += share * (BONE - canvas.image[:, row, column])


def _fill(canvas: Canvas, shape: Blob | Tube, hounsfield: float) -> None:
    box = canvas.box(shape.center, shape.reach)
    if canvas.image[box].size:
        canvas.paint(box, canvas.coverage(shape.level(canvas, box)), hounsfield)
