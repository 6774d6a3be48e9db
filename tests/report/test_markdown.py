from __future__ import annotations

import itertools
from collections.abc import Callable

from nephrite.report.markdown import report_markdown
from nephrite.report.summary import summarize
from nephrite.report.web.alternatives import CURVE, FOREST
from nephrite.verdict.trial import Trial

MakeTrial = Callable[..., Trial]


def test_the_verdict_comes_first_and_pictures_are_linked(make_trial: MakeTrial) -> None:
    pictures = {"Scores": "figures/scores.png", FOREST: "forest.png"}
    text = report_markdown(summarize(make_trial()), pictures, ["## Above"], ["Below."])
    assert text.startswith("# Synthetic data helps\n\nreal+synthetic+geometric minus real+geometric is +0.0")
    order = ["Verdict: **helps**", f'(forest.png "{FOREST}")', "## Above", "## The question", "## Scores of the arms"]
    order += ["(figures/scores.png", "Below."]
    assert sorted(order, key=text.index) == order


def test_what_the_headline_says_stands_there_once(make_trial: MakeTrial) -> None:
    trial = summarize(make_trial())
    assert report_markdown(trial, {}).count(trial.headline.partition(": ")[2]) == 1


def test_the_best_synthetic_set_stands_in_a_table_with_the_same_numbers(wide_trial: Trial) -> None:
    trial = summarize(wide_trial)
    section = _section(report_markdown(trial, {}), "Best synthetic set by validation")
    best = trial.best_synthetic[0]
    row = best.comparisons[0]
    assert f"| 10% | {best.training_set} | {row.against} | {row.mean:+.3f} [{row.judged.low:+.3f}" in section
    assert section.count("\n| 25% | ") == len(trial.best_synthetic[1].comparisons)


def test_every_row_of_a_table_has_as_many_cells_as_its_head(make_trial: MakeTrial) -> None:
    lines = report_markdown(summarize(make_trial()), {}).splitlines()
    for before, line in itertools.pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert line.count("|") == before.count("|")


def test_each_comparison_shows_interval_verdict_null_and_sample(make_trial: MakeTrial) -> None:
    trial = summarize(make_trial())
    row, null = trial.comparisons[0], trial.comparisons[0].null
    assert null is not None
    interval = f"{row.mean:+.3f} [{row.adjusted_low:+.3f}, {row.adjusted_high:+.3f}]"
    beside = f"{null.mean:+.3f} [{null.low:+.3f}, {null.high:+.3f}]"
    expected = f"| real | real+geometric | {interval} | hurts | {beside} | {row.p_adjusted:.3f} | 10 | 3 |"
    assert expected in report_markdown(trial, {})


def test_a_null_arm_is_explained_and_other_cells_are_not(null_trial: Trial) -> None:
    text = report_markdown(summarize(null_trial), {})
    assert "Null of an arm (real+geometric+null)" in text
    assert "cell 0 minus cell 1" not in text


def test_the_capstone_score_stands_beside_predicting_nothing(make_trial: MakeTrial) -> None:
    text = report_markdown(summarize(make_trial()), {})
    assert "| segmenter | training set | capstone IoU in % | predicting nothing |" in text
    assert "| light | real | 80.00 | 60.00 | 0.800 | not defined |" in text


def test_one_cell_says_so_and_shows_how_to_get_more(make_trial: MakeTrial) -> None:
    text = report_markdown(summarize(make_trial(cells=1)), {})
    assert text.startswith("# Not enough runs")
    assert "patients are the sample, since there is one cell" in text
    assert "| not known |" in text
    assert "trial:\n  cells: [0, 1, 2]" in text


def test_one_patient_has_no_interval(make_trial: MakeTrial) -> None:
    assert "no interval" in report_markdown(summarize(make_trial(patients=1)), {})


def test_each_segmenter_and_fraction_has_a_table_of_its_own(wide_trial: Trial) -> None:
    text = report_markdown(summarize(wide_trial), {})
    reference, rivals = (_section(text, name) for name in ("Differences to the reference", "Against the rivals"))
    names = [f"### {segmenter}, {share}" for share in ("10%", "25%", "100%") for segmenter in ("light", "fpn")]
    for section, rows in ((reference, 3), (rivals, 2)):
        assert [line for line in section.splitlines() if line.startswith("###")] == names
        assert section.count("| real+") == 2 * rows * len(names)
    assert "| real+geometric+copy_paste | +0.0" in rivals


def test_the_question_is_shown_for_every_fraction_and_segmenter(wide_trial: Trial) -> None:
    section = _section(report_markdown(summarize(wide_trial), {}), "The question")
    names = [line.split(" | ")[0].strip("| ") for line in section.splitlines()[2:]]
    shares = ["all segmenters, 10%", "all segmenters, 25%", "all segmenters, 100%"]
    assert names == [*shares, "light, 10%", "fpn, 10%"]


def test_the_curve_stands_with_its_numbers(wide_trial: Trial) -> None:
    text = report_markdown(summarize(wide_trial), {CURVE: "figures/equivalence.png"})
    section = _section(text, "Worth in real patients")
    assert f'(figures/equivalence.png "{CURVE}")' in section
    assert "| light | real+synthetic+geometric | 4 | 0." in section
    assert text.count("equivalence.png") == 1


def test_without_rivals_and_curve_there_are_no_such_sections(make_trial: MakeTrial) -> None:
    text = report_markdown(summarize(make_trial()), {})
    assert "## Against the rivals" not in text
    assert "## Worth in real patients" not in text


def _section(text: str, name: str) -> str:
    return text.partition(f"## {name}\n\n")[2].partition("\n## ")[0].strip()
