"""The phantom's body without its kidneys: skin, fat, muscles, bones, vessels and the organs of the abdomen.

Proportions are those of textbook anatomy, drawn anew for each patient. They are plausible, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from nephrite.imaging.canvas import Blob, Box, Canvas, Level, Point, Tube, random_bumps, smooth_field, turned

FAT, SKIN, WATER, GAS, DISC, BONE, MARROW = -103.0, -10.0, 8.0, -930.0, 75.0, 420.0, 185.0
VERTEBRA = 34.0  # mm from one vertebra to the next


@dataclass(frozen=True)
class Contrast:
    """Hounsfield units by contrast phase."""

    cortex: float
    medulla: float
    pelvis: float
    artery: float
    vein: float
    liver: float
    spleen: float
    bowel: float
    muscle: float


PHASES = {
    "arterial": Contrast(195, 95, 12, 290, 120, 80, 120, 100, 58),
    "portal": Contrast(190, 155, 14, 165, 165, 112, 125, 95, 62),
    "late": Contrast(150, 145, 420, 125, 125, 95, 100, 80, 62),
    "faint": Contrast(105, 90, 12, 95, 90, 72, 78, 60, 54),
}
PHASE_SHARES = (0.45, 0.40, 0.08, 0.07)


@dataclass(frozen=True)
class Habitus:
    """One patient's build, in mm and degrees.

    Attributes:
        half_width, half_depth: half axes of the abdominal cavity.
        wall: thickness of the abdominal wall's muscles.
        front, side, back: thickness of the fat under the skin.
        roll: turn about the long axis.
        ripple: amplitude and phase of the outline's waves around the body.
        swell: B-spline coefficients of the outline's size from head to feet.
    """

    half_width: float
    half_depth: float
    wall: float
    front: float
    side: float
    back: float
    roll: float
    ripple: Float32[np.ndarray, "2 wave"]
    swell: Float32[np.ndarray, " knot"]
    contrast: Contrast

    @property
    def middle(self) -> float:
        """Position of the cavity's center from front to back: the spine reaches into its rear."""
        return 52.0 - self.half_depth

    def place(self, x: float, y: float, z: float) -> Point:
        """Position of a point that is given for a cavity of 125 by 92 mm."""
        return x * self.half_width / 125.0, 52.0 + (y - 52.0) * self.half_depth / 92.0, z


@dataclass(frozen=True)
class Outline:
    """A closed line around the body that swells and shrinks from slice to slice."""

    distance: Float32[np.ndarray, "height width"]
    border: Float32[np.ndarray, "height width"]
    swell: Float32[np.ndarray, " slice"]

    def level(self, box: Box) -> Level:
        """Distance in mm to the line, within each slice."""
        level: Level = self.distance[box[1:]] - self.swell[box[0]][:, None, None] * self.border[box[1:]]
        return level


@dataclass(frozen=True)
class Cavity:
    """The abdominal cavity: the place where organs are painted, cut off at the abdominal wall."""

    canvas: Canvas
    outline: Outline

    def fill(self, shape: Blob | Tube, hounsfield: float, texture: float = 0.0) -> None:
        """Paint a shape of one density, where it lies within the cavity; texture in mm pulls an inner shape smaller."""
        box = self.canvas.box(shape.center, shape.reach)
        if self.canvas.image[box].size:
            self.canvas.paint(box, self.share(shape.level(self.canvas, box) + np.float32(texture), box), hounsfield)

    def share(self, level: Level, box: Box) -> Level:
        """Coverage of a level, cut off at the abdominal wall."""
        return self.canvas.coverage(np.maximum(level, self.outline.level(box)))


