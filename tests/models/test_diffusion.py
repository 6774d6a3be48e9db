"""The diffusion model learns to paint what the condition says, and paints it again from the same noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from nephrite.models.diffusion import Denoiser

pytestmark = pytest.mark.slow  # MONAI takes seconds to import


def halves(count: int = 8, side: int = 16) -> tuple[Tensor, Tensor]:
    """Slices that are bright where the condition says so."""
    place = torch.zeros(count, 1, side, side)
    for number in range(count):
        place[number, :, :, : 2 + number] = 1
    return 0.2 + 0.6 * place, torch.cat([1 - place, place], dim=1)


@pytest.fixture(scope="module")
def trained() -> Denoiser:
    torch.manual_seed(0)
    network = Denoiser(2, base_width=8, depth=1, noise_steps=50, sampling_steps=5)
    optimizer, source = Adam(network.parameters(), 0.005), torch.Generator().manual_seed(0)
    for _ in range(60):
        optimizer.zero_grad()
        network.loss(*halves(), source).backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()
    return network.eval()


def test_it_paints_bright_where_the_condition_says_so(trained: Denoiser) -> None:
    image, condition = halves()
    with torch.inference_mode():
        painted = trained.sample(condition, torch.randn(image.shape))
    bright = condition[:, 1:] > 0
    assert 0 <= painted.min() < painted.max() <= 1
    assert float(painted[bright].mean() - painted[~bright].mean()) > 0.3


def test_same_noise_same_slice_other_noise_another(trained: Denoiser) -> None:
    _, condition = halves()
    noise = torch.randn(8, 1, 16, 16)
    with torch.inference_mode():
        first, again, other = (trained.sample(condition, x) for x in (noise, noise, noise.flip(0)))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.01)


def test_sides_that_the_depth_does_not_divide_are_painted_too(trained: Denoiser) -> None:
    with torch.inference_mode():
        assert trained.sample(torch.ones(1, 2, 13, 18), torch.randn(1, 1, 13, 18)).shape == (1, 1, 13, 18)


def test_loss_follows_from_the_generator_of_random_numbers(trained: Denoiser) -> None:
    with torch.no_grad():
        losses = [float(trained.loss(*halves(), torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
