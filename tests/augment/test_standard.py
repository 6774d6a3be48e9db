from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nephrite.augment import spatial
from nephrite.augment.parameters import take
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import (
    IntensityParameters,
    IntensityRanges,
    StandardParameters,
    apply,
    apply_intensity,
    draw,
    draw_intensity,
)


def each(probability: float) -> IntensityRanges:
    return IntensityRanges(
        noise_probability=probability,
        blur_probability=probability,
        brightness_probability=probability,
        contrast_probability=probability,
        bias_probability=probability,
        low_resolution_probability=probability,
        gamma_probability=probability,
        inverted_gamma_probability=probability,
    )


NEVER, ALWAYS = each(0.0), each(1.0)


def slices(number: int, height: int = 24, width: int = 32) -> tuple[Tensor, Tensor]:
    """A bright disc of class 2 on a slope, with a margin of air."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    label = (((rows - 12) ** 2 + (columns - 14) ** 2) < 30).to(torch.uint8) * 2
    image = (0.2 + 0.01 * columns + 0.2 * label) * (rows > 2)
    brightness = torch.linspace(0.6, 1, number)[:, None, None, None]
    return image * brightness, label.repeat(number, 1, 1)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nothing() -> IntensityParameters:
    return draw_intensity(1, ranges=NEVER, generator=source())


def everything(number: int, ranges: IntensityRanges = ALWAYS) -> StandardParameters:
    moves = SpatialRanges(rotation_probability=1, scale_probability=1, shift=0.1)
    return draw(number, moves=moves, ranges=ranges, generator=source(5))


def test_nothing_drawn_changes_nothing() -> None:
    image, _ = slices(4)
    assert torch.equal(apply_intensity(draw_intensity(4, ranges=NEVER, generator=source()), image), image)


def test_strength_zero_changes_nothing_even_when_everything_comes() -> None:
    image, _ = slices(4)
    still = replace(
        ALWAYS, noise_deviation=(0, 0), blur_sigma=(0, 0), brightness=(1, 1), contrast=(1, 1), bias_strength=(0, 0)
    )
    still = replace(still, zoom=(1, 1), gamma=(1, 1))
    assert torch.equal(apply_intensity(draw_intensity(4, ranges=still, generator=source()), image), image)


def test_label_maps_are_moved_by_the_spatial_part_alone() -> None:
    image, label = slices(4)
    drawn = everything(4)
    _, moved = apply(drawn, image, label)
    assert torch.equal(moved, spatial.apply(drawn.spatial, image, label)[1])
    assert moved.dtype == torch.uint8
    assert set(moved.flatten().tolist()) == {0, 2}


def test_the_same_parameters_replay_the_same_batch_and_leave_the_input() -> None:
    image, label = slices(4)
    before = image.clone()
    first, second = (apply(everything(4), image, label)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(image, before)
    assert not torch.allclose(first, spatial.apply(everything(4).spatial, image, label)[0], atol=0.01)


def test_results_stay_in_the_unit_range() -> None:
    image, label = slices(16)
    strong = replace(ALWAYS, noise_deviation=(1, 1), brightness=(2, 2), contrast=(3, 3), bias_strength=(1, 1))
    moved, _ = apply(everything(16, strong), image, label)
    assert (float(moved.min()), float(moved.max())) == (0, 1)
    assert moved.isfinite().all()


def test_a_share_of_the_parameters_gives_a_share_of_the_batch() -> None:
    image, label = slices(6)
    whole = apply(everything(6), image, label)[0]
    share = apply(take(everything(6), slice(1, None, 2)), image[1::2], label[1::2])[0]
    assert torch.allclose(share, whole[1::2], atol=1e-5)


def test_every_change_comes_as_often_as_asked() -> None:
    drawn = draw_intensity(5000, ranges=IntensityRanges(), generator=source())
    changed = [
        *(float((value != 0).float().mean()) for value in (drawn.noise, drawn.blur, drawn.bias.flatten(1)[:, 0])),
        *(float((value != 1).float().mean()) for value in (drawn.brightness, drawn.contrast, drawn.zoom)),
        *(float((value != 1).float().mean()) for value in (drawn.gamma, drawn.inverted_gamma)),
    ]
    assert changed == pytest.approx([0.1, 0.1, 0.15, 0.15, 0.15, 0.125, 0.3, 0.1], abs=0.02)


def test_strengths_fill_their_ranges_and_factors_lie_on_both_sides_of_one() -> None:
    drawn = draw_intensity(5000, ranges=ALWAYS, generator=source())
    limits = {"noise": (0, 0.1), "blur": (0.5, 1), "zoom": (0.5, 1), "contrast": (0.75, 1.25), "gamma": (0.7, 1.5)}
    for name, (low, high) in limits.items():
        values = getattr(drawn, name)
        assert low <= float(values.min()) < low + 0.01 * (high - low)
        assert high >= float(values.max()) > high - 0.01 * (high - low)
    assert float((drawn.gamma < 1).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_noise_has_the_deviation_asked_for_in_units_of_the_slice() -> None:
    image = 0.3 + 0.4 * (torch.arange(128 * 128).view(1, 1, 128, 128) % 2)
    noisy = apply_intensity(replace(nothing(), noise=torch.tensor([0.1])), image)
    assert float((noisy - image).std()) == pytest.approx(0.1 * float(image.std()), rel=0.05)


def test_blur_is_a_gaussian_that_keeps_the_sum() -> None:
    image = torch.zeros(1, 1, 31, 41)
    image[..., 15, 20] = 1
    blurred = apply_intensity(replace(nothing(), blur=torch.tensor([1.0])), image)[0, 0]
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-4)
    spread = (blurred.sum(0) * (torch.arange(41) - 20) ** 2).sum()
    assert float(spread) == pytest.approx(1, abs=0.01)


def test_contrast_pulls_towards_the_mean_and_keeps_the_range() -> None:
    image, _ = slices(1)
    weak, strong = (apply_intensity(replace(nothing(), contrast=torch.tensor([f])), image) for f in (0.75, 1.25))
    assert torch.allclose(weak - image.mean(), 0.75 * (image - image.mean()), atol=1e-5)
    assert float(strong.max()) <= float(image.max()) + 1e-6
    assert float(strong.std()) > float(image.std())


def test_gamma_below_one_opens_the_dark_parts_and_keeps_mean_and_deviation() -> None:
    image = torch.linspace(0.2, 0.8, 400).view(1, 1, 20, 20)
    bent = apply_intensity(replace(nothing(), gamma=torch.tensor([0.7])), image).flatten()
    assert float(bent.mean()) == pytest.approx(float(image.mean()), abs=1e-4)
    assert float(bent.std()) == pytest.approx(float(image.std()), abs=1e-4)
    assert float(bent[100] - bent[0]) > float(bent[399] - bent[299])


def test_inverted_gamma_is_gamma_of_the_negative() -> None:
    image, _ = slices(1)
    power = torch.tensor([1.4])
    inverted = apply_intensity(replace(nothing(), inverted_gamma=power), image)
    assert torch.allclose(inverted, 1 - apply_intensity(replace(nothing(), gamma=power), 1 - image), atol=1e-5)


def test_low_resolution_keeps_what_is_coarse_and_loses_what_is_fine() -> None:
    coarse = torch.arange(32.0).expand(1, 1, 24, 32) / 32
    fine = (torch.arange(32) % 2).float().expand(1, 1, 24, 32)
    half = replace(nothing(), zoom=torch.tensor([0.5]))
    assert float((apply_intensity(half, coarse) - coarse).abs().max()) < 0.04
    assert float(apply_intensity(half, fine).std()) < 0.01


def test_bias_is_smooth_and_leaves_air_black() -> None:
    image = torch.full((1, 1, 40, 40), 0.4)
    image[..., :5, :] = 0
    knots = torch.randn(1, 4, 4, generator=source()) * 0.3
    shaded = apply_intensity(replace(nothing(), bias=knots), image)[0, 0]
    assert float(shaded[:5].max()) == 0
    assert float(shaded[5:].std()) > 0.02
    assert float(shaded[5:].diff(dim=1).abs().max()) < 0.03


def test_bias_does_not_change_the_brightness() -> None:
    knots = 0.5 + torch.randn(1, 4, 4, generator=source()) * 0.3
    shaded = apply_intensity(replace(nothing(), bias=knots), torch.full((1, 1, 40, 40), 0.3))
    assert float(shaded.log().mean().exp()) == pytest.approx(0.3, abs=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_slice_of_one_value_survives_everything(value: float) -> None:
    changed = apply_intensity(draw_intensity(4, ranges=ALWAYS, generator=source()), torch.full((4, 1, 9, 7), value))
    assert changed.isfinite().all()
    assert changed.shape == (4, 1, 9, 7)
