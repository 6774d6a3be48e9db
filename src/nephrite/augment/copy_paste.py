"""Lesions of other training patients pasted into a slice: a baseline that synthetic data must beat.

The idea is that of Yang et al., "TumorCP: A Simple but Effective Object-Level Data Augmentation for Tumor
Segmentation", MICCAI 2021, section 2: a lesion is turned, rescaled, bent and changed in gamma, then put into another
patient's organ. It is not their method: here each of the four changes always comes (there each comes to half of the
lesions, as do mirroring and blur), half of the slices get a lesion (there 80 %), a lesion's contrast is carried over to
the surroundings it comes into, and its border fades into them.

Three steps, all replayable. `draw` takes random numbers for a whole batch, whatever is in it; `place` decides by them,
slice by slice, which lesion goes where; `apply` pastes. So several devices that share a batch draw it alike, and each
places and pastes into its own slices.

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Integer, Shaped, UInt8
from torch import Tensor

from nephrite.augment.deform import DeformParameters, draw_field
from nephrite.augment.geometric import GeometricParameters
from nephrite.augment.lesions import Lesion, LesionBank, Plane, find_body, to_plane, weighted_surroundings
from nephrite.augment.parameters import take
from nephrite.augment.patches import Patch, make_patch

Box = tuple[slice, slice]
Placed = tuple[int, tuple[int, int], float]
CANDIDATES = 16
KNOTS = 4
LEAST, ENOUGH = 0.25, 0.5  # share of a lesion inside its organ; up to half of it may grow out, as tumors do
UNLIKE = 0.1  # share of the window; surroundings that differ by more from the lesion's own are another kind of tissue
NOWHERE = -1
NOTHING: Placed = (NOWHERE, (0, 0), 0.0)


@dataclass(frozen=True)
class PasteRanges:
    """How often a lesion is pasted and how far it is changed; the ranges are those of TumorCP's code.

    Attributes:
        probability: that a slice gets a lesion, if one fits.
        rotation: degrees, plus or minus.
        scale: magnification.
        elastic: deviation of a smooth displacement, as share of the lesion's crop.
        gamma: exponent of the lesion's intensities between their own limits.
    """

    probability: float = 0.5
    rotation: float = 180.0
    scale: tuple[float, float] = (0.85, 1.25)
    elastic: float = 0.03
    gamma: tuple[float, float] = (0.7, 1.5)


@dataclass(frozen=True)
class PasteDraws:
    """Random numbers for each slice of a batch, from 0 to 1 where nothing else is said.

    Attributes:
        wanted: whether the slice is to get a lesion.
        donor: chooses the patient, then the lesion.
        warp: turns, rescales and bends the lesion.
        gamma: exponent.
        candidates: choose places.
    """

    wanted: Bool[Tensor, " b"]
    donor: Float[Tensor, "b 2"]
    warp: DeformParameters
    gamma: Float[Tensor, " b"]
    candidates: Float[Tensor, "b candidate"]


@dataclass(frozen=True)
class PasteParameters:
    """What is pasted into each slice.

    Attributes:
        lesion: place in the bank; -1 = none.
        corner: row and column in the slice of the first pixel of the lesion's changed crop; may lie outside.
        contrast: added to the lesion's intensities: surroundings here minus those it comes from.
        warp, gamma: as drawn.
    """

    lesion: Integer[Tensor, " b"]
    corner: Integer[Tensor, "b 2"]
    contrast: Float[Tensor, " b"]
    warp: DeformParameters
    gamma: Float[Tensor, " b"]


def draw(batch_size: int, *, ranges: PasteRanges, generator: torch.Generator) -> PasteDraws:
    """Random numbers for `batch_size` slices."""
    # every random number is drawn, used or not: the stream stays the same for all slices
    wanted, turn, size, gamma = torch.rand(4, batch_size, generator=generator)
    affine = GeometricParameters(
        angle=torch.deg2rad((2 * turn - 1) * ranges.rotation),
        scale=ranges.scale[0] + (ranges.scale[1] - ranges.scale[0]) * size,
        shift=torch.zeros(batch_size, 2),
    )
    field = draw_field(batch_size, strength=ranges.elastic, knots=KNOTS, generator=generator)
    return PasteDraws(
        wanted=wanted < ranges.probability,
        donor=torch.rand(batch_size, 2, generator=generator),
        warp=DeformParameters(affine, field),
        gamma=ranges.gamma[0] + (ranges.gamma[1] - ranges.gamma[0]) * gamma,
        candidates=torch.rand(batch_size, CANDIDATES, generator=generator),
    )


def place(
    draws: PasteDraws,
    bank: LesionBank,
    image: Float[Tensor, "b 1 h w"],
    label: UInt8[Tensor, "b h w"],
    patients: Sequence[str],
) -> PasteParameters:
    """Decide which lesion goes where; a slice in which none fits gets none.

    Args:
        draws: of these slices.
        bank: lesions of training patients.
        image: in [0, 1].
        label: label values.
        patients: whose slice each is; of a synthetic slice, whose mask it is. No patient gets a lesion of their own.
    """
    # only slices that are to get a lesion look for a place
    found = [NOTHING] * len(patients)
    for index in draws.wanted.nonzero()[:, 0].tolist():
        plane = to_plane(image[index, 0], label[index])
        found[index] = _place_one(take(draws, slice(index, index + 1)), bank, plane, patients[index])
    lesion, corner, contrast = zip(*found, strict=True) if found else ((), (), ())
    return PasteParameters(
        lesion=torch.tensor(lesion, dtype=torch.int64),
        corner=torch.tensor(corner, dtype=torch.int64).view(-1, 2),
        contrast=torch.tensor(contrast),
        warp=draws.warp,
        gamma=draws.gamma,
    )


def apply(
    parameters: PasteParameters, bank: LesionBank, image: Float[Tensor, "b 1 h w"], label: UInt8[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 1 h w"], UInt8[Tensor, "b h w"]]:
    """Paste; images stay in [0, 1], and label maps have the lesion's value where it lies."""
    image, label = image.clone(), label.clone()
    for index in (parameters.lesion != NOWHERE).nonzero()[:, 0].tolist():
        # the lesion as it is drawn for this slice
        one = take(parameters, slice(index, index + 1))
        lesion = bank.lesions[int(one.lesion)]
        patch = make_patch(lesion, one.warp, float(one.gamma))
        # the part of it that lies inside the slice
        here, there = _overlap(one.corner[0].tolist(), len(patch.mask), label.shape[1:])
        # blend the image, then write the label
        alpha = torch.from_numpy(patch.alpha[there]).to(image)
        pasted = torch.from_numpy(patch.image[there] + float(one.contrast)).to(image).clamp(0, 1)
        image[index, 0][here] += alpha * (pasted - image[index, 0][here])
        label[index][here][torch.from_numpy(patch.mask[there]).to(label.device)] = lesion.value
    return image, label


