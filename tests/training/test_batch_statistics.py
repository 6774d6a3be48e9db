from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nephrite.training.batch_statistics import batch_normalizations, forward_apart


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1)).train()


def averages(trained: nn.Module) -> list[Tensor]:
    return [value.clone() for value in trained.buffers()]


IMAGE = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
PAINTED = torch.tensor([False, True, False, True, False])


def test_each_part_is_normalized_by_itself_and_comes_back_in_its_place() -> None:
    found = forward_apart(network(), IMAGE, PAINTED)
    for part in (PAINTED, ~PAINTED):
        torch.testing.assert_close(found[part], network()(IMAGE[part]))
    assert not torch.allclose(found, network()(IMAGE), atol=1e-3)


def test_running_averages_are_those_of_real_slices_alone() -> None:
    both, real = network(), network()
    forward_apart(both, IMAGE, PAINTED)
    real(IMAGE[~PAINTED])
    for one, other in zip(averages(both), averages(real), strict=True):
        torch.testing.assert_close(one, other)
    assert all(layer.track_running_stats for layer in batch_normalizations(both))


def test_a_single_painted_slice_may_meet_a_layer_of_one_pixel() -> None:
    pooled = nn.Sequential(nn.Conv2d(1, 3, 1), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).train()
    found = forward_apart(pooled, IMAGE, torch.tensor([False, False, True, False, False]))
    assert found.shape == (5, 3, 1, 1)
    assert found.isfinite().all()
    single, alone = network(), network()
    both = forward_apart(single, IMAGE[:3], PAINTED[:3])
    torch.testing.assert_close(both[1:2], alone(IMAGE[1:2]))


def test_gradients_come_from_both_parts() -> None:
    trained = network()
    torch.autograd.backward(forward_apart(trained, IMAGE, PAINTED)[PAINTED].square().sum())
    weights = next(trained.parameters())
    assert weights.grad is not None
    assert weights.grad.abs().sum() > 0


def test_a_batch_of_one_kind_and_a_network_without_batch_normalization_see_the_batch_as_a_whole() -> None:
    for painted in (torch.zeros(5, dtype=torch.bool), torch.ones(5, dtype=torch.bool)):
        found, whole = network(), network()
        assert torch.equal(forward_apart(found, IMAGE, painted), whole(IMAGE))
        assert all(torch.equal(one, other) for one, other in zip(averages(found), averages(whole), strict=True))
    plain = nn.Conv2d(1, 2, 3, padding=1)
    assert torch.equal(forward_apart(plain, IMAGE, PAINTED), plain(IMAGE))


def test_statistics_are_kept_again_after_an_error() -> None:
    trained = network()
    wrong = nn.Sequential(trained, nn.Linear(5, 5))
    with pytest.raises(RuntimeError, match="shapes"):
        forward_apart(wrong, IMAGE, PAINTED)
    assert all(layer.track_running_stats for layer in batch_normalizations(trained))
