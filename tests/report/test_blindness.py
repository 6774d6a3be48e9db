from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import numpy as np
import pytest

from nephrite.report.summary import summarize
from nephrite.report.trial_file import trial_schema
from nephrite.verdict.blind import BlindBaseline
from nephrite.verdict.measures import Measure
from nephrite.verdict.trial import Trial

MakeTrial = Callable[..., Trial]
DICE = Measure("dice", "tumor")


def test_a_reference_that_is_level_with_a_blind_mask_is_told_in_the_headline(make_trial: MakeTrial) -> None:
    trial = make_trial()
    reference = np.mean([trial.table("real+geometric", name, 1.0, (0, 1, 2)) for name in trial.segmenters], axis=(0, 1))
    level = BlindBaseline("mean training mask", tuple(np.clip(reference + 0.01, 0, 1)), DICE, 0.4)
    below = BlindBaseline("predict nothing", (0.0,) * len(reference), DICE)
    told = summarize(trial, blind=[below, level])
    content = json.loads(told.model_dump_json())
    jsonschema.Draft202012Validator(trial_schema()).validate(content)
    assert "But real+geometric (Dice of tumor 0." in told.headline
    assert f"('mean training mask', {level_dice(level):.3f}; difference -0.0" in told.headline
    (nothing, mask) = told.blind or ()
    assert nothing.low is not None
    assert nothing.low > 0
    assert mask.mean == pytest.approx(-0.01, abs=1e-6)
    clear = summarize(trial, blind=[below])
    assert "But" not in clear.headline


def level_dice(baseline: BlindBaseline) -> float:
    return float(np.mean(baseline.scores))
