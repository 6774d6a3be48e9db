"""A program in an image of its own, which is handed folders, finds what it finds where it is started by the stages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError, ProgramError
from nephrite.files import read_json
from nephrite.preflight import preflight
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.own_image import answered, backend_apart
from nephrite.stages.evaluate import evaluate
from nephrite.stages.order_fit import order_fit
from nephrite.stages.order_predict import order_predict
from nephrite.stages.train_segmenter import train_segmenter
from tests.toy_program import IMAGE, in_its_image, toy_trial

Load = Callable[..., Config]


@pytest.fixture
def settings(load: Load, tmp_path: Path) -> Callable[..., Config]:
    """Settings of a trial with the toy program, of this machine (None) or of an image."""
    return partial(toy_trial, load, tmp_path)


def test_both_ways_give_one_model_and_one_score(settings: Callable[..., Config], pairs: Path, tmp_path: Path) -> None:
    silent, here, there = SilentRun(), settings(None), settings(IMAGE)
    trained = train_segmenter(here, silent, pairs=pairs, segmenter=tmp_path / "here")
    scored = evaluate(here, silent, pairs=pairs, segmenter=tmp_path / "here", scores=tmp_path / "here.json")
    # the same by orders
    order_fit(there, silent, pairs=pairs, order=tmp_path / "order")
    done = in_its_image(tmp_path / "order", tmp_path / "done", tmp_path)
    apart = tmp_path / "apart"
    told = train_segmenter(there, silent, pairs=pairs, segmenter=apart, done=done)
    order_predict(there, silent, pairs=pairs, segmenter=apart, order=tmp_path / "asked")
    found = in_its_image(tmp_path / "asked", tmp_path / "found", tmp_path)
    told |= evaluate(there, silent, pairs=pairs, segmenter=apart, scores=tmp_path / "there.json", done=found)
    for name in ("validation_score", "best_step", "kidney_and_tumor_dice"):
        assert told[name] == (trained | scored)[name], name
    models = [read_json(tmp_path / name / "model" / "model.json") for name in ("here", "apart")]
    assert models[0]["seen"] == models[1]["seen"]  # dataset.json of each folder
    assert load_segmenter(apart).card.seconds <= 60


def spoil(done: Path, what: str) -> None:
    if what == "no model":
        shutil.rmtree(done / "model")
    elif what == "other seed":
        record = read_json(done / "model" / "model.json")
        (done / "model" / "model.json").write_text(json.dumps({**record, "seed": 1}))
    elif what == "two models":
        (done / "seed_first" / "weights").write_text("1")
    elif what == "no time":
        (done / "seconds").unlink()
    else:
        next((done / "found").glob("*.nii.gz")).unlink()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no model", r"model folder of 'fit', model\.json: is missing"),
        ("other seed", "says 1 for the seed"),
        ("two models", r"setting 'seeded': gave two models for one seed, after 6 steps: weights differs"),
        ("no time", r"what an image of its own made, seconds: is no number of seconds"),
        ("no label map", r"prediction b\d\.nii\.gz: was not written"),
    ],
)
def test_what_an_image_made_is_believed_as_little_as_what_was_made_here(
    settings: Callable[..., Config], pairs: Path, tmp_path: Path, what: str, told: str
) -> None:
    config = settings(IMAGE)
    order_fit(config, SilentRun(), pairs=pairs, order=tmp_path / "order")
    done = in_its_image(tmp_path / "order", tmp_path / "done", tmp_path)
    spoil(done, what)
    with pytest.raises(ProgramError, match=told):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter", done=done)
    assert not (tmp_path / "segmenter").exists()


def test_without_what_was_made_there_nothing_runs_here(
    settings: Callable[..., Config], pairs: Path, tmp_path: Path
) -> None:
    config, finding = settings(IMAGE), "lies in an image of its own, .*, which a cluster's pipeline alone starts"
    with pytest.raises(ConfigError, match=finding):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    with pytest.raises(ConfigError, match=rf"train_segmenter\.segmenters\.mine: command .*{finding}"):
        preflight(config, here=True)
    preflight(config)  # of a cluster's pipeline
    order_fit(config, SilentRun(), pairs=pairs, order=tmp_path / "order")
    done = in_its_image(tmp_path / "order", tmp_path / "done", tmp_path)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter", done=done)
    with pytest.raises(ConfigError, match=finding):
        evaluate(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter", scores=tmp_path / "scores.json")


def test_orders_are_for_images_of_their_own_alone(
    settings: Callable[..., Config], load: Load, pairs: Path, tmp_path: Path
) -> None:
    for config in (settings(None), load("arm=real/light/1.0/0")):
        with pytest.raises(ConfigError, match=r"has no 'own_image', so nobody else needs to be asked for arm real"):
            backend_apart(config)
        with pytest.raises(ConfigError, match="has no 'own_image'"):
            order_fit(config, SilentRun(), pairs=pairs, order=tmp_path / "order")
        with pytest.raises(ConfigError, match="has no 'own_image'"):
            train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter", done=tmp_path)
    assert not (tmp_path / "order").exists()
    config = settings(None)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    with pytest.raises(ConfigError, match="has no 'own_image'"):
        answered(config, load_segmenter(tmp_path / "segmenter"), tmp_path)
