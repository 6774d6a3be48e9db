"""The diffusion model trains as a synthesizer does: it learns, resumes exactly, and paints by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import Config
from nephrite.files import read_json
from nephrite.generation.conditioning import Request
from nephrite.generation.synthesizers import read_synthesizer
from nephrite.recording import Run, SilentRun
from nephrite.stages.train_gan import train_gan
from nephrite.store.slices import PairStore

SMALL = (
    "train_gan.pix2pix.method={kind: diffusion, base_width: 8, depth: 1, noise_steps: 50, sampling_steps: 3}",
    "train_gan.pix2pix.learning_rate=0.003",
    "train_gan.pix2pix.ema_decay=0.9",
    "train_gan.pix2pix.epochs=5",
    "train_gan.pix2pix.sample_every=5",
)
Load = Callable[..., Config]


class KilledRun(SilentRun):
    """A record that fails after the second epoch's checkpoint."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        if step == 6:
            raise ConnectionAbortedError


def trained(config: Config, pairs: Path, target: Path, run: Run | None = None) -> str:
    train_gan(config, run or SilentRun(), pairs=pairs, synthesizer=target)
    return read_synthesizer(target)[0].id


@pytest.mark.slow
def test_diffusion_learns_resumes_and_paints_by_seed(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, store = load(*SMALL), PairStore(pairs)
    whole = trained(config, pairs, tmp_path / "whole")
    history = [row["denoising_loss"] for row in read_json(tmp_path / "whole" / "history.json")]
    assert history[-1] < 0.8 * history[0]
    with pytest.raises(ConnectionAbortedError):
        trained(config, pairs, tmp_path / "killed", KilledRun())
    assert trained(config, pairs, tmp_path / "killed") == whole

    _, synthesizer = read_synthesizer(tmp_path / "whole")
    request = Request(np.array(store.label("a1")[:3]))
    first, again, alone = (
        synthesizer.paint(request, [1, 2, 3]),
        synthesizer.paint(request, [1, 2, 3]),
        synthesizer.paint(Request(request.label[2:]), [3]),
    )
    assert np.array_equal(first, again)
    assert np.allclose(first[2], alone[0], atol=1e-4)
    assert torch.from_numpy(first).std() > 0
