from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Refusal = Callable[[str], str]

REFUSED = {
    "train_gan.pix2pix.method={kind: magic}": (
        r"train_gan\.pix2pix\.method: .*'pix2pix', 'spade', 'paint_in', 'randomized', 'diffusion'"
    ),
    "train_gan.pix2pix.method={kind: diffusion, base_width: 8, depth: 1, noise_steps: 9, sampling_steps: 10}": (
        r"train_gan\.pix2pix\.method: 'sampling_steps' 10 is more than 'noise_steps' 9"
    ),
    "train_gan.pix2pix.differentiable_augmentation=[flip]": r"differentiable_augmentation.*value 'flip'",
    "train_gan.pix2pix.tissue.classes=1": r"train_gan\.pix2pix\.tissue\.classes: value 1",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))
