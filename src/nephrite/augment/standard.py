"""Spatial and intensity augmentation of a batch as nnU-Net draws it, and a bias field: a baseline that synthetic data
must beat. Isensee, Jaeger, Kohl, Petersen, Maier-Hein, "nnU-Net", Nature Methods 2021, supplementary note 4.

nnU-Net's images are z-scored, ours lie in [0, 1]. What depends on the unit is converted so:
* noise is given in deviations of the slice itself, which is what a z-scored image has as its unit (the paper writes
  variances, up to 0.1; nnU-Net's code takes the drawn number for a deviation, and so do we);
* brightness multiplies from the lower end of the window, not from the mean: with z-scores it would be a second
  contrast;
* contrast, gamma, blur and low resolution do not depend on the unit.

b  batch    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional

from nephrite.augment import spatial
from nephrite.augment.smoothing import blur
from nephrite.augment.spatial import SpatialParameters, SpatialRanges, around_one

Range = tuple[float, float]
Change = Callable[[Tensor, Tensor], Tensor]
BIAS_KNOTS = 4  # per side, as in SynthSeg (Billot et al. 2023): a field without detail
SMALLEST = 1e-6


@dataclass(frozen=True)
class IntensityRanges:
    """How often each change comes and how strong it is; the defaults are nnU-Net's, those of the bias field our own.

    The probabilities are per slice. Those of blur and low resolution are half of what nnU-Net's tables say, since with
    one channel its code decides once more per channel.

    Attributes:
        noise_deviation: of Gaussian noise, as share of the slice's own deviation.
        blur_sigma: of the Gaussian, in pixels.
        brightness: factor of the intensities.
        contrast: factor of the distance from the slice's mean; the slice's lowest and highest value stay the limits.
        bias_strength: deviation of the logarithm of the smooth field that multiplies the slice.
        zoom: side of the coarser grid that the slice is sampled on and brought back from, as share of its own.
        gamma: exponent; below 1 the dark parts open up. Mean and deviation stay.
        inverted_gamma_probability: of a further gamma of the same range on the negative.
    """

    noise_probability: float = 0.1
    noise_deviation: Range = (0.0, 0.1)
    blur_probability: float = 0.1
    blur_sigma: Range = (0.5, 1.0)
    brightness_probability: float = 0.15
    brightness: Range = (0.75, 1.25)
    contrast_probability: float = 0.15
    contrast: Range = (0.75, 1.25)
    bias_probability: float = 0.15
    bias_strength: Range = (0.0, 0.3)
    low_resolution_probability: float = 0.125
    zoom: Range = (0.5, 1.0)
    gamma_probability: float = 0.3
    gamma: Range = (0.7, 1.5)
    inverted_gamma_probability: float = 0.1


@dataclass(frozen=True)
class IntensityParameters:
    """What is done to each slice, in this order; a value that changes nothing where a change does not come.

    Attributes:
        noise: deviation as share of the slice's own; 0 for none.
        noise_seed: of the noise's pixels, which are too many to be kept.
        blur: sigma in pixels; 0 for none.
        brightness, contrast, zoom, inverted_gamma, gamma: 1 for none.
        bias: logarithm of the field at its knots; 0 for none.
    """

    noise: Float[Tensor, " b"]
    noise_seed: Integer[Tensor, " b"]
    blur: Float[Tensor, " b"]
    brightness: Float[Tensor, " b"]
    contrast: Float[Tensor, " b"]
    bias: Float[Tensor, "b knot knot"]
    zoom: Float[Tensor, " b"]
    inverted_gamma: Float[Tensor, " b"]
    gamma: Float[Tensor, " b"]


@dataclass(frozen=True)
class StandardParameters:
    """Geometry first, then intensity."""

    spatial: SpatialParameters
    intensity: IntensityParameters


def draw(
    batch_size: int, *, moves: SpatialRanges, ranges: IntensityRanges, generator: torch.Generator
) -> StandardParameters:
    """Parameters for `batch_size` slices."""
    drawn = spatial.draw(batch_size, ranges=moves, generator=generator)
    return StandardParameters(drawn, draw_intensity(batch_size, ranges=ranges, generator=generator))


def apply(
    parameters: StandardParameters, image: Float[Tensor, "b 1 h w"], label: Integer[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 1 h w"], Integer[Tensor, "b h w"]]:
    """Move slices and label maps alike, then change the slices' intensities; they stay in [0, 1]."""
    moved_image, moved_label = spatial.apply(parameters.spatial, image, label)
    return apply_intensity(parameters.intensity, moved_image), moved_label


def draw_intensity(batch_size: int, *, ranges: IntensityRanges, generator: torch.Generator) -> IntensityParameters:
    """Parameters of the intensities alone."""
    # every random number is drawn, used or not: the stream stays the same for all slices
    chance, at = torch.rand(2, 8, batch_size, generator=generator)
    seeds = torch.randint(2**62, (batch_size,), generator=generator)
    knots = torch.randn(batch_size, BIAS_KNOTS, BIAS_KNOTS, generator=generator)
    bias = _some(chance[4], ranges.bias_probability, _between(at[4], ranges.bias_strength), 0)
    return IntensityParameters(
        noise=_some(chance[0], ranges.noise_probability, _between(at[0], ranges.noise_deviation), 0),
        noise_seed=seeds,
        blur=_some(chance[1], ranges.blur_probability, _between(at[1], ranges.blur_sigma), 0),
        brightness=_some(chance[2], ranges.brightness_probability, around_one(at[2], ranges.brightness), 1),
        contrast=_some(chance[3], ranges.contrast_probability, around_one(at[3], ranges.contrast), 1),
        bias=bias[:, None, None] * knots,
        zoom=_some(chance[5], ranges.low_resolution_probability, _between(at[5], ranges.zoom), 1),
        inverted_gamma=_some(chance[6], ranges.inverted_gamma_probability, around_one(at[6], ranges.gamma), 1),
        gamma=_some(chance[7], ranges.gamma_probability, around_one(at[7], ranges.gamma), 1),
    )


