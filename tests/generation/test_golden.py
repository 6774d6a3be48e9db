"""Golden runs of every kind of generator: fixed seed, processor, float32, two steps.

They change only when a kind changes on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import Config
from nephrite.generation.synthesizers import read_synthesizer
from nephrite.recording import SilentRun
from nephrite.stages.train_gan import train_gan
from nephrite.store.slices import PairStore

METHODS = {
    "pix2pix": "{kind: pix2pix, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5, normalization: batch}",
    "spade": "{kind: spade, base_width: 4, depth: 3, hidden_width: 4, code_length: 4, divergence_weight: 0.05}",
    "paint_in": "{kind: paint_in, base_width: 4, depth: 3, upsampling: transposed, dropout: 0.5, rim: 2, "
    "normalization: batch}",
    "randomized": "{kind: randomized, spread: 0.1}",
    "diffusion": "{kind: diffusion, base_width: 8, depth: 1, noise_steps: 50, sampling_steps: 3}",
}
TWO_STEPS = ("train_gan.pix2pix.epochs=1", "train_gan.pix2pix.batch_size=9", "train_gan.pix2pix.ema_decay=0.9")
CAREFUL = (
    "trial.seed=7",
    "train_gan.pix2pix.l1_weight=50",
    "train_gan.pix2pix.learning_rate=0.003",
    "train_gan.pix2pix.differentiable_augmentation=[translation, cutout, intensity]",
)
GOLDEN = {  # of the weights, of the painted slices
    "pix2pix": ([0.007254, 0.0853311, -0.0006776], [0.4962315, 0.0014097, -6.21e-05]),
    "spade": ([0.0026852, 0.085457, 0.0002699], [0.4911127, 0.0097254, -3.7e-05]),
    "paint_in": ([0.0054703, 0.076013, -0.0004258], [0.3961247, 0.0723732, -7.66e-05]),
    "randomized": ([0.0, 0.0, 0.0], [0.3700534, 0.1278381, -3.82e-05]),
    "diffusion": ([0.0067536, 0.1085561, 0.0003607], [0.5020753, 0.3159094, 0.0007613]),
}


def summary(values: np.ndarray) -> list[float]:
    """Mean, deviation, and how values hang together with their places."""
    flat = values.astype(np.float64).ravel()
    return [float(flat.mean()), float(flat.std()), float((flat * np.cos(np.arange(flat.size))).mean())]


@pytest.mark.parametrize("kind", METHODS)
def test_two_steps_leave_the_stored_weights_and_paint_the_stored_slices(
    load: Callable[..., Config], pairs: Path, tmp_path: Path, kind: str
) -> None:
    anatomy = f"train_gan.pix2pix.condition={'labels' if kind == 'paint_in' else 'anatomy'}"
    config = load(f"train_gan.pix2pix.method={METHODS[kind]}", anatomy, *TWO_STEPS, *CAREFUL)
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / "synthesizer")
    _, synthesizer = read_synthesizer(tmp_path / "synthesizer")

    store = PairStore(pairs)
    image = np.stack([store.windowed(ref) for ref in store.slices("train")[:3]])
    asked = synthesizer.conditioning.of_real(image, np.array(store.label("a1")[:3]))
    weights = [value.flatten() for value in synthesizer.network.state_dict().values() if value.is_floating_point()]
    known = torch.cat([torch.zeros(1), *weights]).numpy()
    found = summary(known), summary(synthesizer.paint(asked, [1, 2, 3]))
    assert [*found] == [pytest.approx(part, abs=1e-5) for part in GOLDEN[kind]]
