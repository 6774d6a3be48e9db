from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError, ProgramError
from nephrite.segmentation.demands import check_trial
from nephrite.segmentation.programs.apart import read_seconds

Load = Callable[..., Config]


def asked(load: Load, *overrides: str, **settings: object) -> Config:
    known = {"kind": "command", "command": ["segment"], "own_image": "registry.example/mine:1", **settings}
    known["takes"] = ["synthetic", "pseudo_labels", "ignored", "augmentation"]
    return load(
        *(f"train_segmenter.segmenters.mine={json.dumps(known)}", "trial.segmenters=[mine]"),
        *("train_segmenter.early_stopping=null", *overrides),
    )


def test_a_program_that_is_not_here_is_not_refused(load: Load) -> None:
    check_trial(asked(load))
    with pytest.raises(ConfigError, match="is no program that can be started here"):
        check_trial(asked(load, own_image=None))


@pytest.mark.parametrize(
    ("settings", "override", "told"),
    [
        ({"files": ["mine.py"]}, "", r"names the file mine\.py, and only the image 'own_image' has it"),
        ({"environment": {"A-B": "1"}}, "", "sets the variable 'A-B', which no shell can export"),
        (
            {},
            "trial.training_sets.real=[real, real+geometric, real+self_training]",
            "'real\\+self_training' has it teach itself",
        ),
        ({}, "train_segmenter.early_stopping=3", "takes all its steps"),
    ],
)
def test_what_needs_the_program_in_the_stages_image_is_refused(
    load: Load, settings: dict[str, object], override: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=rf"train_segmenter\.segmenters\.mine: command 'segment': .*{told}"):
        check_trial(asked(load, *filter(None, [override]), **settings))


@pytest.mark.parametrize("image", ["", "two words", "a\nb"])
def test_an_image_is_one_word(load: Load, image: str) -> None:
    with pytest.raises(ConfigError, match="own_image"):
        asked(load, own_image=image)


def test_seconds_are_a_whole_number(tmp_path: Path) -> None:
    (tmp_path / "seconds").write_text("75\n")
    assert read_seconds(tmp_path) == 75
    for text in ("", "-1", "soon"):
        (tmp_path / "seconds").write_text(text)
        with pytest.raises(ProgramError, match="is no number of seconds"):
            read_seconds(tmp_path)