def _place_one(draws: PasteDraws, bank: LesionBank, plane: Plane, patient: str) -> Placed:
    """The lesion that one slice gets: its index in the bank, corner and contrast."""
    # a donor patient first, then one of its lesions
    donors = bank.donors(patient, set(np.unique(plane.label).tolist()))
    if not donors:
        return NOTHING
    first, second = draws.donor[0].tolist()
    places = list(donors.values())[int(first * len(donors))]  # by patient: large lesions lie in many slices
    chosen = places[int(second * len(places))]
    lesion = bank.lesions[chosen]
    # pixels that may take it, and its drawn shape
    home = find_body(plane.image) if lesion.organ is None else plane.label == lesion.organ
    pixels = np.argwhere(home)
    patch = make_patch(lesion, draws.warp, float(draws.gamma))
    if not len(pixels) or not patch.mask.any():
        return NOTHING
    # candidates, uniform over these pixels; the most suitable one wins
    centers = pixels[(draws.candidates[0].double().numpy() * len(pixels)).astype(int)]
    corners = centers - np.argwhere(patch.mask).mean(0).round().astype(int)
    scores, contrasts = _suitability(lesion, patch, corners, plane, home, bank.mask(plane.label))
    best = int(scores.argmax())
    corner = (int(corners[best, 0]), int(corners[best, 1]))
    return (chosen, corner, float(contrasts[best])) if scores[best] > -math.inf else NOTHING


def _suitability(
    lesion: Lesion,
    patch: Patch,
    corners: Int[np.ndarray, "candidate 2"],
    plane: Plane,
    *masks: Bool[np.ndarray, "h w"],
) -> tuple[Float64[np.ndarray, " candidate"], Float64[np.ndarray, " candidate"]]:
    """How well each place suits, minus infinity if it does not, and the contrast the lesion would take on there.

    With an organ: the share of the lesion that lies in it, up to `ENOUGH`. Else all of it must lie in the body,
    and the more alike the surroundings, the better.

    Args:
        lesion, patch: as found, and as pasted.
        corners: where the patch would begin.
        plane: the slice.
        masks: of organ or body, and of the lesions that are there.
    """
    # look up the lesion, its margin and its ring at every candidate place
    home, taken = masks
    inside, (at_home,) = _look_up(np.argwhere(patch.mask), corners, home)
    near, (crowded,) = _look_up(np.argwhere(patch.near), corners, taken)
    ring, (values, free, own) = _look_up(np.argwhere(patch.ring), corners, plane.image, ~taken, home)
    # compare the surroundings with those that the lesion came from
    mean, deviation = weighted_surroundings(values, ring & free, own if lesion.organ is not None else None)
    contrast = mean - lesion.around.mean
    share = at_home.mean(1)
    # with an organ: mostly inside of it; without: in similar tissue
    if lesion.organ is not None:
        scores, fits = np.minimum(share, ENOUGH), share >= LEAST
    else:
        scores, fits = -np.abs(contrast) - np.abs(deviation - lesion.around.deviation), share == 1
        fits &= np.abs(contrast) <= UNLIKE
    # never cut off, never touching another lesion
    fits = fits & inside.all(1) & ~(near & crowded).any(1) & np.isfinite(mean)
    return np.where(fits, scores, -math.inf), contrast


def _look_up(
    points: Int[np.ndarray, "point 2"], corners: Int[np.ndarray, "candidate 2"], *planes: Shaped[np.ndarray, "h w"]
) -> tuple[Bool[np.ndarray, "candidate point"], list[np.ndarray]]:
    """For each candidate whether the patch's points lie in the slice, and what the planes hold there or nearest."""
    limits = np.array(planes[0].shape) - 1
    places = corners[:, None] + points
    nearest = places.clip(0, limits)
    return (places == nearest).all(2), [plane[nearest[..., 0], nearest[..., 1]] for plane in planes]


def _overlap(corner: Sequence[int], side: int, shape: Sequence[int]) -> tuple[Box, Box]:
    """What a crop and the slice have in common: its box in the slice, and in the crop."""
    starts = [max(start, 0) for start in corner]
    ends = [max(min(start + side, size), 0) for start, size in zip(corner, shape, strict=True)]
    rows, columns = (slice(start, end) for start, end in zip(starts, ends, strict=True))
    return (rows, columns), (
        slice(rows.start - corner[0], rows.stop - corner[0]),
        slice(columns.start - corner[1], columns.stop - corner[1]),
    )
