from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.forecast import Proposal, propose
from nephrite.pilots import Pilot, Source
from nephrite.verdict.power import Spread
from tests.conftest import CAPSTONE, SMALL

SOURCE = Source(CAPSTONE, (*SMALL, "trial.segmenters=[light]", "trial.label_fractions=[0.05]"))
SPLITS = {f"t{number}": "train" for number in range(400)} | {f"c{number}": "test" for number in range(100)}
SPREAD = Spread(0.02, 0.05, 0.14)
SHORT = Pilot(("train_segmenter.epochs=3",), "a", 6, 0.60, 60.0, 100.0, SPREAD, Spread(0.03, 0.06, 0.14))
LONG = Pilot(("train_segmenter.epochs=6",), "b", 6, 0.61, 240.0, 100.0, SPREAD, Spread(0.03, 0.06, 0.14))


def proposal(*pilots: Pilot, minutes: float = 10.0, processes: int = 2) -> Proposal:
    return propose(SOURCE, pilots, SPLITS, minutes=minutes, processes=processes)


def test_as_many_cells_fit_as_the_minutes_and_the_processes_allow() -> None:
    found = proposal(SHORT, LONG).forecasts
    assert [forecast.cells for forecast in found] == [16, 4]  # (600 - 100) x 2 / 60, and / 240
    assert proposal(SHORT, processes=1).forecasts[0].cells == 8
    assert proposal(SHORT, minutes=1000).forecasts[0].cells == 64


def test_more_cells_see_less_and_the_likely_effect_is_smaller_than_the_worst() -> None:
    short, long = proposal(SHORT, LONG).forecasts
    assert short.effect is not None
    assert short.likely is not None
    assert long.effect is not None
    assert short.likely < short.effect < long.effect


def test_the_minutes_to_see_a_gain_follow_from_cells_and_time() -> None:
    [found] = proposal(SHORT).forecasts
    assert found.minutes is not None
    cells = (60 * found.minutes - 100) * 2 / 60
    assert cells == pytest.approx(round(cells))
    [there] = proposal(SHORT, minutes=found.minutes + 0.01).forecasts
    [before] = proposal(SHORT, minutes=found.minutes - 0.1).forecasts
    assert there.likely is not None
    assert before.likely is not None
    assert there.likely < 0.03 <= before.likely
    hopeless = replace(SHORT, estimated=Spread(0.5, 0.05, 0.14))
    assert proposal(hopeless).forecasts[0].minutes is None
    assert "more than 64 cells" in "\n".join(proposal(hopeless).lines())


def test_what_sees_most_is_proposed_with_its_settings() -> None:
    found = proposal(LONG, SHORT)
    assert found.best is not None
    assert found.best.pilot == SHORT
    lines = found.lines()
    assert lines[-2:] == [
        "  --set 'train_segmenter.epochs=3'",
        "  --set 'trial.cells=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]'",
    ]
    assert any(line.startswith("train_segmenter.epochs=3  0.600") for line in lines)


def test_a_choice_whose_reference_is_not_trained_is_not_proposed() -> None:
    found = proposal(replace(SHORT, reference=0.55), LONG)
    assert found.best is not None
    assert found.best.pilot == LONG


def test_nothing_is_proposed_where_no_verdict_fits() -> None:
    found = proposal(LONG, minutes=5.0)
    assert found.best is None
    assert found.lines()[-1] == "Proposed: none, since no choice fits 3 cells into 5 minutes."


def test_cells_that_share_patients_see_less() -> None:
    half = Source(CAPSTONE, (*SOURCE.overrides, "trial.label_fractions=[0.5]"))
    shared = propose(half, [SHORT], SPLITS, minutes=10.0, processes=2).forecasts[0]
    assert shared.effect is not None
    assert 1.5 * (proposal(SHORT).forecasts[0].effect or 0) < shared.effect


def test_a_headline_elsewhere_counts_the_patients_there(tmp_path: Path) -> None:
    elsewhere = Source(CAPSTONE, (*SOURCE.overrides, "trial.where=external", f"acquire.external.path={tmp_path}"))
    splits = SPLITS | {f"e{number}": "external" for number in range(9)}
    few = propose(elsewhere, [SHORT], splits, minutes=10.0, processes=2).forecasts[0]
    assert few.effect is not None
    assert (proposal(SHORT).forecasts[0].effect or 0) < few.effect