def draw_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a patient's build and contrast phase."""
    weight = float(np.clip(rng.normal(), -1.6, 2.0))
    contrast = PHASES[rng.choice(list(PHASES), p=PHASE_SHARES)]
    gain = rng.normal(1.0, 0.09)
    ripple = np.stack([rng.normal(0.0, 0.012, size=4), rng.uniform(0.0, 2 * np.pi, size=4)])
    return Habitus(
        half_width=float(123 + 10 * weight + rng.normal(0.0, 4.0)),
        half_depth=float(90 + 11 * weight + rng.normal(0.0, 4.0)),
        wall=float(rng.uniform(9.0, 16.0)),
        front=float(np.exp(rng.normal(2.8 + 0.35 * weight, 0.3))),
        side=float(np.exp(rng.normal(2.6 + 0.45 * weight, 0.3))),
        back=float(np.exp(rng.normal(2.6 + 0.35 * weight, 0.25))),
        roll=float(rng.normal(0.0, 3.0)),
        ripple=ripple.astype(np.float32),
        swell=rng.normal(1.0, 0.025, size=6).astype(np.float32),
        contrast=Contrast(**{name: value * gain for name, value in vars(contrast).items()}),
    )


def body_reach(habitus: Habitus) -> tuple[float, float, float]:
    """Half width of the body at its skin, and the positions of its front and back, in mm."""
    width = habitus.half_width + habitus.wall + habitus.side
    front = habitus.middle - habitus.half_depth - habitus.wall - habitus.front
    return width, front, 82.0 + habitus.back


def paint_trunk(canvas: Canvas, habitus: Habitus) -> Cavity:
    """Paint skin, fat, the wall's muscles and the cavity's fat into air."""
    width, front, back = body_reach(habitus)
    middle, depth = (front + back) / 2, (back - front) / 2
    cavity = _outline(canvas, habitus, habitus.half_width, habitus.half_depth, habitus.middle)
    wall = _outline(
        canvas, habitus, habitus.half_width + habitus.wall, habitus.half_depth + habitus.wall, habitus.middle
    )
    layers = [
        (_outline(canvas, habitus, width, depth, middle), SKIN),
        (_outline(canvas, habitus, width - 2.0, depth - 2.0, middle), FAT),
        (wall, habitus.contrast.muscle),
        (cavity, FAT),
    ]
    whole = (slice(None), slice(None))
    for index in range(len(canvas.z)):
        box = (slice(index, index + 1), *whole)
        for outline, hounsfield in layers:
            canvas.paint(box, canvas.coverage(outline.level(box)), hounsfield)
    return Cavity(canvas, cavity)


def paint_organs(cavity: Cavity, habitus: Habitus, rng: np.random.Generator) -> None:
    """Paint bowel, stomach, pancreas, liver, gallbladder, spleen and the great vessels."""
    tones, place = habitus.contrast, habitus.place
    paint_bowel(cavity, habitus, rng)
    stomach = _organ(rng, place(48, -62, -75), (52, 38, 45), 3.0)
    _paint_hollow(cavity, stomach, tones.bowel, rng.uniform(0.2, 0.8), 4.0)
    neck, tail = rng.normal(-28, 5), rng.normal(-45, 8)
    pancreas = Tube((place(-28, -48, neck + 14), place(0, -58, neck), place(35, -45, tail), place(70, -15, tail)), 10.0)
    cavity.fill(pancreas, tones.bowel)
    shift = rng.normal(0.0, 14.0)
    cavity.fill(_organ(rng, place(5, -82, shift - 80), (80, 38, 45), 4.0), tones.liver)
    liver = _organ(rng, place(-76, -32, shift - 52), (62, 78, 92), 6.0)
    cavity.fill(liver, tones.liver)
    _paint_liver_vessels(cavity, liver, tones, rng)
    if rng.random() < 0.85:
        cavity.fill(_organ(rng, place(-48, -78, shift + 8), (15, 20, 30), 2.0), rng.uniform(2.0, 22.0))
    cavity.fill(_organ(rng, place(98, 4, rng.normal(-62, 12)), (26, 38, 52), 4.0), tones.spleen)
    _paint_great_vessels(cavity, tones, rng)


