"""A trial judged and put into its record: the headline, every comparison, the scores of the arms, the notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from nephrite.metrics.scores import ArmScores
from nephrite.report.arms import arm_record
from nephrite.report.blindness import blind_record, blindness
from nephrite.report.comparison_record import (
    BestSyntheticRecord,
    ComparisonRecord,
    CurvePointRecord,
    End,
    EquivalenceRecord,
)
from nephrite.report.rows import comparison_record, plan_record
from nephrite.report.trial_record import (
    DEVELOPMENT,
    VERSION,
    BestRunRecord,
    LookRecord,
    TrialRecord,
)
from nephrite.report.wording import in_percent, interval_text
from nephrite.verdict.blind import BlindBaseline
from nephrite.verdict.comparisons import BestSynthetic, Comparison, judge_trial
from nephrite.verdict.equivalence import CurvePoint, Equivalence, equivalences
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS
from nephrite.verdict.trial import Trial, TrialPlan
from nephrite.words import counted

NO_NULL = "what another cell alone would change is not known from one cell"
OPENINGS = {
    "helps": "Synthetic data helps",
    "hurts": "Synthetic data hurts",
    "no evidence": "No evidence that synthetic data helps or hurts",
    "not enough runs": "Not enough runs to say whether synthetic data helps",
}


def summarize(
    trial: Trial,
    notes: Sequence[str] = (),
    *,
    blind: Sequence[BlindBaseline] = (),
    look: LookRecord | None = None,
    unverifiable: Sequence[str] = (),
    rejected: str | None = None,
) -> TrialRecord:
    """Judge a trial: everything that the report says.

    Args:
        trial: the scores of all arms under one plan.
        notes: facts that a reader must know and that the scores do not show.
        blind: scores of masks that never look at the image.
        look: which look at the test patients this is; None where none is counted.
        unverifiable: training sets with synthetic slices of unverifiable provenance.
        rejected: the headline where screening accepted no synthetic slice, so that nothing was asked.

    Raises:
        TrialError: two arms that are compared share no cell.
    """
    judged = judge_trial(trial)
    found = judged.headline
    record = TrialRecord(
        version=VERSION,
        headline=_headline(found, trial.plan, rejected),
        plan=plan_record(trial.plan),
        patients=trial.patients,
        external=trial.external,
        look=look,
        answer=comparison_record(found) if found else None,
        answers=comparison_records(judged.answers),
        questions=comparison_records(judged.questions),
        answer_by_segmenter=comparison_records(judged.by_segmenter),
        comparisons=comparison_records(judged.with_reference),
        rivals=comparison_records(judged.with_rivals),
        best_synthetic=_best_synthetic(judged.best_synthetic),
        equivalence=_equivalences(trial),
        arms=tuple(arm_record(runs, trial) for runs in trial.grouped_runs()),
        blind=tuple(blind_record(trial, baseline) for baseline in blind),
        best_run=_best_run(trial.best_run(), trial.plan.region),
        provenance="recorded",
        unverifiable=tuple(unverifiable),
        notes=(*_notes(trial, asked=rejected is None), *notes),
    )
    return record.model_copy(update={"headline": record.headline + blindness(record) + _doubt(unverifiable)})


def _doubt(unverifiable: Sequence[str]) -> str:
    """What the headline adds where nobody can tell whose data synthetic slices derive from."""
    if not unverifiable:
        return ""
    sets = f"{', '.join(unverifiable)}: whose data the synthetic slices derive from is not known, test patients' or not"
    return f" Provenance unverifiable of {sets}; never promoted."


def _headline(answer: Comparison | None, plan: TrialPlan, rejected: str | None) -> str:
    """The verdict as one sentence, after a mark where it is for development only."""
    mark = f"{DEVELOPMENT}: " if plan.judged_on == "validation" else ""
    return f"{mark}{rejected or _sentence(answer, plan)}"


def _sentence(answer: Comparison | None, plan: TrialPlan) -> str:
    if answer is None:
        return "This trial does not ask whether synthetic data helps: no two training sets differ by it alone."
    pair, found = answer.pair, answer.interval
    interval = "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    over = f"{counted(answer.patients, plan.who)}, {counted(len(answer.cells), 'cell')} and "
    few = f" at {in_percent(pair.fraction)} of the training patients" if pair.fraction < 1 else ""
    opening = f"{OPENINGS[answer.verdict.word]}{_of_whom(answer, plan)}"
    return (
        f"{opening}: {pair.training_set} minus {pair.against} is {found.mean:+.3f} {plan.measure}{interval}{few}"
        f" over {over}{counted(len(pair.segmenters), 'segmenter')}; {_moved(answer)}."
    )


def _of_whom(answer: Comparison, plan: TrialPlan) -> str:
    """Of which training patients the headline speaks: cells that all have the same ones are no sample of others."""
    judged = answer.verdict.word != "not enough runs"
    return ", for these training patients" if judged and plan.overlap_at(answer.pair.fraction) == 1 else ""


def _moved(answer: Comparison) -> str:
    if answer.null is None:
        return NO_NULL
    null, what = interval_text(answer.null), "initialization" if answer.null.arm else "cell"
    return f"another {what} alone moves {answer.pair.against} by up to {answer.null.largest:.3f} (null {null})"


def _best_synthetic(found: Sequence[BestSynthetic]) -> tuple[BestSyntheticRecord, ...]:
    return tuple(
        BestSyntheticRecord(
            fraction=best.fraction,
            training_set=best.training_set,
            validation_score=best.validation_score,
            comparisons=comparison_records(best.comparisons),
        )
        for best in found
    )


def _equivalences(trial: Trial) -> tuple[EquivalenceRecord, ...] | None:
    """The data equivalence of the question's pair for each segmenter; None without a learning curve."""
    found = equivalences(trial)
    if not found or trial.plan.question is None:
        return None
    question = trial.plan.question
    return tuple(equivalence_record(name, question, worth) for name, worth in found.items())


