"""What came out of a reader study: figures of each reader and of all together, a verdict, and what it does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nephrite.reader_study.answers import SYNTHETIC, Answers
from nephrite.reader_study.scoring import (
    GUESSING,
    Agreement,
    Estimate,
    agreement,
    area_together,
    exact_share,
    least_right,
)
from nephrite.reader_study.study import Study
from nephrite.words import counted

FEW_READERS, FEW_SLICES = 3, 20  # of readers, and of slices of each kind, below which a study is called small
TOLD, NOT_TOLD, REVERSED = "told apart", "not told apart", "told apart, the wrong way round"
UNFINISHED = "not finished"


@dataclass(frozen=True)
class ReaderResult:
    """One reader.

    Attributes:
        reader: number, in the order of the pseudonyms, which stand nowhere here.
        answered: slices.
        accuracy: share of slices that were called what they are.
        sensitivity: share of synthetic slices that were called synthetic; None before one was answered.
        specificity: share of real slices that were called real; likewise.
        area: under the ROC curve, of the four ratings; None of a reader who has not finished.
        seconds: median of the answers that count.
    """

    reader: int
    answered: int
    accuracy: Estimate
    sensitivity: Estimate | None
    specificity: Estimate | None
    area: Estimate | None
    seconds: float


@dataclass(frozen=True)
class SliceResult:
    """One slice.

    Attributes:
        number: in the study, from 0.
        synthetic: what it is.
        called_synthetic: by how many of the readers who finished.
    """

    number: int
    synthetic: bool
    called_synthetic: int


@dataclass(frozen=True)
class StudyResult:
    """The whole result.

    Attributes:
        verdict: in words.
        sentence: the verdict with its figures.
        finished: readers who answered every slice; the figures below are of them.
        accuracy, area: of all together; None where nobody has finished.
        sensitivity, specificity: shares of all their answers.
        agreement: None of fewer than two.
        readers: everybody who began, by number.
        slices: all, by number.
        notes: what a reader of the figures must know.
    """

    verdict: str
    sentence: str
    finished: int
    accuracy: Estimate | None
    area: Estimate | None
    sensitivity: float | None
    specificity: float | None
    agreement: Agreement | None
    readers: tuple[ReaderResult, ...]
    slices: tuple[SliceResult, ...]
    notes: tuple[str, ...]


def score_study(study: Study, answers: Sequence[Answers]) -> StudyResult:
    """Score what readers said.

    Args:
        study: what was shown.
        answers: of each reader who has answered at least one slice, in the order of their numbers.
    """
    synthetic, count = study.synthetic, len(study.slices)
    finished = [each.last for each in answers if len(each.last) == count]
    rows = [[last[number].rating for number in range(count)] for last in finished]
    ratings = np.array(rows, dtype=int).reshape(-1, count)
    called = ratings >= SYNTHETIC
    readers = tuple(_of_reader(study, number, each) for number, each in enumerate(answers, start=1))
    accuracy = area = None
    if finished:
        accuracy, area = area_together(called.astype(int), synthetic), area_together(ratings, synthetic)
    if len(finished) == 1:  # exact, as in the reader's own row
        accuracy = next(each.accuracy for each in readers if each.answered == count)
    verdict, sentence = _verdict(accuracy, len(finished), count)
    return StudyResult(
        verdict=verdict,
        sentence=sentence,
        finished=len(finished),
        accuracy=accuracy,
        area=area,
        sensitivity=float(called[:, synthetic].mean()) if finished else None,
        specificity=float(1 - called[:, ~synthetic].mean()) if finished else None,
        agreement=agreement(called),
        readers=readers,
        slices=tuple(
            SliceResult(number, bool(synthetic[number]), int(called[:, number].sum())) for number in range(count)
        ),
        notes=tuple(_notes(study, accuracy, len(finished), len(answers))),
    )


def _of_reader(study: Study, number: int, said: Answers) -> ReaderResult:
    last = said.last
    slices = np.array(sorted(last))
    called = np.array([last[place].rating >= SYNTHETIC for place in sorted(last)])
    truth = study.synthetic[slices]
    ratings = np.array([last[place].rating for place in sorted(last)])
    return ReaderResult(
        reader=number,
        answered=len(last),
        accuracy=exact_share(int((called == truth).sum()), len(truth)),
        sensitivity=exact_share(int(called[truth].sum()), int(truth.sum())) if truth.any() else None,
        specificity=exact_share(int((~called[~truth]).sum()), int((~truth).sum())) if not truth.all() else None,
        area=area_together(ratings[None], truth) if len(last) == len(study.slices) else None,
        seconds=float(np.median([answer.seconds for answer in last.values()])),
    )


def _verdict(accuracy: Estimate | None, finished: int, count: int) -> tuple[str, str]:
    """The verdict, and a sentence with its figures."""
    if accuracy is None:
        return UNFINISHED, f"Nobody has judged all {count} slices yet: there is no result of readers together."
    verdict = TOLD if accuracy.low > GUESSING else REVERSED if accuracy.high < GUESSING else NOT_TOLD
    who = "one reader" if finished == 1 else f"{finished} readers"
    return verdict, (
        f"{verdict.capitalize()} at 95 %: {who} called {accuracy.value:.1%} of {count} slices what they are "
        f"[{accuracy.low:.1%}, {accuracy.high:.1%}]; guessing gives 50 %."
    )


def _notes(study: Study, accuracy: Estimate | None, finished: int, began: int) -> list[str]:
    notes, count = list[str](), len(study.slices)
    # what the verdict does not say
    if accuracy and accuracy.low <= GUESSING <= accuracy.high:
        notes.append(
            f"Not told apart is no proof that nobody can: readers who are right in {accuracy.high:.0%} of slices are "
            "not ruled out."
        )
    if began > finished:
        notes.append(f"{counted(began - finished, 'reader')} not finished, and only in the table of readers.")
    if finished < FEW_READERS or study.asked.count < FEW_SLICES:
        least = least_right(count)
        needed = f"one reader must be right in {least} of {count} slices" if least else "no answers suffice"
        notes.append(
            f"A small study: {counted(finished, 'finished reader')}, {study.asked.count} slices of each kind; at least "
            f"{FEW_READERS} and {FEW_SLICES} are advised. To be told from guessing, {needed}."
        )
    return [*notes, *_shown_notes(study)]


def _shown_notes(study: Study) -> list[str]:
    """What must be known of the slices that were shown."""
    notes, fakes, reals = list[str](), study.synthetic_patients, study.real_patients
    if min(fakes, reals) < study.asked.count:
        notes.append(
            f"Synthetic slices are made of {counted(fakes, 'patient')}, real ones are of {counted(reals, 'patient')}. "
            "Slices of one patient are alike, and intervals take slices as the sample: they speak for these patients."
        )
    if study.derived:
        notes.append(f"{counted(study.derived, 'real slice')} of patients from whom synthetic slices derive.")
    if study.unmatched:
        notes.append(
            f"{counted(study.unmatched, 'real slice')} with other classes than the synthetic ones: what is in a slice "
            "may tell what it is."
        )
    return notes