def paint_bowel(cavity: Cavity, habitus: Habitus, rng: np.random.Generator) -> None:
    """Paint mesenteric vessels, loops of small bowel, and colon with gas and stool."""
    tones, place = habitus.contrast, habitus.place
    for _ in range(26):
        start = np.array(place(rng.uniform(-50, 60), rng.uniform(-95, -35), rng.uniform(-20, 110)))
        end = start + rng.normal(0.0, 22.0, size=3)
        cavity.fill(Tube((tuple(start), tuple(end)), rng.uniform(1.2, 3.0)), tones.vein)
    for _ in range(34):
        center = place(rng.normal(8, 48), rng.normal(-72, 20), rng.uniform(-30, 160))
        size = (rng.uniform(9, 15), rng.uniform(9, 14), rng.uniform(14, 30))
        loop = Blob(center, size, turned(*rng.uniform(0, 180, size=3)), random_bumps(rng, 1.5, 5))
        _paint_hollow(cavity, loop, tones.bowel, rng.choice([0.0, 0.0, 0.0, 0.35, 0.7]), rng.uniform(2.0, 5.0))
    for side in (-1, 1):
        for step in range(9):
            center = place(side * rng.normal(100, 5), rng.normal(-28, 8), -35 + 24 * step)
            _paint_hollow(cavity, _organ(rng, center, (21, 22, 17), 2.0), tones.bowel, rng.uniform(0.0, 1.0), 3.0)


def paint_bones(canvas: Canvas, habitus: Habitus, rng: np.random.Generator) -> None:
    """Paint the muscles along the spine, the vertebrae and the ribs."""
    first = float(rng.uniform(-VERTEBRA / 2, VERTEBRA / 2))
    for side in (-1, 1):
        _paint_muscles(canvas, side, habitus, rng)
    for place in np.arange(-10, 11) * VERTEBRA + first:
        _paint_vertebra(canvas, float(place), rng)
    ring = _outline(
        canvas, habitus, habitus.half_width + habitus.wall / 2, habitus.half_depth + habitus.wall / 2, habitus.middle
    )
    _paint_ribs(canvas, ring, habitus, first)


def _outline(canvas: Canvas, habitus: Habitus, half_width: float, half_depth: float, middle: float) -> Outline:
    x, y = canvas.x, canvas.y - np.float32(middle)
    power = np.float32(2.35)
    scaled = (np.abs(x / np.float32(half_width)) ** power + np.abs(y / np.float32(half_depth)) ** power) ** (1 / power)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    waves = sum(size * np.cos((order + 2) * angle + phase) for order, (size, phase) in enumerate(habitus.ripple.T))
    border = distance / np.maximum(scaled, np.float32(1e-3)) * (1 + waves)
    swell = smooth_field(habitus.swell[:, None, None], canvas.z / 200, np.zeros(1, "f4"), np.zeros(1, "f4"))[:, 0, 0]
    return Outline(distance, border.astype(np.float32), swell * np.float32(0.33 * 9 / 4))


def _organ(rng: np.random.Generator, center: Point, radii: Point, bumps: float) -> Blob:
    size = rng.normal(1.0, 0.08, size=3) * radii
    moved = rng.normal(center, 4.0)
    return Blob(_point(moved), _point(size), turned(*rng.normal(0, 8, size=3)), random_bumps(rng, bumps))


def _paint_hollow(cavity: Cavity, shape: Blob, wall: float, gas: float, thickness: float) -> None:
    """Paint a hollow organ: its wall, fluid or stool below, gas in the upper part `gas` of its height."""
    canvas = cavity.canvas
    box = canvas.box(shape.center, shape.reach)
    if not canvas.image[box].size:
        return
    level = shape.level(canvas, box)
    canvas.paint(box, cavity.share(level, box), wall)
    height = canvas.offsets(box, shape.center)[1]
    surface = (2 * gas - 1) * shape.reach[1] * 0.75
    lumen = cavity.share(level + np.float32(thickness), box)
    above = np.clip(0.5 - (height - np.float32(surface)) / canvas.softness, 0.0, 1.0) if gas else np.float32(0.0)
    canvas.paint(box, lumen, (WATER + 22.0) + above * (GAS - WATER - 22.0))


def _paint_liver_vessels(cavity: Cavity, liver: Blob, tones: Contrast, rng: np.random.Generator) -> None:
    for _ in range(14):
        start, end = rng.uniform(-0.6, 0.6, size=3), rng.uniform(-0.6, 0.6, size=3)
        points = (liver.point(_point(start)), liver.point(_point(start + 0.5 * end)))
        cavity.fill(Tube(points, rng.uniform(1.5, 4.0)), 0.5 * (tones.vein + tones.liver) + 12.0)


