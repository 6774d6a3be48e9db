"""What all generators share in training: moving average, learning rate, history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nephrite.config import Config
from nephrite.generation.adversarial import AdversarialModule
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.fitting import average_weights, fit_generator, rate_factor
from nephrite.recording import SilentRun
from nephrite.store.slices import PairStore
from nephrite.training.data import Pairs

NOISY = (
    "train_gan.pix2pix.method={kind: pix2pix, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5}",
    "train_gan.pix2pix.ema_decay=0.9",
    "train_gan.pix2pix.epochs=3",
)
Load = Callable[..., Config]


def build(config: Config, pairs: Path) -> AdversarialModule:
    store = PairStore(pairs)
    slices = Pairs((store, store.slices("train")))
    return AdversarialModule(config.train_gan["pix2pix"], slices, conditioning=Conditioning((1, 2)), size=32, seed=3)


def train(config: Config, pairs: Path, folder: Path) -> AdversarialModule:
    folder.mkdir(exist_ok=True)
    module = build(config, pairs)
    fit_generator(module, config.compute, folder=folder, run=SilentRun())
    return module


def weights(module: torch.nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in module.state_dict().values()])


def test_synthesizer_paints_with_the_kept_weights(load: Load, pairs: Path) -> None:
    module = build(load(*NOISY), pairs)
    assert module.synthesizer.network is module.painter
    assert module.synthesizer.conditioning == module.conditioning


def test_average_differs_from_the_raw_generator_and_is_what_paints(load: Load, pairs: Path, tmp_path: Path) -> None:
    module = train(load(*NOISY), pairs, tmp_path / "a")
    assert module.average is not None
    assert module.painter is module.average.module
    assert not torch.equal(weights(module.painter), weights(module.generator))


def test_without_average_the_generator_itself_paints(load: Load, pairs: Path) -> None:
    module = build(load(), pairs)
    assert module.average is None
    assert module.painter is module.generator


def test_average_follows_weights_and_running_statistics_quickly_at_first(load: Load, pairs: Path) -> None:
    generator = build(load(), pairs).generator
    average = average_weights(generator, 0.999)
    for value in (0.0, 1.0):
        for tensor in (*generator.parameters(), *(b for b in generator.buffers() if b.is_floating_point())):
            tensor.detach().fill_(value)
        average.update_parameters(generator)
    assert all(torch.allclose(p, torch.tensor(9 / 11)) for p in average.module.parameters())
    assert all(torch.allclose(b, torch.tensor(9 / 11)) for b in average.module.buffers() if b.is_floating_point())


def test_learning_rate_is_constant_then_falls_linearly() -> None:
    factor = rate_factor(8, 0.5)
    assert [factor(epoch) for epoch in range(8)] == pytest.approx([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert rate_factor(3, 1.0)(2) == 1


def test_every_network_has_adam_with_the_first_beta_of_the_settings(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load("train_gan.pix2pix.epochs=1", "train_gan.pix2pix.beta1=0.3", "train_gan.pix2pix.constant_share=1.0")
    optimizers = train(config, pairs, tmp_path / "a").trainer.optimizers
    assert len(optimizers) == 2
    for optimizer in optimizers:
        (group,) = optimizer.param_groups
        assert isinstance(optimizer, torch.optim.Adam)
        assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.3, 0.999), 1e-8, 0)
        assert not group["amsgrad"]


def test_learning_rate_of_the_history_follows_the_schedule(load: Load, pairs: Path, tmp_path: Path) -> None:
    history = train(
        load("train_gan.pix2pix.epochs=4", "train_gan.pix2pix.learning_rate=0.003"), pairs, tmp_path / "a"
    ).history
    assert [row["learning_rate"] for row in history] == pytest.approx([0.003, 0.003, 0.002, 0.001])
