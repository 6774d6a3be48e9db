"""Slices painted at random from their condition: no network, no training; a baseline that every generator must beat.

SynthSeg: Billot, Greve, Puonti, Thielscher, Van Leemput, Fischl, Dalca, Iglesias, "SynthSeg: Segmentation of brain MRI
scans of any contrast and resolution without retraining", Medical Image Analysis 2023, section 3.2: a Gaussian per class
with mean and deviation drawn at random, then bias field, gamma, blur, low resolution. The defaults are its authors',
in units of a window of 256 gray values. Their noise is white; ours may be grainy, since scans are.

b  batch    k  channels of the condition    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from nephrite.augment.smoothing import blur
from nephrite.augment.standard import IntensityParameters, IntensityRanges, apply_intensity, draw_intensity

Range = tuple[float, float]
Parameters = TypeVar("Parameters")
GRAINS = (0.0, 0.7, 1.5)  # sigma in pixels of the noise's parts: white, grainy, coarse


def scanner() -> IntensityRanges:
    """What a scanner does to a slice: always some bias field, gamma and blur, half of the time a lower resolution."""
    return IntensityRanges(
        noise_probability=0,
        blur_probability=1,
        blur_sigma=(0.3, 1.0),
        brightness_probability=0,
        contrast_probability=0,
        bias_probability=1,
        bias_strength=(0.0, 0.5),
        low_resolution_probability=0.5,
        zoom=(0.5, 1.0),
        gamma_probability=1,
        gamma=(0.67, 1.5),
        inverted_gamma_probability=0,
    )


@dataclass(frozen=True)
class RandomRanges:
    """Ranges that the look of a slice (intensities and texture) is drawn from, in windowed units.

    Attributes:
        mean: of a class without statistics.
        deviation: within a class without statistics.
        spread: of a class with statistics: the mean lies within so much of the training patients' mean.
        factor: of a class with statistics: the deviation is so many times theirs, log-uniform.
        intensity: bias field, gamma, blur and resolution.
    """

    mean: Range = (0.1, 0.88)
    deviation: Range = (0.02, 0.1)
    spread: float = 0.1
    factor: Range = (0.5, 2.0)
    intensity: IntensityRanges = field(default_factory=scanner)


@dataclass(frozen=True)
class ClassStatistics:
    """Mean and deviation of the training patients' intensities per channel of the condition; NaN where none is."""

    mean: Float[Tensor, " k"]
    deviation: Float[Tensor, " k"]


@dataclass(frozen=True)
class RandomLooks:
    """The look of each slice: intensities and texture; `augment.parameters.take` selects slices.

    Attributes:
        mean, deviation: per class.
        grain: weights of white, grainy and coarse noise; their squares sum to 1.
        seed: of the noise's pixels.
        intensity: bias field, gamma, blur and resolution.
    """

    mean: Float[Tensor, "b k"]
    deviation: Float[Tensor, "b k"]
    grain: Float[Tensor, "b 3"]
    seed: Integer[Tensor, " b"]
    intensity: IntensityParameters


def draw(
    seeds: Sequence[int], *, channels: int, ranges: RandomRanges, centered: ClassStatistics | None = None
) -> RandomLooks:
    """Looks of one slice per seed; a slice's look follows from its seed alone.

    Args:
        seeds: of the slices. Slices with one seed look alike, as those of one patient do, down to the noise.
        channels: of the condition.
        ranges: what is drawn from.
        centered: None for classes of any brightness, as in SynthSeg; else they stay near these.
    """
    return _join([_draw_one(seed, channels, ranges, centered) for seed in seeds])


def apply(looks: RandomLooks, condition: Float[Tensor, "b k h w"]) -> Float[Tensor, "b 1 h w"]:
    """Paint the conditions, in [0, 1]."""
    mean, deviation = (
        torch.einsum("bk,bkhw->bhw", part.to(condition.device), condition) for part in (looks.mean, looks.deviation)
    )
    painted = mean + deviation * _grain(looks, condition.shape[-2], condition.shape[-1]).to(condition.device)
    return apply_intensity(looks.intensity, painted.clamp(0, 1)[:, None])


def fit_statistics(
    parts: Iterable[tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b k h w"]]],
) -> ClassStatistics:
    """Intensities of the training patients per channel of the condition, from batches of images and conditions."""
    total: Tensor | float = 0.0
    for image, condition in parts:
        powers = torch.stack([image[:, 0].double() ** power for power in range(3)])
        total = total + torch.einsum("pbhw,bkhw->pk", powers, condition.double())
    assert isinstance(total, Tensor), "there are training slices"
    count, first, second = total
    mean = first / count  # NaN where a class has no pixel
    return ClassStatistics(mean.float(), (second / count - mean**2).clamp(min=0).sqrt().float())


def _draw_one(seed: int, channels: int, ranges: RandomRanges, centered: ClassStatistics | None) -> RandomLooks:
    # every random number is drawn, used or not
    source = torch.Generator().manual_seed(seed)
    uniform = torch.rand(2, channels, generator=source)
    grain = torch.rand(3, generator=source)
    mean = _between(uniform[0], ranges.mean)
    deviation = _between(uniform[1], ranges.deviation)
    # near the real intensities where the class has any
    if centered is not None:
        low, high = torch.tensor(ranges.factor).log()
        near = (centered.mean + ranges.spread * (2 * uniform[0] - 1)).clamp(0, 1)
        mean = torch.where(centered.mean.isnan(), mean, near)
        alike = centered.deviation * (low + (high - low) * uniform[1]).exp()
        deviation = torch.where(centered.deviation.isnan(), deviation, alike)
    return RandomLooks(
        mean=mean[None],
        deviation=deviation[None],
        grain=(grain / grain.norm())[None],
        seed=torch.randint(2**62, (1,), generator=source),
        intensity=draw_intensity(1, ranges=ranges.intensity, generator=source),
    )


def _grain(looks: RandomLooks, height: int, width: int) -> Float[Tensor, "b h w"]:
    """Noise of variance 1, each slice from its own seed, on the CPU so that every device sees the same."""
    white = torch.stack(
        [
            torch.randn(len(GRAINS), height, width, generator=torch.Generator().manual_seed(seed))
            for seed in looks.seed.tolist()
        ]
    )
    parts = torch.stack([blur(white[:, index], sigma) for index, sigma in enumerate(GRAINS)], dim=1)
    parts = parts / parts.std((2, 3), keepdim=True).clamp(min=1e-6)
    return torch.einsum("bg,bghw->bhw", looks.grain, parts)


def _between(uniform: Tensor, limits: Range) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * uniform


def _join(parts: Sequence[Parameters]) -> Parameters:
    """One batch of parameters from those of its slices."""
    joined: dict[str, Any] = {}
    for name in (item.name for item in fields(parts[0])):  # type: ignore[arg-type] # any dataclass
        values = [getattr(part, name) for part in parts]
        joined[name] = torch.cat(values) if isinstance(values[0], Tensor) else _join(values)
    return type(parts[0])(**joined)
