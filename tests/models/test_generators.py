from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nephrite.models.generators import Generator, ResizeConv, Upsampling, fitting_depth, upsample


def generator(*, base_width: int = 2, depth: int = 3, upsampling: Upsampling = "transposed") -> Generator:
    return Generator(3, base_width=base_width, depth=depth, upsampling=upsampling, dropout=0.5)


def label_maps(height: int, width: int) -> Tensor:
    labels = torch.randint(0, 3, (2, height, width), generator=torch.Generator().manual_seed(0))
    return nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()


def test_widths_are_the_papers() -> None:
    with torch.device("meta"):
        network = generator(base_width=64, depth=8)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in convolutions] == [
        *(64, 128, 256, 512, 512, 512, 512, 512),
        *(512, 512, 512, 512, 256, 128, 64, 1),
    ]


def test_parameters_are_those_of_the_authors_unet_256() -> None:
    """54.41 M for 3 channels to 3; the last layer to 1 channel has 2 x (128 x 16 + 1) fewer."""
    with torch.device("meta"):
        network = generator(base_width=64, depth=8)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    weights = sum(layer.weight.numel() for layer in convolutions) + 2 * 128 * 16
    assert round(weights / 1e6, 1) == 54.4


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("size", [(64, 64), (50, 37), (1, 9)])
def test_slices_have_the_size_of_the_label_map_and_lie_in_the_window(
    upsampling: Upsampling, size: tuple[int, int]
) -> None:
    image = generator(upsampling=upsampling).eval()(label_maps(*size))
    assert image.shape == (2, 1, *size)
    assert 0 <= image.min() < image.max() <= 1


@pytest.mark.parametrize(("size", "depth"), [(256, 8), (512, 8), (128, 7), (96, 5), (100, 4), (1, 1)])
def test_depth_follows_the_size_of_the_slices(size: int, depth: int) -> None:
    assert fitting_depth(size, 8) == depth


def test_depth_is_never_more_than_asked_for() -> None:
    assert fitting_depth(512, 4) == 4


def test_dropout_is_the_noise_in_training_and_off_in_evaluation() -> None:
    network, condition = generator(depth=4), label_maps(32, 32)
    assert not torch.equal(network(condition), network(condition))
    network.eval()
    assert torch.equal(network(condition), network(condition))


def test_dropout_is_in_the_first_three_decoder_levels() -> None:
    rates = [layer.p for layer in generator(depth=6).modules() if isinstance(layer, nn.Dropout)]
    assert rates == [0.5, 0.5, 0.5, 0, 0]


def test_a_batch_of_one_trains_at_a_bottom_of_one_pixel() -> None:
    network = generator(depth=5)
    network(label_maps(32, 32)[:1]).mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def test_slices_are_float32_under_bfloat16() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        image = generator()(label_maps(32, 32))
    assert image.dtype == torch.float32
    assert len(image.unique()) > 256


def test_weights_start_small() -> None:
    torch.manual_seed(0)
    weight = next(layer.weight for layer in generator(base_width=64).modules() if isinstance(layer, nn.Conv2d))
    assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_resize_convolution_is_a_convolution_of_what_is_resized() -> None:
    torch.manual_seed(0)
    layer, features = ResizeConv(3, 2), torch.rand(2, 3, 5, 7)
    resized = functional.interpolate(features, scale_factor=2.0, mode="nearest")
    expected = functional.conv2d(resized, layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(features), expected, atol=1e-6)


def test_only_transposed_convolution_draws_a_checkerboard() -> None:
    torch.manual_seed(0)
    flat = torch.ones(1, 4, 8, 8)
    resized, transposed = (upsample(4, 1, name)(flat)[..., 4:-4, 4:-4].detach() for name in ("resize", "transposed"))
    assert float(resized.std()) == pytest.approx(0, abs=1e-6)
    assert float(transposed.std()) > 1e-3