def _paint_great_vessels(cavity: Cavity, tones: Contrast, rng: np.random.Generator) -> None:
    for x, y, radius, tone in ((9.0, -34.0, 10.0, tones.artery), (-22.0, -31.0, 11.0, tones.vein)):
        points = [_point(rng.normal((x, y, z), (3.0, 2.0, 0.1))) for z in range(-200, 201, 50)]
        cavity.fill(Tube(tuple(points), radius * float(rng.normal(1.0, 0.1))), tone)


def _paint_muscles(canvas: Canvas, side: int, habitus: Habitus, rng: np.random.Generator) -> None:
    size = float(rng.normal(1.0, 0.1))
    muscles = [
        Tube(((side * 24.0, -2.0, -60.0), (side * 34.0, 0.0, 40.0), (side * 44.0, -8.0, 200.0)), 14.0 * size),
        Tube(((side * 55.0, 42.0, -80.0), (side * 62.0, 40.0, 200.0)), 11.0 * size),
        Tube(((side * 22.0, 56.0, -220.0), (side * 22.0, 56.0, 220.0)), 19.0 * size),
        Tube(((side * 44.0, 58.0, -220.0), (side * 42.0, 58.0, 220.0)), 17.0 * size),
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
    rim = np.sqrt((x / 1.3) ** 2 + y**2) - np.float32(18.0)
    disc = np.abs(z) - np.float32(VERTEBRA / 2 - 4.0)
    canvas.paint(box, canvas.coverage(rim + 0 * z), DISC)
    canvas.paint(box, canvas.coverage(np.maximum(rim, disc)), BONE * 0.8)
    canvas.paint(box, canvas.coverage(np.maximum(rim, disc) + np.float32(2.5)), MARROW + rng.normal(0.0, 15.0))
    for side in (-1.0, 1.0):
        arch = ((side * 13.0, 12.0, place - 6), (side * 17.0, 27.0, place), (side * 42.0, 32.0, place + 2))
        _fill(canvas, Tube(arch, 4.5), BONE)
        _fill(canvas, Tube(((side * 15.0, 28.0, place), (0.0, 41.0, place + 8)), 4.5), BONE)
    _fill(canvas, Tube(((0.0, 41.0, place + 4), (0.0, 68.0, place + 14)), 4.5), BONE)
    _fill(canvas, Tube(((0.0, 26.0, place - 17), (0.0, 26.0, place + 17)), 9.0), WATER + 20.0)


def _paint_ribs(canvas: Canvas, ring: Outline, habitus: Habitus, first: float) -> None:
    """Paint ribs as bent tubes in the wall: they sink from the spine to the front; the two lowest end early."""
    depth = ring.distance - ring.border
    rows, columns = np.nonzero(np.abs(depth) < 9.0)
    x, y = canvas.x[rows, columns], canvas.y[rows, columns] - np.float32(habitus.middle)
    angle = np.arctan2(np.abs(x), y)  # 0 at the back, pi at the front
    for number, reach in enumerate((0.95, 1.4, 1.9, 2.3, 2.4, 2.4, 2.4)):
        sunk = canvas.z[:, None] - (first - VERTEBRA * (number + 1.0) + 62.0 * angle - 20.0)
        level = np.sqrt((depth[rows, columns] * 1.7) ** 2 + sunk**2) - np.float32(6.5)
        level = np.maximum(level, 40.0 * np.maximum(angle - np.float32(reach), np.float32(0.35) - angle))
        share = np.clip(0.5 - level / np.float32(3.0), 0.0, 1.0)
        canvas.image[:, rows, columns] += share * (BONE - canvas.image[:, rows, columns])


def _fill(canvas: Canvas, shape: Blob | Tube, hounsfield: float) -> None:
    box = canvas.box(shape.center, shape.reach)
    if canvas.image[box].size:
        canvas.paint(box, canvas.coverage(shape.level(canvas, box)), hounsfield)


def _point(values: np.ndarray) -> Point:
    x, y, z = values
    return float(x), float(y), float(z)