def equivalence_record(segmenter: str, question: tuple[str, str], found: Equivalence) -> EquivalenceRecord:
    """A data equivalence with the names of what was compared; a number of patients beyond the curve becomes None."""
    numbers: dict[End, float | None] = {"more": found.more, "low": found.low, "high": found.high}
    finite = {name: None if value == math.inf else value for name, value in numbers.items()}
    return EquivalenceRecord(
        segmenter=segmenter,
        training_set=question[0],
        against=question[1],
        start=found.start,
        largest=found.largest,
        more=finite["more"],
        low=finite["low"],
        high=finite["high"],
        beyond=tuple(name for name, value in numbers.items() if value == math.inf),
        worth_something=found.worth_something,
        sentence=found.sentence,
        cells=found.cells,
        test_patients=found.test_patients,
        reference=_points(found.reference),
        synthetic=_points(found.synthetic),
        curve=found.curve,
        exponent=found.exponent,
    )


def _points(side: Sequence[CurvePoint]) -> tuple[CurvePointRecord, ...]:
    return tuple(CurvePointRecord(patients=point.patients, **asdict(point.score)) for point in side)


def comparison_records(rows: Sequence[Comparison]) -> tuple[ComparisonRecord, ...]:
    """Judged comparisons, as the record has them."""
    return tuple(map(comparison_record, rows))


def _best_run(run: ArmScores, region: str) -> BestRunRecord:
    """The best run with the scores per patient by which `promote` compares it with a run of another trial."""
    scores = {score.patient: score.regions[region] for score in sorted(run.patients, key=lambda score: score.patient)}
    return BestRunRecord(
        **run.arm.model_dump(),
        validation_score=run.validation_score,
        dice_by_patient={patient: score.dice for patient, score in scores.items()},
        truth_volume_by_patient={patient: score.truth_volume for patient, score in scores.items()},
    )


def _notes(trial: Trial, *, asked: bool) -> list[str]:
    cells = sorted({scores.arm.cell for scores in trial.arms})
    notes = []
    # too few cells or patients
    if len(cells) < MINIMUM_CELLS:
        more = list(range(MINIMUM_CELLS))
        notes.append(
            f"With {len(cells)} of the {MINIMUM_CELLS} cells that a verdict needs, it is 'not enough runs' whatever "
            f"the numbers; ask for more with trial.cells: {more} in params.yaml and run again."
        )
    if len(cells) == 1:
        null = "known only for sets with an A/A arm" if trial.plan.copies else "not available"
        notes.append(f"With one cell the intervals speak for patients only, and the null difference is {null}.")
    judged = len(trial.columns())
    if judged < MINIMUM_PATIENTS:
        notes.append(
            f"{counted(judged, trial.plan.who)}: fewer than the {MINIMUM_PATIENTS} that an interval needs; the verdict "
            "is at most 'no evidence'."
        )
    # arms that did not learn
    notes += _absence_notes(trial)
    idle = [str(scores.arm) for scores in trial.arms if scores.validation_score == 0]
    if idle:
        notes.append(
            f"{len(idle)} of {counted(len(trial.arms), 'training')} found nothing of {trial.plan.region} that is there "
            f"in any validation patient, e.g. {idle[0]}: they did not learn, and say nothing about their training sets."
        )
    # comparisons that are missing
    if asked and not trial.plan.question:
        notes.append("No two training sets differ by synthetic data only, so the trial does not ask whether it helps.")
    kinds = len(trial.training_sets) * len(trial.segmenters) * len(trial.fractions)
    ragged = len(trial.arms) < kinds * len(cells)
    if ragged:
        notes.append("Some arms lack a cell; each comparison uses the cells that both of its arms share.")
    return notes


def _absence_notes(trial: Trial) -> list[str]:
    """Regions that test patients lack: there a score says only whether something was found."""
    notes, run = [], trial.arms[0]
    for who, patients in ((trial.plan.who_at("home"), run.patients), (trial.plan.who_at("external"), run.external)):
        for region in patients[0].regions if patients else ():
            without = sum(score.regions[region].truth_volume == 0 for score in patients)
            if without and (region == trial.plan.region or without == len(patients)):
                notes.append(
                    f"{without} of {counted(len(patients), who)} without {region}: such a patient scores 1 where none "
                    "is found, and 0 where any is."
                )
    return notes
