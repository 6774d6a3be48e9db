from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nephrite.config import Augmentation, Config
from nephrite.segmentation.in_process import step_time as timing
from nephrite.segmentation.in_process.step_time import augmentation_seconds, step_seconds

Load = Callable[..., Config]
WIDE = "train_segmenter.segmenters.light={kind: unet, base_width: 32, depth: 2, padding: same, normalization: batch}"


def test_a_wider_network_takes_longer(load: Load) -> None:
    assert 0 < step_seconds(load(), "light") < step_seconds(load(WIDE), "light")


def test_a_long_step_is_extrapolated_and_never_taken(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def training_seconds(config: Config, network: torch.nn.Module, *, batch: int, space: tuple[int, ...]) -> float:
        sizes.append((batch, *space))
        return 0.5

    monkeypatch.setattr(timing, "training_seconds", training_seconds)
    config = load(WIDE, "prepare.in_plane={kind: resize, size: 512}", "train_segmenter.batch_size=8")
    assert step_seconds(config, "light") == 0.5 * 8 / 2 * (512 / 64) ** 2 * (32 / 16) ** 2
    assert sizes == [(2, 64, 64)]


def test_a_short_step_is_taken_as_it_is(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def training_seconds(config: Config, network: torch.nn.Module, *, batch: int, space: tuple[int, ...]) -> float:
        sizes.append((batch, *space))
        return 0.001

    monkeypatch.setattr(timing, "training_seconds", training_seconds)
    assert step_seconds(load(), "light") == 0.001
    assert sizes == [(2, 32, 32), (4, 32, 32)]


def test_a_training_on_windows_is_timed_on_windows(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def training_seconds(config: Config, network: torch.nn.Module, *, batch: int, space: tuple[int, ...]) -> float:
        sizes.append(space)
        return 0.001

    monkeypatch.setattr(timing, "training_seconds", training_seconds)
    step_seconds(load("prepare.in_plane={kind: resize, size: 512}", "train_segmenter.window=48"), "light")
    assert sizes == [(48, 48), (48, 48)]


def test_an_encoder_is_timed_without_its_weights(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("nephrite.segmentation.in_process.smp.EncoderBackend._load_imagenet", refuse)
    monkeypatch.setattr(timing, "MOST_CALLS", 3)
    assert step_seconds(load("train_segmenter.batch_size=1"), "fpn") > 0


@pytest.mark.parametrize("name", ["standard", "geometric"])
def test_augmentation_takes_time_where_there_is_any(load: Load, name: Augmentation) -> None:
    assert augmentation_seconds(load(), "none") == 0 < augmentation_seconds(load(), name) < 1


def test_the_number_of_threads_is_put_back(load: Load) -> None:
    before = torch.get_num_threads()
    step_seconds(load(), "light")
    assert torch.get_num_threads() == before
