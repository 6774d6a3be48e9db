from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError, LeakageError, StoreError
from nephrite.recording import SilentRun
from nephrite.segmentation import judged
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.judged import open_judged
from nephrite.stages.train_segmenter import train_segmenter
from tests.toy_program import toy_trial

Load = Callable[..., Config]


def test_a_segmenter_and_its_store_belong_together(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, segmenter = toy_trial(load, tmp_path, None), tmp_path / "segmenter"
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=segmenter)
    store, trained = open_judged(config, pairs, segmenter)
    assert (store.root, trained.card.arm) == (pairs, "real/mine/1.0/0")
    with pytest.raises(StoreError, match="has arm real/mine"):
        open_judged(toy_trial(load, tmp_path, None, "arm=real+synthetic/mine/1.0/0"), pairs, segmenter)
    asked = ("trial.where=external", f"acquire.external.path={tmp_path}")
    with pytest.raises(ConfigError, match=r"trial\.where: is 'external', and .* has no patients of another hospital"):
        open_judged(toy_trial(load, tmp_path, None, *asked), pairs, segmenter)


def test_a_segmenter_that_knows_a_judged_patient_is_refused(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, segmenter = toy_trial(load, tmp_path, None), tmp_path / "segmenter"
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=segmenter)
    known = load_segmenter(segmenter)
    told = replace(known, card=replace(known.card, training_patients=("a1", "c1")))  # as if it had been split anew
    monkeypatch.setattr(judged, "load_segmenter", lambda _: told)
    with pytest.raises(LeakageError, match="c1"):
        open_judged(config, pairs, segmenter)
