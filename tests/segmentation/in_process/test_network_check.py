from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.segmentation.demands import shape_asked
from nephrite.segmentation.in_process import network_check
from nephrite.segmentation.in_process.family import InProcess
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings

Load = Callable[..., Config]
SETTINGS = UNetSettings(kind="unet", base_width=2, depth=1, padding="same", normalization="none")


def check_network(backend: InProcess[Any], config: Config) -> None:
    """Check a network with slices as the settings ask for them."""
    network_check.check_network(backend, config, shape_asked(config))


class Convolution(nn.Module):
    """A segmenter of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image)
        return logits


class Sized(Convolution):
    """Takes slices of 96 x 96 alone."""

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-1] != 96:
            raise ValueError("takes 96 pixels")
        return super().forward(image)


class Pair(Convolution):
    """Returns a list."""

    def forward(self, image: Tensor) -> Tensor:
        return [super().forward(image)]  # type: ignore[return-value]  # that is what is wrong with it


class Half(Convolution):
    """Returns logits of half the size."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image)[..., ::2, ::2]


class Double(Convolution):
    """Returns logits of twice the size."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).repeat(1, 1, 2, 2)


class Squeezed(Convolution):
    """Loses the batch of one slice."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).squeeze(0)


class Broken(Convolution):
    """Returns no numbers."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) / 0


class Fixed(Convolution):
    """Learns nothing."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).detach()


class Steep(Convolution):
    """Has a slope that is no number."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + (self.layer.weight.sum() * 0).sqrt()


class Pooled(Convolution):
    """Normalizes one value per slice, as DeepLab and PSPNet do."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, image: Tensor) -> Tensor:
        logits = super().forward(image)
        pooled: Tensor = self.norm(logits.mean((2, 3), keepdim=True))
        return logits + pooled


class Branching(Convolution):
    """Asks for a pixel's value, which no graph can know."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * (2 if image.sum().item() > 0 else 1)


class Counting(Convolution):
    """Does something else when it is traced."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + (1 if torch.compiler.is_exporting() else 0)


class Made(InProcess[UNetSettings]):
    """A network that no setting names."""

    def __init__(self, inner: Callable[[], nn.Module], settings: UNetSettings = SETTINGS) -> None:
        super().__init__(settings)
        self.inner = inner

    def build(self, channels: int) -> Segmenter:
        return Segmenter(self.inner(), int)

    def deepest(self, network: nn.Module) -> nn.Module:
        return network.get_submodule("layer")


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was tried yet."""
    monkeypatch.setattr("nephrite.segmentation.in_process.network_check._passed", set())


FAULTS: list[tuple[type[nn.Module], str]] = [
    (Pair, r"returns a list for 2 slices of 32 x 32, and a segmenter returns logits; take another network"),
    (Double, r"returns \(2, 2, 64, 64\) for 2 slices of 32 x 32, and a segmenter returns logits \(2, 2, 32, 32\)"),
    (Half, r"returns \(2, 2, 16, 16\) for 2 slices of 32 x 32, and a segmenter returns logits \(2, 2, 32, 32\)"),
    (Squeezed, r"returns \(2, 32, 32\) for 1 slice of 32 x 32"),
    (Broken, r"returns values that are no numbers for 2 slices"),
    (Fixed, r"cannot learn from 2 slices of 32 x 32 \(element 0 of tensors does not require grad"),
    (Steep, r"has gradients that are no numbers"),
    (Branching, r"cannot be exported as a graph for any number of slices"),
    (Counting, r"differs from its exported graph for 2 slices"),
    (Sized, r"refuses 2 slices of 32 x 32 \(takes 96 pixels\)"),
]


@pytest.mark.parametrize(("inner", "finding"), FAULTS)
def test_what_is_no_segmenter_is_one_line(load: Load, inner: type[nn.Module], finding: str) -> None:
    with pytest.raises(ConfigError, match=rf"segmenter of kind 'unet' \(base_width 2, .*\): {finding}") as caught:
        check_network(Made(inner), load("prepare.in_plane={kind: resize, size: 32}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("inner", [Convolution, Pooled])
def test_segmenters_are_accepted(load: Load, inner: type[nn.Module]) -> None:
    check_network(Made(inner), load())


def test_normalization_over_one_value_is_refused_only_where_a_batch_is_one_slice(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"cannot learn from 1 slice .*; raise 'train_segmenter.batch_size'"):
        check_network(Made(Pooled), load("train_segmenter.batch_size=1"))
    with pytest.raises(ConfigError, match=r"cannot learn from 1 slice"):
        check_network(Made(Pooled), load("train_segmenter.batch_size=2", "compute.devices=2"))


def test_a_network_of_one_size_is_tried_at_the_size_of_the_settings(load: Load) -> None:
    check_network(Made(Sized), load("prepare.in_plane={kind: resize, size: 96}"))


def test_a_network_that_is_to_learn_from_windows_is_tried_on_windows(load: Load) -> None:
    whole = "prepare.in_plane={kind: resize, size: 128}"
    check_network(Made(Sized), load(whole, "train_segmenter.window=96"))
    with pytest.raises(ConfigError, match=r"refuses 2 slices of 128 x 128"):
        check_network(Made(Sized), load(whole))


def test_what_was_accepted_is_not_tried_again_unless_it_differs(load: Load) -> None:
    built = []

    def counted() -> nn.Module:
        built.append(1)
        return Convolution()

    for _ in range(2):
        check_network(Made(counted), load())
    check_network(Made(counted, SETTINGS.model_copy(update={"depth": 2})), load())
    assert len(built) == 2


def test_trying_leaves_other_draws_alone(load: Load) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_network(Made(Convolution), load())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("batch", "fits"), [(1, False), (2, True)])
def test_own_network_that_normalizes_one_value_is_refused(load: Load, batch: int, fits: bool) -> None:
    settings = UNetSettings(kind="unet", base_width=2, depth=5, padding="same", normalization="batch")
    config = load(f"train_segmenter.batch_size={batch}")
    if fits:
        check_network(UNetBackend(settings), config)
        return
    line = r"depth 5.*: cannot learn from 1 slice of 32 x 32 \(Expected more than 1 value.*\); raise 'train_segmenter.b"
    with pytest.raises(ConfigError, match=line):
        check_network(UNetBackend(settings), config)
