from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nephrite.augment.parameters import take
from nephrite.augment.standard import IntensityRanges
from nephrite.synthesis.randomized import ClassStatistics, RandomRanges, apply, draw, fit_statistics

BARE = IntensityRanges(
    noise_probability=0,
    blur_probability=0,
    brightness_probability=0,
    contrast_probability=0,
    low_resolution_probability=0,
    gamma_probability=0,
    bias_probability=0,
    inverted_gamma_probability=0,
)


def halves(slices: int, height: int = 32, width: int = 40) -> Tensor:
    condition = torch.zeros(slices, 2, height, width)
    condition[:, 0, :, : width // 2] = 1
    condition[:, 1, :, width // 2 :] = 1
    return condition


def test_a_slice_follows_from_its_seed_and_not_from_its_batch() -> None:
    looks = draw([3, 4, 5], channels=2, ranges=RandomRanges())
    whole = apply(looks, halves(3))
    alone = apply(draw([4], channels=2, ranges=RandomRanges()), halves(1))
    assert torch.allclose(whole[1:2], alone, atol=1e-5)
    assert torch.allclose(apply(take(looks, slice(1, 2)), halves(1)), alone)
    assert not torch.allclose(whole[:1], whole[1:2], atol=0.05)


def test_images_stay_in_the_window_and_keep_their_shape() -> None:
    painted = apply(draw(range(16), channels=2, ranges=RandomRanges()), halves(16))
    assert painted.shape == (16, 1, 32, 40)
    assert 0 <= painted.min() < painted.max() <= 1
    assert painted.isfinite().all()


def test_classes_get_the_drawn_mean_and_deviation() -> None:
    looks = draw(range(6), channels=2, ranges=RandomRanges(mean=(0.3, 0.7), deviation=(0.02, 0.06), intensity=BARE))
    painted = apply(looks, halves(6, 64, 80))[:, 0]
    for channel, part in enumerate((painted[:, :, :40], painted[:, :, 40:])):
        assert torch.allclose(part.mean((1, 2)), looks.mean[:, channel], atol=0.02)
        assert torch.allclose(part.std((1, 2)), looks.deviation[:, channel], rtol=0.15)


def test_texture_is_correlated_and_differs_between_slices() -> None:
    looks = draw(range(40), channels=2, ranges=RandomRanges(mean=(0.5, 0.5), deviation=(0.05, 0.05), intensity=BARE))
    noise = apply(looks, halves(40))[:, 0] - 0.5
    correlation = (noise[:, 1:] * noise[:, :-1]).mean((1, 2)) / noise.var((1, 2))
    assert correlation.mean() > 0.15
    assert correlation.max() - correlation.min() > 0.3


def test_means_fill_their_range() -> None:
    mean = draw(range(300), channels=2, ranges=RandomRanges()).mean
    assert mean.min() == pytest.approx(0.1, abs=0.02)
    assert mean.max() == pytest.approx(0.88, abs=0.02)


def test_centred_looks_stay_near_the_training_patients_and_an_unseen_class_is_free() -> None:
    known = ClassStatistics(torch.tensor([0.3, torch.nan]), torch.tensor([0.04, torch.nan]))
    looks = draw(range(300), channels=2, ranges=RandomRanges(spread=0.1), centered=known)
    assert (looks.mean[:, 0] - 0.3).abs().max() == pytest.approx(0.1, abs=0.01)
    assert 0.02 <= looks.deviation[:, 0].min() < looks.deviation[:, 0].max() <= 0.0801
    assert looks.mean[:, 1].max() - looks.mean[:, 1].min() > 0.7


def test_statistics_are_those_of_all_batches_together() -> None:
    source = torch.Generator().manual_seed(0)
    image, condition = torch.rand(6, 1, 32, 40, generator=source), halves(6)
    found = fit_statistics([(image[:2], condition[:2]), (image[2:], condition[2:])])
    left = image[:, 0, :, :20]
    assert found.mean[0] == pytest.approx(float(left.mean()), abs=1e-5)
    assert found.deviation[0] == pytest.approx(float(left.std(correction=0)), abs=1e-5)
    assert fit_statistics([(image, condition * torch.tensor([1.0, 0])[:, None, None])]).mean[1].isnan()


def test_a_class_that_a_slice_lacks_leaves_no_trace() -> None:
    condition = halves(1) * torch.tensor([1.0, 0])[:, None, None]
    looks = replace(draw([0], channels=2, ranges=RandomRanges(intensity=BARE)), seed=torch.tensor([7]))
    assert apply(looks, condition)[0, 0, :, 20:].max() == 0
