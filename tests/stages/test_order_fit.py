from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.recording import SilentRun
from nephrite.stages.order_fit import order_fit
from tests.toy_program import IMAGE, toy_trial

Load = Callable[..., Config]


def test_no_scan_that_is_judged_is_in_the_order_of_a_training(load: Load, pairs: Path, tmp_path: Path) -> None:
    told = order_fit(toy_trial(load, tmp_path, IMAGE), SilentRun(), pairs=pairs, order=tmp_path / "order")
    given = {path.relative_to(tmp_path / "order") for path in (tmp_path / "order").rglob("*.nii.gz")}
    cases = {f"{folder}/{sub}" for folder in ("train", "validation") for sub in ("imagesTr", "labelsTr")}
    assert {str(path.parent) for path in given} == {*cases, "scans/imagesTs"}
    known = {path.name.partition("_")[0].partition(".")[0] for path in given}
    assert known == {"a1", "a2", "a3", "b1", "b2"}
    assert told == {"training_patients": 3}


def test_what_an_arm_must_not_be_given_is_refused_before_anything_is_written(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    config = toy_trial(load, tmp_path, IMAGE)
    with pytest.raises(ConfigError, match="takes no synthetic slices"):
        order_fit(config, SilentRun(), pairs=pairs, order=tmp_path / "order", synthetic=pairs)
    assert not (tmp_path / "order").exists()
