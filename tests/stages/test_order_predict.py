from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.recording import SilentRun
from nephrite.stages.order_fit import order_fit
from nephrite.stages.order_predict import order_predict
from nephrite.stages.train_segmenter import train_segmenter
from tests.toy_program import IMAGE, in_its_image, toy_trial

Load = Callable[..., Config]


def test_the_program_is_given_judged_scans_and_no_label(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, silent, segmenter = toy_trial(load, tmp_path, IMAGE), SilentRun(), tmp_path / "segmenter"
    order_fit(config, silent, pairs=pairs, order=tmp_path / "order")
    done = in_its_image(tmp_path / "order", tmp_path / "done", tmp_path)
    train_segmenter(config, silent, pairs=pairs, segmenter=segmenter, done=done)
    assert order_predict(config, silent, pairs=pairs, segmenter=segmenter, order=tmp_path / "asked") == {"scans": 2}
    given = {str(path.relative_to(tmp_path / "asked")) for path in (tmp_path / "asked").rglob("*.nii.gz")}
    assert given == {f"scans/imagesTs/{patient}_0000.nii.gz" for patient in ("c1", "c2")}
    # those of validation, where a recipe is chosen
    choosing = toy_trial(load, tmp_path, IMAGE, "trial.judged_on=validation")
    order_predict(choosing, silent, pairs=pairs, segmenter=segmenter, order=tmp_path / "asked")
    assert {path.name for path in (tmp_path / "asked").rglob("*.nii.gz")} == {"b1_0000.nii.gz", "b2_0000.nii.gz"}
    # and of no other arm
    other = toy_trial(load, tmp_path, IMAGE, "arm=real+synthetic/mine/1.0/0")
    with pytest.raises(StoreError, match=r"has arm real/mine/1\.0/0, but real\+synthetic/mine/1\.0/0 is to be scored"):
        order_predict(other, silent, pairs=pairs, segmenter=segmenter, order=tmp_path / "more")
    assert not (tmp_path / "more").exists()
