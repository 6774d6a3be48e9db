from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from nephrite.config import explain_config, load_config
from tests.conftest import CAPSTONE

NAMES = (
    "params",
    *(f"configs/{name}" for name in ("capstone-phantom", "curvas", "elsewhere", "kits19", "lidc", "moai")),
)


def line_of(text: str, key: str) -> str:
    """The first line of a key."""
    return next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))


@pytest.mark.parametrize("name", NAMES)
def test_explained_settings_load_again_as_the_same(name: str, root: Path) -> None:
    overrides = ["train_segmenter.epochs=3", "prepare.split.salt='1e3'"]
    text = explain_config(root / f"{name}.yaml", overrides)
    assert load_config(Path("unused"), text=text) == load_config(root / f"{name}.yaml", overrides)


def test_every_value_has_its_meaning_above_and_its_origin_beside_it(root: Path) -> None:
    lines = explain_config(CAPSTONE, ["train_gan.pix2pix.epochs=3"]).splitlines()
    below = [(above, line) for above, line in itertools.pairwise(lines) if re.search(r": .* # [a-z-]+$", line)]
    assert len(below) > 150
    assert all(above.lstrip().startswith("# ") or re.search(r"NAME|labels|kidney|tumor", line) for above, line in below)
    assert all(len(line) <= 120 for line in lines if line.lstrip().startswith("#"))


def test_origin_is_file_override_or_default(root: Path) -> None:
    text = explain_config(CAPSTONE, ["train_gan.pix2pix.epochs=3", "acquire.phantom={patients: 5}"])
    assert line_of(text, "salt") == "    salt: stone # file"
    assert line_of(text, "block") == "  block: 16 # default"
    assert line_of(text, "epochs") == "    epochs: 3 # --set"
    assert line_of(text, "patients") == "    patients: 5 # --set"
    assert line_of(text, "learning_rate").endswith("# default")


def test_override_of_an_entry_marks_its_map(root: Path) -> None:
    text = explain_config(CAPSTONE, ["synthesize.edits.sizes.tiny=3"])
    assert line_of(text, "sizes") == "    sizes: {tiny: 3.0, small: 1.0, medium: 1.0, large: 1.0} # --set"


def test_what_a_stage_is_called_for_is_shown_only_when_given(root: Path) -> None:
    assert "\narm:" not in explain_config(CAPSTONE)
    assert "\narm:\n" in explain_config(CAPSTONE, ["arm=real/light/1.0/0"])
