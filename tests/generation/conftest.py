"""Fixtures for generators: real slices, a request for their label maps, and generators of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from nephrite.config import GeneratorSettings
from nephrite.generation.conditioning import Conditioning, Request
from nephrite.generation.intensities import Intensity
from nephrite.generation.kind import AdversarialKind
from nephrite.generation.synthesizers import Synthesizer

UNET: dict[str, object] = {"base_width": 4, "depth": 3, "upsampling": "resize", "dropout": 0.5}
VALUES: dict[str, dict[str, object]] = {
    "pix2pix": UNET,
    "paint_in": {**UNET, "rim": 2},
    "spade": {"base_width": 4, "depth": 3, "hidden_width": 4, "code_length": 4, "divergence_weight": 0.05},
    "randomized": {"spread": 0.05},
}
SEEN = (Intensity(0.2, 0.02, 0.1, 0.3), Intensity(0.5, 0.02, 0.4, 0.6), Intensity(0.8, 0.02, 0.7, 0.9))
Slices = tuple[Tensor, Tensor]


@pytest.fixture
def real() -> Slices:
    """Four slices of noise, and their label maps: an organ with a lesion."""
    source = torch.Generator().manual_seed(1)
    label = torch.zeros(4, 32, 32, dtype=torch.uint8)
    label[:, 4:28, 4:28] = 1
    label[:, 10:20, 10:20] = 2
    return torch.rand(4, 1, 32, 32, generator=source), label


@pytest.fixture
def asked(real: Slices) -> Request:
    """A request for these label maps."""
    image, label = real
    return Request(label.numpy(), background=image[:, 0].numpy())


@pytest.fixture
def painter(real: Slices) -> Callable[[str], Synthesizer]:
    """Make a generator of a kind: random weights, large enough to paint something, and running averages of a batch."""

    def make(kind: str) -> Synthesizer:
        adapter: TypeAdapter[GeneratorSettings] = TypeAdapter(GeneratorSettings)
        settings = adapter.validate_python({"kind": kind, **VALUES[kind]})
        conditioning = Conditioning((1, 2), lesions=(2,), rim=settings.region_rim)
        made = Synthesizer(settings, conditioning, torch.nn.Identity(), SEEN)
        made.network = made.kind.build(conditioning.channels, 32)
        for weights in made.network.parameters():
            weights.detach().mul_(4)
        if isinstance(made.kind, AdversarialKind):
            made.kind.imagine(made.network, conditioning.of_batch(*real))
        return made

    return make
