from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.reader_study.answers import Answer, AnswerBook, Answers
from nephrite.reader_study.drawing import Shown
from nephrite.reader_study.result import StudyResult, score_study
from nephrite.reader_study.scoring import exact_share
from nephrite.reader_study.study import Asked, Study, read_study
from tests.reader_study.conftest import answer_all


def larger(study: Study, count: int = 20) -> Study:
    """A study of more slices, without pictures: synthetic ones first."""
    kinds = [Shown("synthetic", "s", n) for n in range(count)] + [Shown("real", "r", n) for n in range(count)]
    return replace(
        study,
        slices=tuple(kinds),
        asked=Asked(count=count),
        real_patients=count,
        synthetic_patients=count,
        derived=0,
        unmatched=0,
    )


def said(study: Study, reader: str, *, fakes_right: int, reals_right: int) -> Answers:
    """A reader who calls so many of each kind what they are, the first ones."""
    half = len(study.slices) // 2
    called = [4 if n < fakes_right else 2 for n in range(half)] + [1 if n < reals_right else 3 for n in range(half)]
    return Answers(study.digest, reader, tuple(Answer(n, rating, 2.0) for n, rating in enumerate(called)))


@pytest.fixture
def study(out: Path) -> Study:
    return larger(read_study(out))


def score(study: Study, *rights: tuple[int, int]) -> StudyResult:
    return score_study(study, [said(study, f"r{n}", fakes_right=f, reals_right=r) for n, (f, r) in enumerate(rights)])


def test_one_reader_has_the_exact_interval(study: Study) -> None:
    found = score(study, (14, 10))
    assert found.accuracy == exact_share(24, 40) == found.readers[0].accuracy
    assert found.readers[0].sensitivity == exact_share(14, 20)
    assert found.readers[0].specificity == exact_share(10, 20)
    assert (found.sensitivity, found.specificity, found.agreement) == (0.7, 0.5, None)
    assert found.verdict == "not told apart"
    assert found.sentence == (
        "Not told apart at 95 %: one reader called 60.0% of 40 slices what they are [43.3%, 75.1%]; "
        "guessing gives 50 %."
    )


@pytest.mark.parametrize(
    ("right", "verdict"),
    [(20, "told apart"), (17, "told apart"), (10, "not told apart"), (2, "told apart, the wrong way round")],
)
def test_the_verdict_is_that_of_the_interval_against_guessing(study: Study, right: int, verdict: str) -> None:
    found = score(study, *[(right, right)] * 3)
    assert found.verdict == verdict
    assert found.accuracy
    assert found.sentence.startswith(f"{verdict.capitalize()} at 95 %: 3 readers called {right / 20:.1%} of 40 slices")


def test_shares_are_of_all_and_slices_are_counted(study: Study) -> None:
    found = score(study, (20, 10), (10, 20))
    assert (found.sensitivity, found.specificity) == (0.75, 0.75)
    assert found.accuracy
    assert found.accuracy.value == pytest.approx(0.75)
    assert [each.called_synthetic for each in found.slices] == [2] * 10 + [1] * 10 + [0] * 10 + [1] * 10
    assert [each.synthetic for each in found.slices] == [True] * 20 + [False] * 20
    assert found.agreement
    assert found.agreement.share == 0.5


def test_the_area_knows_how_sure_a_reader_was(study: Study) -> None:
    found = score(study, (10, 10)).readers[0]
    assert found.area
    # half of each kind rated 4 or 1, the other halves 2 and 3 the wrong way: pairs won 1/4 + 1/4 + 1/4
    assert found.area.value == pytest.approx(0.75)
    assert found.accuracy.value == 0.5


def test_who_has_not_finished_has_a_row_and_counts_for_nothing_else(out: Path) -> None:
    study, book = read_study(out), AnswerBook(out, read_study(out))
    answer_all(out, study, "anna")
    first = next(n for n, shown in enumerate(study.slices) if shown.kind == "real")
    book.add("bert", Answer(first, 4, 3.0))
    found = score_study(study, book.read_all())
    assert (found.finished, found.verdict) == (1, "told apart")
    bert = found.readers[1]
    assert (bert.answered, bert.accuracy.value, bert.sensitivity, bert.area) == (1, 0.0, None, None)
    assert bert.specificity == exact_share(0, 1)
    assert "1 reader not finished, and only in the table of readers." in found.notes
    assert sum(each.called_synthetic for each in found.slices) == 4


def test_without_a_finished_reader_there_is_no_verdict(out: Path) -> None:
    study, book = read_study(out), AnswerBook(out, read_study(out))
    book.add("bert", Answer(0, 4, 3.0))
    found = score_study(study, book.read_all())
    assert (found.verdict, found.accuracy, found.area, found.agreement) == ("not finished", None, None, None)
    assert found.sentence.startswith("Nobody has judged all 8 slices yet")


def test_a_changed_answer_counts_as_it_was_changed_to(out: Path) -> None:
    study, book = read_study(out), AnswerBook(out, read_study(out))
    answer_all(out, study, "anna", wrong=1)
    kind = study.slices[0].kind
    book.add("anna", Answer(0, 4 if kind == "synthetic" else 1, 100.0))
    found = score_study(study, book.read_all()).readers[0]
    assert (found.accuracy.value, found.seconds) == (1.0, 6.5)


def test_a_small_study_says_how_much_it_takes(out: Path, study: Study) -> None:
    answer_all(out, read_study(out), "anna")
    small = score_study(read_study(out), AnswerBook(out, read_study(out)).read_all()).notes
    assert any(note.startswith("A small study: 1 finished reader, 4 slices of each kind") for note in small)
    assert any("one reader must be right in 8 of 8 slices" in note for note in small)
    assert score(study, (17, 17), (16, 18), (18, 15)).notes == ()
    assert [note[:13] for note in score(study, (17, 17), (16, 18)).notes] == ["A small study"]


def test_notes_tell_what_was_shown_and_what_is_not_ruled_out(study: Study) -> None:
    shown = replace(study, real_patients=5, synthetic_patients=3, derived=2, unmatched=1)
    notes = " ".join(score(shown, (10, 10), (11, 10), (10, 11)).notes)
    assert "Synthetic slices are made of 3 patients, real ones are of 5 patients." in notes
    assert "2 real slices of patients from whom synthetic slices derive." in notes
    assert "1 real slice with other classes" in notes
    assert "Not told apart is no proof that nobody can: readers who are right in" in notes
