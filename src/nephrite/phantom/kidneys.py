"""The phantom's kidneys with their tumors and cysts, drawn first and painted last."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.phantom.anatomy import FAT, WATER, Cavity, Contrast, Habitus
from nephrite.phantom.canvas import Blob, Box, Level, Point, Tube, random_bumps, smooth_field, to_point, turned

KIDNEY, TUMOR = 1, 2
PYRAMIDS = 11


@dataclass(frozen=True)
class Kidney:
    """One kidney.

    Attributes:
        side: -1 the patient's right, 1 the left.
        hull: the whole kidney; `sinus` the fat of its hilum, `pelvis` the urine in it.
        pyramids: directions (pyramid, 3) of the medulla's pyramids from the middle.
        cortex: thickness in mm of the cortex under the capsule.
    """

    side: int
    hull: Blob
    sinus: Blob
    pelvis: Blob
    pyramids: Float32[np.ndarray, "pyramid 3"]
    cortex: float


@dataclass(frozen=True)
class Lesion:
    """A tumor or a cyst.

    Attributes:
        body: the whole lesion.
        core: dead middle of a tumor, or None.
        hounsfield: its mean density.
        mottle: deviation in Hounsfield units of its texture (knot, knot, knot).
    """

    body: Blob
    core: Blob | None
    hounsfield: float
    mottle: Float32[np.ndarray, "knot knot knot"]
    is_tumor: bool


def draw_kidneys(habitus: Habitus, rng: np.random.Generator) -> list[Kidney]:
    """Draw two kidneys of a similar size, or one, larger, for a patient in fifteen."""
    size = float(np.exp(rng.normal(0.0, 0.085)))
    sides = [-1, 1]
    if rng.random() < 1 / 15:
        sides = [int(rng.choice(sides))]
        size *= 1.12
    return [_draw_kidney(side, size * float(np.exp(rng.normal(0.0, 0.035))), habitus, rng) for side in sides]


def draw_lesions(kidneys: list[Kidney], habitus: Habitus, rng: np.random.Generator) -> list[Lesion]:
    """Draw cysts in all kidneys and one tumor, rarely more, in one kidney, seldom in the other too."""
    lesions = []
    for kidney in kidneys:
        lesions += [_draw_cyst(kidney, habitus, rng) for _ in range(rng.poisson(1.1))]
    first = kidneys[rng.integers(len(kidneys))]
    hosts = [first] * int(rng.choice([1, 2, 3], p=[0.88, 0.09, 0.03]))
    hosts += [kidney for kidney in kidneys if kidney is not first and rng.random() < 0.04]
    return lesions + [_draw_tumor(kidney, habitus, rng, index > 0) for index, kidney in enumerate(hosts)]


def paint_surrounding_fat(
    cavity: Cavity, kidneys: list[Kidney], lesions: list[Lesion], rng: np.random.Generator
) -> None:
    """Paint the fat in which kidneys and tumors lie, of uneven thickness; bones and muscles come after it."""
    halo = float(rng.uniform(3.0, 16.0))
    for shape in [kidney.hull for kidney in kidneys] + [lesion.body for lesion in lesions if lesion.is_tumor]:
        around = replace(shape, bumps=random_bumps(rng, 4.0))
        cavity.fill(around, FAT, halo if shape.bend else min(halo, 4.0))


def paint_kidney(
    cavity: Cavity,
    label: UInt8[np.ndarray, "slice height width"],
    kidney: Kidney,
    *,
    contrast: Contrast,
    rng: np.random.Generator,
) -> None:
    """Paint a kidney with its hilum, and write its class into `label`; the fat of the hilum is not kidney."""
    # parenchyma, then fat in the sinus
    canvas, hull = cavity.canvas, kidney.hull
    box = canvas.box(hull.center, hull.reach)
    level = hull.level(canvas, box)
    sinus = kidney.sinus.level(canvas, box)
    canvas.paint(box, cavity.share(level, box), _parenchyma(cavity, box, kidney, level, contrast))
    hilum = cavity.share(np.maximum(sinus, level - np.float32(3.0)), box)
    canvas.paint(box, hilum, FAT + 25.0)
    # arteries and veins through the hilum, and the pelvis
    middle, inner = hull.center, kidney.sinus.center
    for tone, lower in ((contrast.artery, -5.0), (contrast.vein, 4.0)):
        for _ in range(3):
            end = rng.normal(inner, (4.0, 6.0, 14.0))
            root = (kidney.side * 12.0, -30.0, middle[2] + lower)
            cavity.fill(Tube((root, to_point(inner + np.array([0, -6.0, lower])), to_point(end)), 2.8), tone)
    cavity.fill(kidney.pelvis, contrast.pelvis)
    # the label holds no fat
    fat = (canvas.image[box] < -25.0) & (sinus < 0)
    label[box][(level < 0) & (cavity.outline.level(box) < 0) & ~fat] = KIDNEY


def paint_lesion(cavity: Cavity, label: UInt8[np.ndarray, "slice height width"], lesion: Lesion) -> None:
    """Paint a tumor or cyst, and write its class into `label`: cysts count as kidney, as in KiTS19."""
    # body with its texture
    canvas, body = cavity.canvas, lesion.body
    box = canvas.box(body.center, body.reach)
    level = np.maximum(body.level(canvas, box), cavity.outline.level(box))
    x, y, z = canvas.offsets(box, body.center)
    rows, columns = y[0, :, y.shape[2] // 2], x[0, x.shape[1] // 2, :]
    width, depth, height = body.reach
    mottle = smooth_field(lesion.mottle, z[:, 0, 0] / height, rows / depth, columns / width)
    canvas.paint(box, canvas.coverage(level), lesion.hounsfield + mottle)
    # necrotic core
    if lesion.core:
        core = np.maximum(lesion.core.level(canvas, box), level + np.float32(2.0))
        canvas.paint(box, canvas.coverage(core), WATER + 20.0 + 0.3 * mottle)
    # cysts count as kidney, as in KiTS19
    label[box][level < 0] = TUMOR if lesion.is_tumor else KIDNEY


def _draw_kidney(side: int, size: float, habitus: Habitus, rng: np.random.Generator) -> Kidney:
    # hull
    x, y, z = habitus.place(side * rng.normal(66, 5), rng.normal(0, 7), rng.normal(-side * 6, 9))
    radii = np.array([31.5, 31.0, 57.0]) * size * rng.normal(1.0, 0.05, size=3)
    tilt = turned(rng.normal(17, 7), side * rng.normal(12, 5), side * rng.normal(28, 10))
    hull = Blob((x, y, z), to_point(radii), tilt, random_bumps(rng, 1.9), bend=-side * float(rng.uniform(5.0, 11.0)))
    # sinus and pelvis, towards the spine
    parts = np.array([-0.62 * side, -0.1, rng.normal(0.0, 0.05)])
    sinus = Blob(hull.point(to_point(parts)), to_point(radii * (0.6, 0.4, 0.5)), tilt, random_bumps(rng, 2.0))
    inner = rng.uniform(0.35, 0.75)
    pelvis = Blob(
        hull.point(to_point(parts * 0.8)), to_point(radii * (0.5, 0.28, 0.36) * inner), tilt, random_bumps(rng, 1.0)
    )
    # directions of the pyramids
    pyramids = rng.normal(size=(PYRAMIDS, 3)) * (1, 1, 1.2)
    pyramids /= np.linalg.norm(pyramids, axis=1, keepdims=True)
    return Kidney(side, hull, sinus, pelvis, pyramids.astype(np.float32), float(rng.uniform(5.0, 8.0)))


def _draw_cyst(kidney: Kidney, habitus: Habitus, rng: np.random.Generator) -> Lesion:
    radius = float(np.clip(np.exp(rng.normal(np.log(8.0), 0.55)), 2.5, 32.0))
    density = rng.uniform(0.0, 22.0) if rng.random() < 0.88 else rng.uniform(35.0, 75.0)
    place = _near_surface(kidney, habitus, rng, radius * rng.uniform(-0.6, 0.5))
    body = Blob(place, to_point(radius * rng.normal(1.0, 0.06, size=3)), bumps=random_bumps(rng, 0.02 * radius))
    return Lesion(body, None, float(density), np.zeros((4, 4, 4), np.float32), is_tumor=False)


def _draw_tumor(kidney: Kidney, habitus: Habitus, rng: np.random.Generator, further: bool) -> Lesion:
    """Draw a tumor: bright and patchy with a dead core, dim and even, or nearly as bright as the kidney."""
    # size and kind
    diameter = float(np.clip(np.exp(rng.normal(np.log(18.0 if further else 39.0), 0.47)), 9.0, 95.0))
    radius, renal = diameter / 2, 0.5 * (habitus.contrast.cortex + habitus.contrast.medulla)
    kind = rng.choice(["patchy", "dim", "alike"], p=[0.46, 0.40, 0.14])
    share, mottle = {"patchy": (0.52, 0.14), "dim": (0.36, 0.06), "alike": (0.88, 0.12)}[kind]
    # place and shape
    place = _near_surface(kidney, habitus, rng, radius * rng.uniform(-0.55, 0.5) + max(0.0, 0.25 * (radius - 18.0)))
    radii = radius * np.exp(rng.normal(0.0, 0.09, size=3))
    turn = turned(*rng.uniform(0, 180, size=3))
    place = (kidney.side * max(abs(place[0]), radius + 26.0), *place[1:])  # beside the spine
    body = Blob(place, to_point(radii), turn, random_bumps(rng, 0.10 * radius, 7))
    # core and texture
    core = None
    if kind == "patchy" and radius > 10:
        parts = to_point(rng.uniform(-0.25, 0.25, size=3))
        core = Blob(body.point(parts), to_point(radii * rng.uniform(0.3, 0.6)), turn, random_bumps(rng, 0.12 * radius))
    texture = (renal * mottle * rng.standard_normal((12, 12, 12))).astype(np.float32)
    return Lesion(body, core, float(renal * share * rng.normal(1.0, 0.07)), texture, is_tumor=True)


def _near_surface(kidney: Kidney, habitus: Habitus, rng: np.random.Generator, outwards: float) -> Point:
    """A point `outwards` mm above the hull, mostly away from the hilum, well within the abdominal wall."""
    place = kidney.hull.center
    for _ in range(20):
        # a direction, mostly away from the spine
        direction = rng.normal(size=3)
        direction[0] = kidney.side * abs(direction[0]) if rng.random() < 0.75 else direction[0]
        direction /= np.linalg.norm(direction)
        # the point there, in the bent hull's own coordinates
        parts = direction * (1.0 + outwards / float(np.linalg.norm(direction * kidney.hull.radii)))
        parts[0] -= kidney.hull.bend / kidney.hull.radii[0] * parts[2] ** 2
        place = kidney.hull.point(to_point(parts))
        # inside of the body
        if habitus.reach(place) < 0.9:
            break
    return place


def _parenchyma(cavity: Cavity, box: Box, kidney: Kidney, level: Level, contrast: Contrast) -> Level:
    """Cortex at the rim and in columns between the pyramids of the medulla."""
    own = kidney.hull.own(cavity.canvas, box)
    scaled = np.stack([axis / np.float32(radius) for axis, radius in zip(own, kidney.hull.radii, strict=True)], axis=-1)
    scaled[..., 0] += np.float32(0.25 * kidney.side)
    length = np.sqrt((scaled * scaled).sum(axis=-1)) + np.float32(1e-3)
    nearest = (scaled @ kidney.pyramids.T).max(axis=-1) / length
    medulla = np.clip((nearest - np.float32(0.83)) * 12.0, 0.0, 1.0)
    medulla *= np.clip((-level - np.float32(kidney.cortex)) / 1.5, 0.0, 1.0)
    return np.asarray(contrast.cortex + medulla * (contrast.medulla - contrast.cortex), dtype=np.float32)
