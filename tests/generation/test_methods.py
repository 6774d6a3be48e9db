"""Every method paints a slice from its part of the scene and its seed, whatever it is painted together with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from nephrite.config import GeneratorSettings
from nephrite.generation.conditioning import Conditioning, Request, Scene
from nephrite.generation.intensities import Intensity
from nephrite.generation.methods import AdversarialMethod, method_of, normal_noise, slice_noise
from nephrite.generation.synthesizers import Synthesizer

UNET: dict[str, object] = {"base_width": 4, "depth": 3, "upsampling": "resize", "dropout": 0.5}
VALUES: dict[str, dict[str, object]] = {
    "pix2pix": UNET,
    "paint_in": {**UNET, "rim": 2},
    "spade": {"base_width": 4, "depth": 3, "hidden_width": 4, "code_length": 4, "divergence_weight": 0.05},
    "randomised": {"spread": 0.05},
}
ADAPTER: TypeAdapter[GeneratorSettings] = TypeAdapter(GeneratorSettings)
SETTINGS = {kind: ADAPTER.validate_python({"kind": kind, **values}) for kind, values in VALUES.items()}
SEEN = (Intensity(0.2, 0.02, 0.1, 0.3), Intensity(0.5, 0.02, 0.4, 0.6), Intensity(0.8, 0.02, 0.7, 0.9))
every_kind = pytest.mark.parametrize("kind", SETTINGS)


def synthesizer(kind: str) -> Synthesizer:
    """With random weights, large enough to paint something, and running averages of some batch."""
    conditioning = Conditioning((1, 2), lesions=(2,), rim=2 if kind == "paint_in" else None)
    method = method_of(SETTINGS[kind], SEEN)
    network = method.build(conditioning.channels, 32)
    for weights in network.parameters():
        weights.detach().mul_(4)
    if isinstance(method, AdversarialMethod):
        method.imagine(network, conditioning.of_batch(*real()))
    return Synthesizer(SETTINGS[kind], conditioning, network, SEEN)


def real() -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    label = torch.zeros(4, 32, 32, dtype=torch.uint8)
    label[:, 4:28, 4:28] = 1
    label[:, 10:20, 10:20] = 2
    return torch.rand(4, 1, 32, 32, generator=source), label


def request(share: slice = slice(None)) -> Request:
    image, label = real()
    return Request(label[share].numpy(), background=image[share, 0].numpy())


@every_kind
def test_painting_is_repeated_by_its_seeds_and_changed_by_others(kind: str) -> None:
    painter = synthesizer(kind)
    first, again, other = (painter.paint(request(), seeds) for seeds in ([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 5]))
    assert np.array_equal(first, again)
    assert np.array_equal(first[:3], other[:3])
    assert not np.array_equal(first[3], other[3])
    assert 0 <= first.min() < first.max() <= 1


@every_kind
def test_painted_slice_does_not_depend_on_its_batch(kind: str) -> None:
    painter = synthesizer(kind)
    together, alone = painter.paint(request(), [1, 2, 3, 4]), painter.paint(request(slice(2, 3)), [3])
    assert np.allclose(together[2], alone[0], atol=1e-5)


@every_kind
def test_painting_leaves_network_and_random_numbers_as_they_were(kind: str) -> None:
    painter = synthesizer(kind)
    before, state = [value.clone() for value in painter.network.state_dict().values()], torch.get_rng_state()
    painter.paint(request(), range(4))
    assert painter.network.training
    assert all(map(torch.equal, before, painter.network.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), state)


def test_background_outside_of_lesion_and_rim_stays_bit_by_bit() -> None:
    painted, asked = synthesizer("paint_in").paint(request(), range(4)), request()
    assert asked.background is not None
    same = painted == asked.background
    assert same[:, :8].all()
    assert same[:, :, 22:].all()
    assert not same[:, 12:18, 12:18].any()


def test_generator_is_not_shown_what_it_shall_paint() -> None:
    asked = request()
    assert asked.background is not None
    other = asked.background.copy()
    other[:, 12:18, 12:18] = 1 - other[:, 12:18, 12:18]  # within the lesion, away from the blended rim
    painter = synthesizer("paint_in")
    first, second = (painter.paint(asked._replace(background=x), range(4)) for x in (asked.background, other))
    assert np.array_equal(first[:, 12:18, 12:18], second[:, 12:18, 12:18])


def test_given_style_decides_whatever_the_seed() -> None:
    painter, asked = synthesizer("spade"), request()
    assert asked.background is not None
    dark, bright = asked._replace(style=asked.background * 0.2), asked._replace(style=asked.background * 0.8)
    assert np.array_equal(painter.paint(dark, [1, 2, 3, 4]), painter.paint(dark, [5, 6, 7, 8]))
    assert not np.allclose(painter.paint(dark, range(4)), painter.paint(bright, range(4)), atol=1e-4)


def test_randomised_classes_stay_near_the_training_patients() -> None:
    painted = synthesizer("randomised").paint(request(), range(4))
    label = request().label
    means = [float(painted[label == value].mean()) for value in (0, 1, 2)]
    assert means == sorted(means)


def test_style_of_a_training_slice_costs_a_penalty_and_others_none() -> None:
    for kind in ("pix2pix", "paint_in", "spade"):
        painter = synthesizer(kind)
        assert isinstance(painter.method, AdversarialMethod)
        painted = painter.method.imagine(painter.network, painter.conditioning.of_batch(*real()))
        assert (painted.penalty is not None) == (kind == "spade")


def test_noise_of_a_slice_is_that_of_its_seed() -> None:
    together = normal_noise((3, 2), [1, 2, 3])
    assert torch.equal(together[1:2], normal_noise((3, 2), [2]))
    assert len(set(together.flatten().tolist())) == 18


def test_noise_drops_the_share_that_was_set_and_keeps_the_mean() -> None:
    network = nn.Sequential(nn.Dropout(0.5)).eval()
    with slice_noise(network, [1, 2]):
        dropped = network(torch.ones(2, 8, 64, 64))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(network(torch.ones(1)), torch.ones(1))


def test_scene_without_a_region_is_painted_whole() -> None:
    painter = synthesizer("pix2pix")
    scene: Scene = painter.conditioning.of_batch(*real())
    assert isinstance(painter.method, AdversarialMethod)
    assert painter.method.imagine(painter.network, scene).image.shape == (4, 1, 32, 32)
