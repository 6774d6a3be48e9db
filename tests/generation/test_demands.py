from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.generation.demands import check_generators
from nephrite.recording import SilentRun
from nephrite.stages.train_gan import train_gan

Load = Callable[..., Config]
TOO_DEEP = "train_gan.pix2pix.discriminator.layers=5"


def test_networks_that_fit_pass(load: Load) -> None:
    check_generators(load(), ["pix2pix"])


def test_discriminator_that_is_deeper_than_the_slices_is_refused(load: Load) -> None:
    line = r"train_gan.pix2pix: cannot learn from slices of 32 x 32, 2 at a time \(.*Kernel size.*\); take fewer layers"
    with pytest.raises(ConfigError, match=line):
        check_generators(load(TOO_DEEP), ["pix2pix"])


def test_nothing_is_written_for_networks_that_do_not_fit(load: Load, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot learn from slices"):
        train_gan(load(TOO_DEEP, "painter=pix2pix/1.0/0"), SilentRun(), pairs=pairs, synthesizer=tmp_path / "s")
    assert not list(tmp_path.glob("s*"))


def test_further_processes_of_a_training_try_nothing(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    check_generators(load(TOO_DEEP), ["pix2pix"])
