from __future__ import annotations

import io
import itertools
from collections.abc import Callable

from rich.console import Console

from nephrite.evaluation.markdown import report_markdown, summary_lines, summary_table
from nephrite.evaluation.summary import trial_json
from nephrite.evaluation.trial import Trial

MakeTrial = Callable[..., Trial]


def test_the_verdict_comes_first_and_pictures_are_linked(make_trial: MakeTrial) -> None:
    text = report_markdown(trial_json(make_trial()), {"Forest": "forest.png", "Scores": "figures/scores.png"})
    assert text.startswith("# Synthetic data helps\n\nSynthetic data helps: real+synthetic+geometric minus")
    assert text.index("Verdict: **helps**") < text.index("![Forest](forest.png)") < text.index("## Differences")
    assert "![Scores](figures/scores.png)" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(make_trial: MakeTrial) -> None:
    lines = report_markdown(trial_json(make_trial()), {}).splitlines()
    for before, line in itertools.pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert line.count("|") == before.count("|")


def test_each_comparison_shows_interval_sample_and_null(make_trial: MakeTrial) -> None:
    trial = trial_json(make_trial())
    row = trial["comparisons"][0]
    numbers = f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] | {row['p_holm']:.3f}"
    expected = f"| light | real | real+geometric | 10 | 3 | {numbers} | up to {row['null']['largest']:.3f} | hurts |"
    assert expected in report_markdown(trial, {})


def test_the_capstone_score_stands_beside_predicting_nothing(make_trial: MakeTrial) -> None:
    text = report_markdown(trial_json(make_trial()), {})
    assert "| segmenter | training set | capstone IoU in % | predicting nothing |" in text
    assert "| light | real | 80.00 | 60.00 | 0.800 | not defined |" in text


def test_one_cell_says_so_and_shows_how_to_get_more(make_trial: MakeTrial) -> None:
    text = report_markdown(trial_json(make_trial(cells=1)), {})
    assert text.startswith("# Not enough runs")
    assert "patients only, since there is one cell" in text
    assert "| not known |" in text
    assert "trial:\n  cells: [0, 1, 2]" in text


def test_one_patient_has_no_interval(make_trial: MakeTrial) -> None:
    assert "no interval" in report_markdown(trial_json(make_trial(patients=1)), {})


def test_the_table_fits_a_terminal_and_shows_every_interval(make_trial: MakeTrial) -> None:
    trial, screen = trial_json(make_trial(cells=1)), io.StringIO()
    Console(file=screen, width=80).print(summary_table(trial))
    for row in trial["comparisons"]:
        assert f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] not enough runs" in screen.getvalue()
    assert "real+synthetic+geometric" in screen.getvalue()


def test_the_lines_below_the_table_are_verdict_best_run_and_notes(make_trial: MakeTrial) -> None:
    trial = trial_json(make_trial(cells=1))
    lines = summary_lines(trial)
    assert lines[0] == trial["headline"]
    assert lines[1].startswith("Best run by validation: real+synthetic+geometric/")
    assert lines[2:] == trial["notes"]
