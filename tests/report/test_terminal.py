from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from nephrite.report.summary import summarize
from nephrite.report.terminal import summary_lines, summary_table
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import interval_text
from nephrite.verdict.trial import Trial
from tests.verdict.test_elsewhere import with_external

MakeTrial = Callable[..., Trial]


def _shown(trial: TrialRecord, width: int) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width).print(summary_table(trial))
    return screen.getvalue()


def _renamed(trial: TrialRecord, old: str, new: str) -> TrialRecord:
    """The trial with another name of a training set in its arms and comparisons."""

    def rows(found: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(row.model_copy(update={"training_set": row.training_set.replace(old, new)}) for row in found)

    return trial.model_copy(update={"arms": rows(trial.arms), "comparisons": rows(trial.comparisons)})


def test_the_table_fits_a_terminal_and_shows_every_interval(make_trial: MakeTrial) -> None:
    trial = summarize(make_trial(cells=1))
    shown = _shown(trial, 80)
    for row in trial.comparisons:
        assert f"{interval_text(row.judged)} not enough runs" in shown
    assert "real+synthetic+geometric" in shown


@pytest.mark.parametrize("name", ["real+geometric+copy_paste", "real+" + "x" * 60])
def test_the_widest_names_leave_room_for_the_verdict(wide_trial: Trial, name: str) -> None:
    trial = _renamed(summarize(wide_trial), "real+weak+geometric", name)
    shown = _shown(trial, 110)
    assert shown.count("no evidence") + shown.count("helps") + shown.count("hurts") == len(trial.comparisons)
    assert "…" not in shown


def test_each_group_says_its_patients_and_its_null(wide_trial: Trial) -> None:
    trial = summarize(wide_trial)
    lines = _shown(trial, 110).splitlines()
    start = lines.index(next(line for line in lines if line.startswith("fpn, 25%, 10 training patients")))
    null = next(row.null for row in trial.comparisons if (row.segmenters, row.fraction) == (("fpn",), 0.25))
    assert null is not None
    reference = next(line for line in lines[start:] if line.startswith(" real+geometric "))
    assert f"{interval_text(null)} reference, null" in reference


def test_a_null_arm_holds_the_null_in_a_row_of_its_own(null_trial: Trial) -> None:
    shown = _shown(summarize(null_trial), 110)
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith(" real+geometric ")] == ["reference"] * 2
    null = [line for line in shown.splitlines() if line.startswith(" real+geometric+null ")]
    assert [line.endswith("+0.010 [+0.010, +0.010] null") for line in map(str.rstrip, null)] == [True, True]


def test_the_null_of_another_set_is_not_that_of_the_reference(null_trial: Trial) -> None:
    trial = _renamed(summarize(null_trial), "real+geometric+null", "real+null")
    (line, _) = [line for line in _shown(trial, 110).splitlines() if line.startswith(" real+null ")]
    assert line.rstrip().endswith("null of another set")


def test_one_cell_knows_no_null(make_trial: MakeTrial) -> None:
    assert "not known" in _shown(summarize(make_trial(cells=1)), 80)


def test_the_lines_below_the_table_are_verdict_best_run_and_notes(make_trial: MakeTrial) -> None:
    trial = summarize(make_trial(cells=1))
    lines = summary_lines(trial)
    assert lines[0] == trial.headline
    assert lines[1].startswith("Best run by validation: real+synthetic+geometric/")
    assert lines[2:] == list(trial.notes)


def test_fractions_best_sets_and_worth_have_a_line_each(wide_trial: Trial) -> None:
    trial = summarize(wide_trial)
    lines = summary_lines(trial)
    assert [line.partition(":")[0] for line in lines[1:4]] == [f"The question at {s}" for s in ("10%", "25%", "100%")]
    rival = trial.best_synthetic[0].comparisons[1]
    assert lines[4].startswith("Best synthetic set by validation at 10%: real+synthetic+geometric: +0.0")
    assert f"{interval_text(rival.judged)} against real+geometric+copy_paste ({rival.verdict}, p " in lines[4]
    assert trial.equivalence is not None
    assert lines[7] == f"light: {trial.equivalence[0].sentence}"


def test_a_headline_about_another_hospital_shows_its_scores(make_trial: MakeTrial) -> None:
    made = with_external(make_trial())
    trial = summarize(Trial(replace(made.plan, synthetic=("real+synthetic+geometric",)), made.arms))
    shown = _shown(trial, 110)
    assert shown.startswith("3-D Dice on the external test set, 12 patients and 3 cells")
    arm = trial.arms[0]
    assert arm.external is not None
    assert f" {arm.external.regions['tumor'].dice:.3f} " in shown
    assert f" {arm.regions['tumor'].dice:.3f} " not in shown
    assert "Dice of tumor on the external test set [" in summary_lines(trial)[0]
    assert "over 12 external test patients, 3 cells" in summary_lines(trial)[0]
    (best,) = [line for line in summary_lines(trial) if line.startswith("Best synthetic set")]
    assert "real+synthetic+geometric on the external test set: " in best
