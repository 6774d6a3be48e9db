from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nephrite.errors import ConfigError
from nephrite.synthesis.tissue import condition, fit_edges, tissue_map


def body(*levels: float, height: int = 40, width: int = 40) -> Tensor:
    """A quarter of constant background on top, then equal stripes."""
    image = torch.zeros(2, 1, height, width)
    stripes = torch.tensor(levels).repeat_interleave(width // len(levels))
    image[:, :, height // 4 :] = stripes
    return image


def test_hounsfield_thresholds_go_through_the_window_and_those_outside_are_dropped() -> None:
    assert fit_edges([], kind="hounsfield", window=(-200, 200)) == pytest.approx((0.1, 0.45, 0.75))
    assert len(fit_edges([], kind="hounsfield", window=(-1000, 400))) == 4


@pytest.mark.parametrize("window", [None, (300, 900)])
def test_hounsfield_without_a_window_that_parts_tissues_is_an_error(window: tuple[float, float] | None) -> None:
    with pytest.raises(ConfigError, match="use 'quantiles'"):
        fit_edges([], kind="hounsfield", window=window)


def test_quantiles_are_of_the_body_and_the_background_is_a_class_of_its_own() -> None:
    levels = torch.linspace(0.2, 0.995, 400).view(1, 1, 10, 40)
    padded = torch.cat([torch.zeros(1, 1, 30, 40), levels], dim=2)
    edges = fit_edges([padded], kind="quantiles", classes=5)
    assert edges == pytest.approx((0.1, 0.4, 0.6, 0.8), abs=0.01)


def test_quantiles_without_a_constant_background_part_all_pixels_evenly() -> None:
    levels = torch.linspace(0.2, 0.995, 400).view(1, 1, 10, 40)
    assert fit_edges([levels, levels], kind="quantiles", classes=4) == pytest.approx((0.4, 0.6, 0.8), abs=0.01)


def test_clusters_part_a_small_bright_organ_where_quantiles_do_not() -> None:
    image = body(0.10, 0.11, 0.12, 0.13)
    image[:, :, -2:, :8] = 0.9
    found = {kind: fit_edges([image], kind=kind, classes=4)[-1] for kind in ("quantiles", "clusters")}
    assert found["quantiles"] < 0.14
    assert 0.4 < found["clusters"] < 0.6


@pytest.mark.parametrize("kind", ["quantiles", "clusters"])
def test_empty_images_give_one_class(kind: str) -> None:
    edges = fit_edges([torch.zeros(1, 1, 8, 8)], kind="quantiles" if kind == "quantiles" else "clusters")
    assert edges == ()
    assert tissue_map(torch.zeros(1, 1, 8, 8), edges, smoothing=1).max() == 0


def test_equal_intensities_give_strictly_rising_edges() -> None:
    edges = fit_edges([body(0.5)], kind="quantiles", classes=6)
    assert edges == tuple(sorted(set(edges)))


def test_tissue_map_names_the_range_that_a_pixel_lies_in() -> None:
    tissue = tissue_map(body(0.2, 0.5, 0.7, 0.9), (0.1, 0.4, 0.6, 0.8), smoothing=0)
    assert tissue[0, 0].max() == 0
    assert tissue[0, -1, ::10].tolist() == [1, 2, 3, 4]
    assert (tissue.dtype, tissue.shape) == (torch.uint8, (2, 40, 40))


def test_smoothing_removes_noise_and_the_seam_of_a_middle_class() -> None:
    noise = 0.15 * torch.randn(2, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    image = (body(0.2, 0.8) + noise).clamp(0, 1)
    smooth, rough = (tissue_map(image, (0.4, 0.6), smoothing=sigma) for sigma in (1.0, 0.0))
    changes = [int((tissue[:, :, 1:] != tissue[:, :, :-1]).sum()) for tissue in (smooth, rough)]
    borders = 2 * 30  # between the two stripes, in each row of each slice
    assert changes[0] - borders < (changes[1] - borders) / 3
    assert (smooth[:, 15:, 20] != smooth[:, 15:, 19]).float().mean() > 0.7


def test_slices_do_not_depend_on_their_batch() -> None:
    image = torch.rand(3, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    whole = tissue_map(image, (0.3, 0.6), smoothing=1)
    assert torch.equal(whole[1:2], tissue_map(image[1:2], (0.3, 0.6), smoothing=1))


def test_without_tissue_the_condition_is_background_and_classes_in_their_order() -> None:
    label = torch.tensor([[[0, 1, 2, 4]]], dtype=torch.uint8)
    channels = condition(label, None, [2, 1], 6)
    assert channels.dtype == torch.float32
    assert channels[0, :, 0].tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]]


def test_labels_override_tissue_and_every_pixel_is_one_thing() -> None:
    label = torch.tensor([[[0, 0, 1, 2]]], dtype=torch.uint8)
    tissue = torch.tensor([[[0, 2, 2, 1]]], dtype=torch.uint8)
    channels = condition(label, tissue, [1, 2], 3)
    assert channels.shape == (1, 5, 1, 4)
    assert channels[0, :, 0].argmax(0).tolist() == [0, 2, 3, 4]
    assert (channels.sum(1) == 1).all()
