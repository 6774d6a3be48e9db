"""The phantom's body without its kidneys and bones: build, skin, fat, the abdominal wall, vessels and organs.

Proportions are those of textbook anatomy, drawn anew for each patient. They are plausible, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from nephrite.phantom.canvas import Blob, Box, Canvas, Level, Point, Tube, random_bumps, smooth_field, to_point, turned

FAT, SKIN, WATER, FLUID, GAS = -103.0, -10.0, 8.0, 30.0, -930.0


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
PHASE_SHARES = (0.30, 0.55, 0.08, 0.07)


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

    def reach(self, point: Point) -> float:
        """How far out a point lies within the cavity: 0 in its center line, 1 at the abdominal wall."""
        return float(superellipse(point[0] / self.half_width, (point[1] - self.middle) / self.half_depth))


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

    def fill(self, shape: Blob | Tube, hounsfield: float, grow: float = 0.0) -> None:
        """Paint a shape of one density, where it lies within the cavity, made larger by `grow` mm."""
        box = self.canvas.box(shape.center, to_point(np.add(shape.reach, grow)))
        if self.canvas.image[box].size:
            self.canvas.paint(box, self.share(shape.level(self.canvas, box) - np.float32(grow), box), hounsfield)

    def share(self, level: Level, box: Box) -> Level:
        """Coverage of a level, cut off at the abdominal wall."""
        return self.canvas.coverage(np.maximum(level, self.outline.level(box)))


def superellipse(x: Any, y: Any) -> Any:
    """Size of the unit superellipse through (x, y): the section of a trunk is fuller than an ellipse."""
    return (np.abs(x) ** 2.35 + np.abs(y) ** 2.35) ** (1 / 2.35)


def draw_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a patient's build and contrast phase."""
    # one number for thin to heavy, which the fat layers follow
    weight = float(np.clip(rng.normal(), -1.6, 2.0))
    # contrast phase, with a scan's own gain
    contrast = PHASES[rng.choice(list(PHASES), p=PHASE_SHARES)]
    gain = rng.normal(1.0, 0.09)
    ripple = np.stack([rng.normal(0.0, 0.008, size=4), rng.uniform(0.0, 2 * np.pi, size=4)])
    return Habitus(
        half_width=float(131 + 11 * weight + rng.normal(0.0, 4.0)),
        half_depth=float(96 + 12 * weight + rng.normal(0.0, 4.0)),
        wall=float(rng.uniform(9.0, 16.0)),
        front=float(np.exp(rng.normal(2.8 + 0.35 * weight, 0.3))),
        side=float(np.exp(rng.normal(2.85 + 0.45 * weight, 0.3))),
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


def outline_body(canvas: Canvas, habitus: Habitus, half_width: float, half_depth: float, middle: float) -> Outline:
    """The line of given half axes and center around the body, with the patient's waves and swelling."""
    x, y = canvas.x, canvas.y - np.float32(middle)
    scaled = superellipse(x / np.float32(half_width), y / np.float32(half_depth))
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    waves = sum(size * np.cos((order + 2) * angle + phase) for order, (size, phase) in enumerate(habitus.ripple.T))
    border = distance / np.maximum(scaled, np.float32(1e-3)) * (1 + waves)
    swell = smooth_field(habitus.swell[:, None, None], canvas.z / 200, np.zeros(1, "f4"), np.zeros(1, "f4"))[:, 0, 0]
    return Outline(distance, border.astype(np.float32), swell * np.float32(0.33 * 9 / 4))


def paint_trunk(canvas: Canvas, habitus: Habitus) -> Cavity:
    """Paint skin, fat, the wall's muscles and the cavity's fat into air."""
    # outlines from skin to abdominal cavity, outermost first
    width, front, back = body_reach(habitus)
    middle, depth = (front + back) / 2, (back - front) / 2
    cavity = outline_body(canvas, habitus, habitus.half_width, habitus.half_depth, habitus.middle)
    wall = outline_body(
        canvas, habitus, habitus.half_width + habitus.wall, habitus.half_depth + habitus.wall, habitus.middle
    )
    layers = [
        (outline_body(canvas, habitus, width, depth, middle), SKIN),
        (outline_body(canvas, habitus, width - 2.0, depth - 2.0, middle), FAT),
        (wall, habitus.contrast.muscle),
        (cavity, FAT),
    ]
    # one slice at a time: memory stays small
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
    # stomach and pancreas
    stomach = _organ(rng, place(48, -62, -75), (52, 38, 45), 3.0)
    _paint_hollow(cavity, stomach, tones.bowel, rng.uniform(0.2, 0.8), 4.0)
    neck, tail = rng.normal(-28, 5), rng.normal(-45, 8)
    pancreas = Tube((place(-28, -48, neck + 14), place(0, -58, neck), place(35, -45, tail), place(70, -15, tail)), 10.0)
    cavity.fill(pancreas, tones.bowel)
    # liver, which moves with breath; most patients have a gallbladder
    shift = rng.normal(0.0, 14.0)
    cavity.fill(_organ(rng, place(5, -82, shift - 80), (80, 38, 45), 4.0), tones.liver)
    liver = _organ(rng, place(-76, -32, shift - 52), (62, 78, 92), 6.0)
    cavity.fill(liver, tones.liver)
    _paint_liver_vessels(cavity, liver, tones, rng)
    if rng.random() < 0.85:
        cavity.fill(_organ(rng, place(-48, -78, shift + 8), (15, 20, 30), 2.0), rng.uniform(2.0, 22.0))
    # spleen and great vessels
    cavity.fill(_organ(rng, place(98, 4, rng.normal(-62, 12)), (26, 38, 52), 4.0), tones.spleen)
    _paint_great_vessels(cavity, tones, rng)


def paint_bowel(cavity: Cavity, habitus: Habitus, rng: np.random.Generator) -> None:
    """Paint mesenteric vessels, loops of small bowel, and colon with gas and stool."""
    tones, place = habitus.contrast, habitus.place
    # mesenteric vessels
    for _ in range(40):
        start = np.array(place(rng.uniform(-50, 60), rng.uniform(-95, -35), rng.uniform(-20, 110)))
        end = start + rng.normal(0.0, 22.0, size=3)
        cavity.fill(Tube((tuple(start), tuple(end)), rng.uniform(1.2, 3.0)), tones.vein)
    # small bowel
    for _ in range(60):
        center = place(rng.normal(8, 50), rng.normal(-68, 22), rng.uniform(-40, 160))
        size = (rng.uniform(9, 15), rng.uniform(9, 14), rng.uniform(14, 30))
        loop = Blob(center, size, turned(*rng.uniform(0, 180, size=3)), random_bumps(rng, 1.5, 5))
        _paint_hollow(cavity, loop, tones.bowel, rng.choice([0.0, 0.0, 0.0, 0.35, 0.7]), rng.uniform(2.0, 5.0))
    # ascending and descending colon
    for side in (-1, 1):
        for step in range(9):
            center = place(side * rng.normal(100, 5), rng.normal(-28, 8), -35 + 24 * step)
            _paint_hollow(cavity, _organ(rng, center, (21, 22, 17), 2.0), tones.bowel, rng.uniform(0.0, 1.0), 3.0)


def _organ(rng: np.random.Generator, center: Point, radii: Point, bumps: float) -> Blob:
    size = rng.normal(1.0, 0.08, size=3) * radii
    moved = rng.normal(center, 4.0)
    return Blob(to_point(moved), to_point(size), turned(*rng.normal(0, 8, size=3)), random_bumps(rng, bumps))


def _paint_hollow(cavity: Cavity, shape: Blob, wall: float, gas: float, thickness: float) -> None:
    """Paint a hollow organ: its wall, fluid or stool below, gas in the upper part `gas` of its height."""
    canvas = cavity.canvas
    box = canvas.box(shape.center, shape.reach)
    if not canvas.image[box].size:
        return
    # the wall, then fluid inside, then gas above its surface
    level = shape.level(canvas, box)
    canvas.paint(box, cavity.share(level, box), wall)
    height = canvas.offsets(box, shape.center)[1]
    surface = (2 * gas - 1) * shape.reach[1] * 0.75
    lumen = cavity.share(level + np.float32(thickness), box)
    above = np.clip(0.5 - (height - np.float32(surface)) / canvas.softness, 0.0, float(gas > 0))
    canvas.paint(box, lumen, np.asarray(FLUID + above * (GAS - FLUID), dtype=np.float32))


def _paint_liver_vessels(cavity: Cavity, liver: Blob, tones: Contrast, rng: np.random.Generator) -> None:
    for _ in range(14):
        start, end = rng.uniform(-0.6, 0.6, size=3), rng.uniform(-0.6, 0.6, size=3)
        points = (liver.point(to_point(start)), liver.point(to_point(start + 0.5 * end)))
        cavity.fill(Tube(points, rng.uniform(1.5, 4.0)), 0.5 * (tones.vein + tones.liver) + 12.0)


def _paint_great_vessels(cavity: Cavity, tones: Contrast, rng: np.random.Generator) -> None:
    for x, y, radius, tone in ((9.0, -34.0, 10.0, tones.artery), (-22.0, -31.0, 11.0, tones.vein)):
        points = [to_point(rng.normal((x, y, z), (3.0, 2.0, 0.1))) for z in range(-200, 201, 50)]
        cavity.fill(Tube(tuple(points), radius * float(rng.normal(1.0, 0.1))), tone)
