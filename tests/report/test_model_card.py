from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nephrite.report.model_card import FEWEST, Made, mean_interval, model_card
from nephrite.report.summary import summarize
from nephrite.report.trial_record import BestRunRecord, TrialRecord
from nephrite.verdict.trial import Trial

MADE = Made(
    name="kidneys",
    arm="real/light/1.0/0",
    classes={1: "kidney", 2: "tumor"},
    channels={"kidney": (1, 2), "tumor": (2,)},
    labels=12,
    masked=0,
    synthesizer=None,
    window={"kind": "window", "center": 0},
    grid={"kind": "resize", "size": 32},
    intended_use="",
    data="",
)


@pytest.fixture
def trial(make_trial: Callable[..., Trial]) -> TrialRecord:
    return summarize(make_trial())


def of(trial: TrialRecord, dice: list[float], volumes: list[float]) -> TrialRecord:
    """The trial with these scores of its best run."""
    assert trial.best_run
    names = [f"p{place}" for place in range(len(dice))]
    scores = dict(zip(names, dice, strict=True)), dict(zip(names, volumes, strict=True))
    best = BestRunRecord(
        **trial.best_run.model_dump(exclude={"dice_by_patient", "truth_volume_by_patient"}),
        dice_by_patient=scores[0],
        truth_volume_by_patient=scores[1],
    )
    return trial.model_copy(update={"best_run": best})


def test_it_says_what_nobody_told(trial: TrialRecord) -> None:
    card = model_card(trial, MADE)
    assert card.count("Nobody told") == 2
    assert "no medical device" in card
    told = model_card(trial, MADE._replace(intended_use="Research on CT.", data="KiTS19, CC BY-NC-SA 4.0."))
    assert "Nobody told" not in told
    assert "Research on CT." in told
    assert "KiTS19, CC BY-NC-SA 4.0." in told


def test_scores_stand_by_size_of_the_region(trial: TrialRecord) -> None:
    count = 3 * FEWEST
    dice = [place / 20 for place in range(count)]
    rows = model_card(of(trial, dice, [1.0 + value for value in dice]), MADE).splitlines()
    cells = {row.split("|")[1].strip(): row.split("|")[2:5] for row in rows if row.startswith("| ") and "third" in row}
    assert [int(row[0]) for row in cells.values()] == [FEWEST] * 3
    means = [float(cells[name][1]) for name in ("smallest third", "middle third", "largest third")]
    assert means == pytest.approx(np.mean(np.reshape(dice, (3, FEWEST)), axis=1), abs=5e-4)


def test_few_patients_have_a_mean_and_no_interval(trial: TrialRecord) -> None:
    card = model_card(of(trial, [0.5] * 4, [1.0] * 4), MADE)
    assert "| all | 4 | 0.500 | too few |" in card
    assert "third" not in card


def test_those_without_the_region_are_in_no_third(trial: TrialRecord) -> None:
    card = model_card(of(trial, [0.5] * 16, [0.0] * 2 + [1.0] * 14), MADE)
    assert "| all | 16 |" in card
    assert "third" not in card


def test_an_interval_of_a_mean_covers_it() -> None:
    mean, low, high = mean_interval([0.1, 0.5, 0.6, 0.7, 0.9, 0.4])
    assert low < mean < high
    assert mean_interval([0.5] * 6) == (0.5, 0.5, 0.5)


def test_what_mlflow_keeps_of_a_description_holds_the_card(trial: TrialRecord) -> None:
    card = model_card(trial, MADE._replace(intended_use="x" * 1000, data="y" * 1000))
    assert len(card) < 5000
    assert card.endswith("of `nephrite.registry`.")
