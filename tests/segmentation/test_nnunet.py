"""Settings and refusals; with nnU-Net itself (`make test-nnunet`) a training, its predictions and its seed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.backend import SliceShape, StoredScan, backend_of
from nephrite.segmentation.demands import check_trial
from nephrite.segmentation.nnunet import ENVIRONMENT, NnunetBackend, NnunetSettings
from nephrite.segmentation.programs.nnunet.told import SETTINGS, WEIGHTS
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore
from tests.conftest import ROOT, SIZE

Load = Callable[..., Config]
PYTHON = ROOT / ENVIRONMENT
TINY = f"kind: nnunet, python: {PYTHON}, patch: 32, widths: [4, 8, 8], batch: 2, mirroring: false"
ARMS = (
    "trial.training_sets={real: [real+standard], synthetic: [{name: real+synthetic+standard, synthesizer: pix2pix, "
    "way: mix, share: 0.25}]}",
    *("trial.reference=real+standard", "trial.segmenters=[theirs]", "trial.cells=[0]", "trial.question=null"),
)


def settings(load: Load, more: str = "", *overrides: str) -> Config:
    return load(*ARMS, f"train_segmenter.segmenters.theirs={{{TINY}{more}}}", "screen.filter=all", *overrides)


def test_it_is_a_program_that_is_told_its_size(load: Load) -> None:
    own = settings(load).train_segmenter.segmenters["theirs"]
    assert isinstance(own, NnunetSettings)
    command = own.as_command()
    assert command.command == (str(PYTHON), "-m", "nnunet")
    told = json.loads(command.environment[SETTINGS])
    assert told == {
        "configuration": "2d",
        "patch": 32,
        "widths": [4, 8, 8],
        "batch": 2,
        "mirroring": False,
        "device": "cpu",
    }
    assert command.plans
    assert command.intake == own.intake
    assert isinstance(backend_of(own), NnunetBackend)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", configuration: 3d_fullres", "set 'patch' to null"),
        (", patch: 33", "'patch' is 33, which cannot be halved 2 times"),
    ],
)
def test_a_patch_that_no_network_can_have_is_refused(load: Load, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(
            f"train_segmenter.segmenters.theirs={{kind: nnunet, widths: [4, 8, 8], patch: 32{more}}}".replace(
                "patch: 32, patch", "patch"
            )
        )


def test_without_nnunet_the_remedy_is_named(load: Load) -> None:
    config = load(
        *ARMS, "train_segmenter.segmenters.theirs={kind: nnunet, python: /nowhere/python}", "screen.filter=all"
    )
    with pytest.raises(ConfigError, match=r"/nowhere/python is not there; make env-nnunet"):
        check_trial(config)


def test_an_augmentation_that_is_not_its_own_is_refused(load: Load, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    named = f"train_segmenter.segmenters.theirs={{kind: nnunet, python: {python}}}"
    sets = ("trial.training_sets={real: [real+geometric], synthetic: []}", "trial.reference=real+geometric")
    config = load(*ARMS, *sets, "trial.synthesizers=[]", named, "screen.filter=all")
    with pytest.raises(ConfigError, match="'real\\+geometric' asks for 'geometric'; name the set with 'standard'"):
        backend_of(config.train_segmenter.segmenters["theirs"]).check(config, SliceShape(SIZE, 2))


def test_on_a_gpu_chance_has_to_be_shown(load: Load) -> None:
    with pytest.raises(ConfigError, match="has no A/A arm, and segmenter 'theirs' is not seeded"):
        check_trial(settings(load, ", device: cuda"))


@pytest.mark.nnunet
def test_the_real_nnunet_learns_and_is_asked_through_its_folder(load: Load, pairs: Path, tmp_path: Path) -> None:
    more = ("train_segmenter.epochs=2", "train_segmenter.steps_per_epoch=6", "arm=real+standard/theirs/1.0/0")
    config, folders = settings(load, "", *more), [tmp_path / name for name in ("one", "again")]
    for folder in folders:
        metrics = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
        assert 0 <= metrics["validation_score"] <= 1
    # the same seed gives the same weights
    weights = [(folder / "model" / WEIGHTS).read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    record = json.loads((folders[0] / "model" / "model.json").read_text(encoding="utf-8"))
    assert (record["steps"], record["cases"]) == (12, 3)
    assert record["version"].startswith("nnunetv2 2.")
    # no pickle is left
    names = {path.name for path in (folders[0] / "model").iterdir()}
    assert names == {"model.json", "progress.jsonl", "plans.json", "dataset.json", "arm.json", "weights.safetensors"}
    # predictions lie on the store's grid
    trained, store = load_segmenter(folders[0]).trained, PairStore(pairs)
    found = trained.backend.predict(trained, StoredScan(store, "c1"))
    assert found.labels.shape == store.label("c1").shape
    assert found.probabilities is not None
    assert found.probabilities.shape == (len(found.labels), 2, SIZE, SIZE)
    assert np.isfinite(found.probabilities).all()
