from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ModelNotRegisteredError, StoreError
from nephrite.predicting.model import ServedFolder, load_model
from nephrite.recording import SilentRun
from nephrite.registry import CHAMPION, Registry
from nephrite.segmentation.artifacts import read_card
from nephrite.stages.train_segmenter import train_segmenter
from tests.stages.test_predict import MODEL, register

Load = Callable[..., Config]


@pytest.fixture
def segmenter(pairs: Path, tmp_path: Path, load: Load) -> Path:
    """A segmenter as a trial leaves it."""
    settings = ("arm=real/light/1.0/0", "train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=1")
    train_segmenter(load(*settings), SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    return tmp_path / "segmenter"


def test_a_folder_brings_its_recipe_and_its_patients(segmenter: Path, tmp_path: Path, load: Load) -> None:
    model, card = load_model(load(f"predict.folder={segmenter}"), tmp_path), read_card(segmenter)
    assert isinstance(model, ServedFolder)
    assert (model.origin.name, model.origin.version, model.origin.weights) == (card.arm, None, card.digest)
    assert model.origin.patients == frozenset({"a1", "a2", "a3"})  # of the validation patients nothing was chosen
    assert (model.recipe.classes, model.recipe.channels) == (card.classes, card.channels)
    assert (model.recipe.in_plane, model.recipe.threshold, model.recipe.window) == (card.in_plane, 0.5, card.window)


def test_a_folder_that_was_changed_is_refused(segmenter: Path, tmp_path: Path, load: Load) -> None:
    weights = segmenter / "weights.safetensors"
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"weights\.safetensors"):
        load_model(load(f"predict.folder={segmenter}"), tmp_path)


@pytest.mark.usefixtures("record")
def test_a_version_is_taken_by_its_number_whatever_the_alias_says(tmp_path: Path, load: Load) -> None:
    register()
    register()
    assert load_model(load(), tmp_path).origin.version == 2
    assert load_model(load("predict.version=1"), tmp_path).origin.version == 1
    with pytest.raises(ModelNotRegisteredError, match="has no version 3; name another model or version"):
        load_model(load("predict.version=3"), tmp_path)
    assert Registry(MODEL).required(CHAMPION).number == 2