def apply_intensity(parameters: IntensityParameters, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Change the intensities of slices in [0, 1]; a slice's result does not depend on the others."""
    changed = _add_noise(image[:, 0].float(), parameters.noise, parameters.noise_seed)
    changed = _change(changed, parameters.blur, 0, blur)
    changed = _change(changed, parameters.brightness, 1, lambda part, factor: part * factor)
    changed = _change(changed, parameters.contrast, 1, _stretch)
    changed = _change(changed, parameters.bias, 0, _multiply_field)
    changed = _change(changed, parameters.zoom, 1, _coarsen)
    changed = _change(changed, parameters.inverted_gamma, 1, lambda part, power: 1 - _bend(1 - part, power))
    changed = _change(changed, parameters.gamma, 1, _bend)
    return changed.clamp(0, 1)[:, None].to(image.dtype)


def _some(chance: Tensor, probability: float, strength: Tensor, nothing: float) -> Float[Tensor, " b"]:
    """The strength where the change was drawn, else the strength that changes nothing."""
    return torch.where(chance < probability, strength, nothing)


def _between(uniform: Float[Tensor, " b"], limits: Range) -> Float[Tensor, " b"]:
    return limits[0] + (limits[1] - limits[0]) * uniform


def _change(image: Float[Tensor, "b h w"], strength: Tensor, nothing: float, change: Change) -> Float[Tensor, "b h w"]:
    """Change only the slices that were drawn for it: most changes come to few slices."""
    strength = strength.view(len(strength), *strength.shape[1:] or (1, 1))
    chosen = (strength != nothing).flatten(1).any(1).nonzero()[:, 0]
    if not len(chosen):
        return image
    places = chosen.to(image.device)
    return image.index_copy(0, places, change(image[places], strength[chosen].to(image.device)))


def _add_noise(
    image: Float[Tensor, "b h w"], deviation: Float[Tensor, " b"], seed: Integer[Tensor, " b"]
) -> Float[Tensor, "b h w"]:
    """White noise from each slice's own seed, drawn on the CPU so that every device sees the same."""
    noisy = image.clone()
    for index in deviation.nonzero()[:, 0].tolist():
        source = torch.Generator().manual_seed(int(seed[index]))
        noise = torch.randn(image.shape[1:], generator=source).to(image.device)
        noisy[index] += noise * (deviation[index].item() * image[index].std(correction=0))
    return noisy


def _coarsen(image: Float[Tensor, "k h w"], zoom: Float[Tensor, "k 1 1"]) -> Float[Tensor, "k h w"]:
    """Take the nearest pixels on a coarser grid, and bring them back by linear interpolation."""
    rows, columns = (_resampling(size, zoom) for size in image.shape[1:])
    return rows @ image @ columns.mT


def _resampling(size: int, zoom: Float[Tensor, "k 1 1"]) -> Float[Tensor, "k size size"]:
    """Per slice the weights of all pixels of a line in each of its pixels, by way of the coarser grid."""
    coarse = (size * zoom).round().clamp(min=1)
    place = torch.arange(size, device=zoom.device)
    source = ((place + 0.5) * size / coarse).floor().clamp(max=size - 1)  # of each coarse pixel
    taken = (source.mT == place).float()
    target = ((place[:, None] + 0.5) * coarse / size - 0.5).clamp(min=0)
    weights = (1 - (torch.minimum(target, coarse - 1) - place).abs()).clamp(min=0)
    return weights @ taken


def _stretch(image: Float[Tensor, "k h w"], factor: Float[Tensor, "k 1 1"]) -> Float[Tensor, "k h w"]:
    """Contrast about the mean, within the slice's own limits."""
    mean = image.mean((1, 2), keepdim=True)
    limits = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    return ((image - mean) * factor + mean).clamp(*limits)


def _multiply_field(image: Float[Tensor, "k h w"], knots: Float[Tensor, "k knot knot"]) -> Float[Tensor, "k h w"]:
    """A smooth field whose logarithm is 0 on average, so that brightness stays a change of its own."""
    field = functional.interpolate(knots[:, None], list(image.shape[1:]), mode="bicubic", align_corners=True)[:, 0]
    return image * torch.exp(field - field.mean((1, 2), keepdim=True))


def _bend(image: Float[Tensor, "k h w"], power: Float[Tensor, "k 1 1"]) -> Float[Tensor, "k h w"]:
    """Gamma between the slice's own limits; mean and deviation stay."""
    low = image.amin((1, 2), keepdim=True)
    extent = (image.amax((1, 2), keepdim=True) - low).clamp(min=SMALLEST)
    bent = ((image - low) / extent) ** power
    deviation, mean = torch.std_mean(image, (1, 2), correction=0, keepdim=True)
    bent_deviation, bent_mean = torch.std_mean(bent, (1, 2), correction=0, keepdim=True)
    return (bent - bent_mean) / bent_deviation.clamp(min=SMALLEST) * deviation + mean
