from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from nephrite.errors import TrialError
from nephrite.judging.given import Column, Score, gather
from tests.judging.conftest import MakeGiven, scores_of

FIRST = scores_of()[0]


def change(patient: str, arm: str, **changed: object) -> list[Score]:
    """Made-up scores with one line of the first replicate changed."""
    wanted = (patient, arm, "0")
    return [
        replace(score, **changed) if (score.patient, score.arm, score.replicate) == wanted else score  # type: ignore[arg-type] # by name
        for score in scores_of()
    ]


def test_scores_become_complete_tables_in_any_order() -> None:
    given = gather(scores_of(), "x")
    assert given.patients == tuple(f"p{number:02d}" for number in range(10))
    assert given.runs == {"real": ("0", "1", "2"), "fakes": ("0", "1", "2")}
    again = gather(sorted(scores_of(), key=lambda score: (score.patient, score.arm)), "y")
    assert again.digest == given.digest
    column = Column("fakes", "1", "tumor", "dice")
    assert np.array_equal(again.values[column], given.values[column])


def test_another_score_is_another_digest(make_given: MakeGiven) -> None:
    assert gather(change("p03", "real", value=0.5), "x").digest != make_given().digest


def test_replicates_stand_in_their_natural_order() -> None:
    found = [replace(score, replicate=f"seed{8 + int(score.replicate)}") for score in scores_of()]
    assert gather(found, "x").replicates == ("seed8", "seed9", "seed10")


def test_a_patient_whom_one_run_lacks_is_counted_and_named() -> None:
    without = [s for s in scores_of() if not (s.arm == "fakes" and s.replicate == "2" and s.patient in ("p04", "p07"))]
    with pytest.raises(
        TrialError, match=r"lacks 2 of 10 patients, the first 'p04': dice of tumor in arm 'fakes', repl"
    ):
        gather(without, "x")


def test_a_score_that_is_given_twice_is_named() -> None:
    with pytest.raises(TrialError, match="gives 'p00' twice: dice of tumor in arm 'real', replicate '0'"):
        gather([*scores_of(), FIRST], "x")


@pytest.mark.parametrize(
    ("metric", "value", "told"),
    [
        ("dice", 1.01, "gives 'p03' 1.01, and dice is from 0 to 1.*divide by 100"),
        ("dice", -0.1, "gives 'p03' -0.1, and dice is from 0 to 1"),
        ("dice", None, "has no value of 'p03'.*write 1 where reference and prediction are both empty"),
        ("hd95", -1.0, "gives 'p03' -1, and hd95 is 0 or more, in mm"),
    ],
)
def test_values_out_of_range_are_refused(metric: str, value: float | None, told: str) -> None:
    with pytest.raises(TrialError, match=told):
        gather(change("p03", "fakes", metric=metric, value=value), "x")


def test_one_arm_and_one_patient_are_refused() -> None:
    with pytest.raises(TrialError, match="holds one arm, 'real'"):
        gather([score for score in scores_of() if score.arm == "real"], "x")
    with pytest.raises(TrialError, match="holds 1 patient; give 2 or more"):
        gather(scores_of(patients=1), "x")
    with pytest.raises(TrialError, match="no score of a known metric"):
        gather([replace(FIRST, metric="beauty")], "x")


def test_unknown_metrics_are_left_aside_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        given = gather([*scores_of(), replace(FIRST, metric="beauty")], "x")
    assert "left aside 1 score of 'beauty'" in caplog.text
    assert given.digest == gather(scores_of(), "x").digest


def test_a_measure_that_one_run_lacks_is_named() -> None:
    more = [replace(score, metric="surface_dice") for score in scores_of() if score.arm == "real"]
    with pytest.raises(TrialError, match="lacks surface_dice of tumor in arm 'fakes', replicate '0'"):
        gather([*scores_of(), *more], "x")


def test_recall_is_open_for_the_same_patients_in_every_run() -> None:
    def recalls(open_in: tuple[str, ...]) -> list[Score]:
        return [
            replace(s, metric="recall", value=None if s.patient == "p01" and s.arm in open_in else 0.5)
            for s in scores_of()
        ]

    given = gather([*scores_of(), *recalls(("real", "fakes"))], "x")
    assert given.absent("tumor") == 1
    assert gather(scores_of(), "x").absent("tumor") is None
    with pytest.raises(TrialError, match="leaves 'p01' undefined in one of two runs"):
        gather(recalls(("real",)), "x")


def test_folds_are_counted_in_one_replicate() -> None:
    assert gather([replace(s, fold=f"f{s.patient[-1]}") for s in scores_of()], "x").folds == 10
    assert gather(scores_of(), "x").folds == 0
