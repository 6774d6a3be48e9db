from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nephrite.metrics.scores import RegionScore
from nephrite.report.arms import arm_record
from nephrite.verdict.trial import Trial
from tests.verdict.test_elsewhere import with_external

MakeTrial = Callable[..., Trial]


def test_an_arm_has_its_means_at_home_and_elsewhere(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    runs = [*trial.runs("real+geometric", "light", 1.0).values()]
    found = arm_record(runs, trial)
    assert found.external is not None
    home = np.mean([score.regions["tumor"].dice for run in runs for score in run.patients])
    there = np.mean([score.regions["tumor"].dice for run in runs for score in run.external])
    assert found.regions["tumor"].dice == pytest.approx(home)
    assert found.external.regions["tumor"].dice == pytest.approx(there)
    assert (found.regions["tumor"].scored, found.external.regions["tumor"].scored) == (30, 36)
    assert [len(row) for row in found.external.dice_by_cell["tumor"]] == [12, 12, 12]


def test_patients_stand_in_the_order_of_their_ids(make_trial: MakeTrial) -> None:
    trial = with_external(make_trial())
    runs = [*trial.runs("real+geometric", "light", 1.0).values()]
    turned = [replace(run, external=run.external[::-1]) for run in runs]
    assert arm_record(turned, trial) == arm_record(runs, trial)


def test_without_another_hospital_there_is_nothing_of_it(make_trial: MakeTrial) -> None:
    trial = make_trial()
    assert arm_record([*trial.runs("real+geometric", "light", 1.0).values()], trial).external is None


def test_scores_on_own_voxels_are_told_where_all_runs_have_them(make_trial: MakeTrial) -> None:
    trial = make_trial()
    runs = [*trial.runs("real+geometric", "light", 1.0).values()]
    own = {"tumor": RegionScore(0.25, 0.5, 3.0, 1.0, 1.0)}
    scored = [replace(run, patients=tuple(replace(score, native=own) for score in run.patients)) for run in runs]
    native = arm_record(scored, trial).native
    assert native
    assert (native["tumor"].dice, native["tumor"].surface_dice, native["tumor"].hd95) == (0.25, 0.5, 3.0)
    assert native["tumor"].scored == 30
    assert arm_record([*scored[:-1], runs[-1]], trial).native is None
