from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nephrite.config import ComputeSettings, Config, TrainGanSettings
from nephrite.generation import step_time as synthesizer_timing
from nephrite.generation.adversarial import AdversarialModule
from nephrite.generation.kinds.pix2pix import Pix2PixSettings
from nephrite.generation.step_time import MadeUpSlices, StepClock, synthesizer_step_seconds

Load = Callable[..., Config]
WAYS = {
    "pix2pix": "train_gan.pix2pix.condition=anatomy",
    "paint_in": "train_gan.pix2pix.method={kind: paint_in, base_width: 4, depth: 2, upsampling: resize, dropout: 0.0, "
    "rim: 1}",
    "spade": "train_gan.pix2pix.method={kind: spade, base_width: 4, depth: 2, hidden_width: 4, code_length: 4, "
    "divergence_weight: 0.05}",
    "diffusion": "train_gan.pix2pix.method={kind: diffusion, base_width: 8, depth: 1}",
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_step_of_every_kind_takes_time(load: Load, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    assert 0 < synthesizer_step_seconds(load(WAYS[kind]), "pix2pix") < 10
    assert torch.get_num_threads() == threads
    assert capfd.readouterr() == ("", "")


def test_what_is_not_trained_takes_no_time(load: Load) -> None:
    nothing = load("train_gan.pix2pix.method={kind: randomized, spread: 0.1}")
    assert synthesizer_step_seconds(nothing, "pix2pix") == 0


def test_a_long_step_is_extrapolated_and_never_taken(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def measured(config: Config, settings: TrainGanSettings) -> float:
        assert isinstance(settings.method, Pix2PixSettings)
        taken.append((settings.method.base_width, settings.discriminator.base_width, settings.batch_size))
        return 0.5

    monkeypatch.setattr(synthesizer_timing, "_measured", measured)
    wide = [f"train_gan.pix2pix.{name}" for name in ("method.base_width=64", "discriminator.base_width=32")]
    config = load(*wide, "train_gan.pix2pix.batch_size=8")
    assert synthesizer_step_seconds(config, "pix2pix") == 0.5 * 8 / 2 * (64 / 16) ** 2
    assert taken == [(16, 16, 2)]


def test_a_short_step_is_taken_as_it_is(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def measured(config: Config, settings: TrainGanSettings) -> float:
        sizes.append(settings.batch_size)
        return 0.001 * len(sizes)

    monkeypatch.setattr(synthesizer_timing, "_measured", measured)
    assert synthesizer_step_seconds(load("train_gan.pix2pix.batch_size=8"), "pix2pix") == 0.002
    assert sizes == [2, 8]


def test_one_device_is_timed_where_a_training_takes_several(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def fit(module: AdversarialModule, compute: ComputeSettings, **_: object) -> None:
        devices.append((compute.devices, compute.strategy))
        [clock] = module.callbacks
        assert isinstance(clock, StepClock)
        clock.seconds = [0.25] * 5

    monkeypatch.setattr(synthesizer_timing, "fit", fit)
    config = load("compute.accelerator=cpu", "compute.devices=2", "compute.strategy=ddp")
    assert synthesizer_step_seconds(config, "pix2pix") == 0.25
    assert set(devices) == {(1, "auto")}


def test_made_up_slices_have_every_class() -> None:
    label = MadeUpSlices(32, (1, 2, 5)).label("anyone")
    assert sorted(set(label.flatten().tolist())) == [0, 1, 2, 5]
