from __future__ import annotations

import itertools
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nephrite.config import Config, Settings, load_config, sections_in
from nephrite.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "synthesize.labeler={segmenter: none, steps: 2}": r"'synthesize.labeler.segmenter' is 'none'; not under",
    "screen.segmenter=none": r"'screen.segmenter' is 'none'; not under 'train_segmenter.segmenters'",
    "painter=spade/1.0/0": r"painter 'spade/1.0/0' is not among the trial's",
    "trial.segmenters=[light, giant]": r"'trial\.segmenters' names \['giant'\]",
    "trial.primary=liver": r"'trial\.primary' is 'liver'; not among 'evaluate\.regions'",
    "evaluate.regions.tumor.labels=[3]": r"region 'tumor' with labels \[3\] is not a union of 'prepare\.channels'",
    "arm=real/light/1.0/99": r"arm 'real/light/1.0/99' is not among the trial's",
}


def fields(model: type[Settings] = Config, path: str = "") -> dict[str, Any]:
    """Every field of the settings that is no section itself, by dotted name."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        below = sections_in(field.annotation)
        inner = [fields(section, f"{path}{name}.{section.__name__}.") for section in below]
        found |= dict(itertools.chain.from_iterable(part.items() for part in inner)) or {f"{path}{name}": field}
    return found


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("params", 12), ("configs/kits19", 12), ("configs/moai", 12), ("configs/lidc", 10), ("configs/curvas", 4)],
)
def test_shipped_settings_are_valid(name: str, kinds: int, root: Path) -> None:
    config = load_config(root / f"{name}.yaml")
    assert len(config.trial.arms) == kinds * len(config.trial.cells)


def test_capstone_settings_are_the_capstones(root: Path) -> None:
    config = load_config(root / "configs" / "moai.yaml")
    training, split = config.train_segmenter, config.prepare.split
    assert (training.epochs, training.learning_rate, training.plateau_patience) == (100, 0.001, 6)
    assert (split.train, split.validation, split.test) == (0.7, 0.2, 0.1)
    assert config.prepare.intensity.model_dump() == {"kind": "window", "center": 0, "width": 400}
    assert training.geometric.model_dump() == {"rotation": 45, "scale": 0.15, "shift": 0.10}
    assert training.steps_per_epoch * training.batch_size == 70 * 64


UNSURE = ("prepare.classes={1: kidney, 255: tumor}", "prepare.channels={kidney: [1, 255], tumor: [255]}",
          "evaluate.regions={tumor: {labels: [255], tolerance: 1}}", "trial.primary=tumor")  # fmt: skip
GUESSING = {
    "self_training": ["trial.training_sets.real=[real, real+geometric, real+geometric+self_training]"],
    "labeler": ["synthesize.labeler={segmenter: light, steps: 2}", "synthesize.unlabelled=0.5"],
}


@pytest.mark.parametrize("guess", GUESSING)
def test_class_of_the_value_that_means_unsure_is_refused_where_labels_are_guessed(guess: str, load: Load) -> None:
    assert 255 in load(*UNSURE).prepare.classes
    with pytest.raises(ConfigError, match=rf"'prepare.classes' has 255, which '.*{guess}' gives to pixels"):
        load(*UNSURE, *GUESSING[guess])


def test_the_only_painter_need_not_be_named(load: Load) -> None:
    assert str(load().this_painter) == "pix2pix/1.0/0"
    with pytest.raises(ConfigError, match=r"add '--set painter=pix2pix/1.0/0'"):
        _ = load("trial.cells=[0, 1]").this_painter


def test_stage_without_its_arm_says_how_to_name_one(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"add '--set arm=real/light/1.0/0'"):
        _ = load().this_arm
    assert load("arm=real/light/1.0/0").this_arm.training_set == "real"


@pytest.mark.parametrize("name", [name for name in fields() if not name.startswith("arm.")])
def test_every_setting_has_its_sentence(name: str) -> None:
    assert (fields()[name].description or "").endswith(".")


def test_settings_page_is_current(root: Path) -> None:
    page = runpy.run_path(str(root / "docs" / "write_settings.py"))["settings_page"]()
    assert (root / "docs" / "settings.md").read_text(encoding="utf-8") == page, "run 'make docs'"
