"""New masks from slices of one training patient: label map, tissue map and image deformed together, then lesions
removed, rescaled, moved and added.

One draw is one sample: a run of slices, neighbors or not, that change as one volume. Sizes are those of the result,
since the deformation comes first.

b  slices of the run    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from torch import Tensor

from nephrite.augment import deform
from nephrite.augment.deform import Deformed, DeformParameters
from nephrite.augment.geometric import GeometricParameters
from nephrite.augment.parameters import take
from nephrite.synthesis.edits import EditParameters, EditRanges, LesionEdit, draw_edits, edit_lesions
from nephrite.synthesis.lesions import Run

AT_ONCE = 32  # slices that are deformed together


@dataclass(frozen=True)
class MaskRanges:
    """Ranges that a sample is drawn from.

    Attributes:
        rotation, scale, shift, strength, knots: of the deformation, as in `augment.deform.draw`.
        along: share of its variance that changes along the patient.
        reach: mm along the patient over which that part changes.
        edits: of the lesions.
    """

    rotation: float = 10.0
    scale: float = 0.1
    shift: float = 0.05
    strength: float = 0.03
    knots: int = 6
    along: float = 0.3
    reach: float = 40.0
    edits: EditRanges = field(default_factory=EditRanges)


@dataclass(frozen=True)
class MaskParameters:
    """One sample; the same parameters and slices give the same masks again, and so does the seed.

    Attributes:
        seed: that they were drawn with.
        positions: place of each slice in the patient, ascending.
        spacing: mm per slice, row and column.
        lesions: lesion class to organ.
        deformation: of each slice.
        edits: by lesion class.
    """

    seed: int
    positions: tuple[int, ...]
    spacing: tuple[float, float, float]
    lesions: dict[int, int | None]
    deformation: DeformParameters
    edits: dict[int, EditParameters]


@dataclass(frozen=True)
class NewMasks:
    """The sample.

    Attributes:
        label: label values.
        tissue: tissue classes; None if none were given.
        image: the source's image, deformed. Where `changed`, it does not show what the label says.
        changed: where a lesion was edited.
        edits: one for each lesion that was not left alone, and for each new one.
    """

    label: UInt8[Tensor, "b h w"]
    tissue: UInt8[Tensor, "b h w"] | None
    image: Float[Tensor, "b 1 h w"]
    changed: Bool[Tensor, "b h w"]
    edits: tuple[LesionEdit, ...]


def draw(
    positions: Sequence[int],
    spacing: tuple[float, float, float],
    *,
    ranges: MaskRanges,
    lesions: Mapping[int, int | None],
    seed: int,
) -> MaskParameters:
    """Parameters of one sample.

    Args:
        positions: place of each slice in the patient, ascending, with gaps or without.
        spacing: mm per slice, row and column.
        ranges: what is drawn from.
        lesions: lesion class to organ, or to None where lesions lie anywhere.
        seed: for all random draws.
    """
    # one smooth deformation for the run, so that neighboring slices fit together
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    run = deform.draw_run(
        positions[-1] - positions[0] + 1,
        rotation=ranges.rotation,
        scale=ranges.scale,
        shift=ranges.shift,
        strength=ranges.strength,
        knots=ranges.knots,
        along=ranges.along,
        reach=max(ranges.reach / spacing[0], 1.0),
        generator=generator,
    )
    index = torch.tensor(positions) - positions[0]
    affine = GeometricParameters(run.affine.angle[index], run.affine.scale[index], run.affine.shift[index])
    # edits of each lesion class
    edits = {value: draw_edits(ranges.edits, rng) for value in lesions}
    deformation = DeformParameters(affine, run.velocity[index])
    return MaskParameters(seed, tuple(positions), spacing, dict(lesions), deformation, edits)


def apply(
    parameters: MaskParameters,
    image: Float[Tensor, "b 1 h w"],
    label: UInt8[Tensor, "b h w"],
    tissue: UInt8[Tensor, "b h w"] | None = None,
    *,
    hosts: Mapping[int, Sequence[float]] | None = None,
    unsure: int | None = None,
) -> NewMasks:
    """Make the sample from the slices at `parameters.positions`; the lesions are edited on the CPU.

    Args:
        parameters: of the sample.
        image: windowed to [0, 1].
        label: label values.
        tissue: tissue classes.
        hosts: from `fit_hosts`: for lesion classes without an organ, which tissues they lie in.
        unsure: the ignore index, if there is one: such pixels become background, as if a lesion were removed.
    """
    # deform first: edits then have the sizes of the result
    moved = _deform(parameters.deformation, label, tissue, image)
    assert moved.image is not None
    before = moved.label.cpu().numpy()
    tissues = None if moved.tissue is None else moved.tissue.cpu().numpy()
    # unsure pixels count as background while lesions are edited
    doubtful = np.zeros_like(before, dtype=bool) if unsure is None else before == unsure
    before[doubtful] = 0
    run = Run(before.copy(), np.array(parameters.positions), parameters.spacing, parameters.lesions)
    # edit the lesions
    edits: list[LesionEdit] = []
    for value, drawn in parameters.edits.items():
        likely = (hosts or {}).get(value) if run.lesions[value] is None else None
        weight = None if likely is None or tissues is None else _weigh(tissues, likely)
        edits += edit_lesions(drawn, run, value, weight)
    # tissue under and around the edits
    changed = (run.label != before) | doubtful
    if tissues is not None:
        _heal(
            tissues,
            doubtful | (changed & np.isin(before, list(run.lesions))),
            lesion=np.isin(run.label, list(run.lesions)),
        )
    new_label, new_changed = (torch.from_numpy(part).to(label.device) for part in (run.label, changed))
    new_tissue = None if tissues is None else torch.from_numpy(tissues).to(label.device)
    return NewMasks(new_label, new_tissue, moved.image, new_changed, tuple(edits))


def fit_hosts(
    label: UInt8[Tensor, "b h w"], tissue: UInt8[Tensor, "b h w"], lesion: int, *, tissues: int
) -> tuple[float, ...]:
    """How often each tissue class lies around lesions of training patients.

    Counted two to four pixels away from them: nearer by, the image is a mixture of both.

    So a nodule without an organ in the class map is put where nodules are found, not into the air outside. Without
    any lesion all tissues count alike.
    """
    inside = (label == lesion).cpu().numpy()
    if not inside.any():
        return (1 / tissues,) * tissues
    near, far = (ndimage.binary_dilation(inside, np.ones((1, side, side), dtype=bool)) for side in (5, 9))
    ring = far & ~near
    counts = np.bincount(tissue.cpu().numpy()[ring], minlength=tissues)
    return tuple(float(count) for count in counts / max(counts.sum(), 1))


def _deform(
    parameters: DeformParameters,
    label: UInt8[Tensor, "b h w"],
    tissue: UInt8[Tensor, "b h w"] | None,
    image: Float[Tensor, "b 1 h w"],
) -> Deformed:
    """Deform some slices at a time: intermediate results take many times the memory of a slice."""
    parts = []
    for start in range(0, len(label), AT_ONCE):
        share = slice(start, start + AT_ONCE)
        moved = deform.apply(
            take(parameters, share), label[share], None if tissue is None else tissue[share], image[share]
        )
        parts.append(moved)
    labels, tissues, images = zip(*parts, strict=True)
    moved_tissue = None if tissue is None else torch.cat(tissues)
    return Deformed(torch.cat(labels), moved_tissue, torch.cat(images))


def _weigh(tissue: UInt8[np.ndarray, "b h w"], likely: Sequence[float]) -> Float[np.ndarray, "b h w"]:
    """How likely the middle of a lesion lies in each pixel: its tissue's share, spread over all pixels of it."""
    counts = np.bincount(tissue.ravel(), minlength=len(likely))
    weights: np.ndarray = (np.array(likely) / np.maximum(counts, 1))[tissue]
    return weights


def _heal(
    tissue: UInt8[np.ndarray, "b h w"], gone: Bool[np.ndarray, "b h w"], *, lesion: Bool[np.ndarray, "b h w"]
) -> None:
    """Give the place of a lesion that is gone, and two pixels around it, the tissue of the nearest other pixel."""
    for index in np.nonzero(gone.any((1, 2)))[0]:
        hole = ndimage.binary_dilation(gone[index], np.ones((5, 5), dtype=bool))
        unlike = hole | lesion[index]
        if not unlike.all():
            rows, columns = ndimage.distance_transform_edt(unlike, return_distances=False, return_indices=True)
            tissue[index][hole] = tissue[index][rows, columns][hole]
