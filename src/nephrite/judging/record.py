"""Given scores judged and put into the record of a trial: the headline, every comparison, the scores of the arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nephrite.judging.given import Column
from nephrite.judging.tables import SEGMENTER, WHOLE, GivenTables
from nephrite.report.arm_record import ArmRecord, RegionRecord
from nephrite.report.rows import comparison_record, plan_record
from nephrite.report.summary import comparison_records
from nephrite.report.trial_record import UNVERIFIABLE, VERSION, LookRecord, TrialRecord
from nephrite.report.wording import interval_text
from nephrite.verdict.comparisons import Comparison, judge_trial
from nephrite.verdict.statistics import MINIMUM_CELLS, MINIMUM_PATIENTS
from nephrite.words import counted

OPENINGS = {
    "helps": "'{}' helps",
    "hurts": "'{}' hurts",
    "no evidence": "No evidence that '{}' helps or hurts",
    "not enough runs": "Not enough runs to say whether '{}' helps",
}


def judged_record(tables: GivenTables, notes: Sequence[str] = (), *, look: LookRecord | None = None) -> TrialRecord:
    """Judge given scores: everything that the report says.

    Args:
        tables: the scores under a plan that asks a question.
        notes: facts that a reader must know and that the scores do not show.
        look: which look at the patients this is; None where none is counted.

    Raises:
        TrialError: two arms that are compared share no replicate.
    """
    judged = judge_trial(tables)
    answer = judged.headline
    assert answer is not None, "a plan without a question"
    return TrialRecord(
        version=VERSION,
        headline=f"{UNVERIFIABLE}: {_sentence(answer, tables)}",
        plan=plan_record(tables.plan),
        patients=tables.scores.patients,
        external=(),
        look=look,
        answer=comparison_record(answer),
        answers=comparison_records(judged.answers),
        questions=comparison_records(judged.questions),
        answer_by_segmenter=comparison_records(judged.by_segmenter),
        comparisons=comparison_records(judged.with_reference),
        rivals=(),
        best_synthetic=(),
        equivalence=None,
        arms=tuple(_arm(tables, arm) for arm in tables.training_sets),
        blind=(),
        best_run=None,
        provenance="unverifiable",
        unverifiable=(),
        notes=(*_notes(tables), *notes),
    )


def _sentence(answer: Comparison, tables: GivenTables) -> str:
    """The verdict as one sentence; below three replicates it says that the interval is of patients alone."""
    plan, pair, found = tables.plan, answer.pair, answer.interval
    cells = counted(len(answer.cells), "replicate")
    judged = answer.verdict.word != "not enough runs"
    whom = ", for these training patients" if judged and plan.overlap_at(WHOLE) == 1 else ""
    alone = "" if answer.over_cells else f", an interval over patients alone, for {_this_training(answer)} only"
    moved = "what another replicate alone would change is not known from one"
    if answer.null:
        what = "initialization" if answer.null.arm else "replicate"
        most = f"{answer.null.largest:.3f} (null {interval_text(answer.null)})"
        moved = f"another {what} alone moves {pair.against} by up to {most}"
    interval = "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    return (
        f"{OPENINGS[answer.verdict.word].format(pair.training_set)}{whom}: {pair.training_set} minus {pair.against} is "
        f"{found.mean:+.3f} {plan.measure}{interval} over {counted(answer.patients, plan.who)} and {cells}{alone}; "
        f"{moved}."
    )


def _this_training(answer: Comparison) -> str:
    return "this training" if len(answer.cells) == 1 else "these trainings"


def _arm(tables: GivenTables, arm: str) -> ArmRecord:
    """One arm over its replicates: what was given, and nothing of what is not known."""
    runs, plan = tables.runs(arm, SEGMENTER, WHOLE), tables.plan
    dice = {
        region: np.array([tables.values(arm, name, region, "dice") for name in runs.values()])
        for region in tables.scores.regions("dice")
    }
    regions = {region: _region(tables, arm, region) for region in _deciding_first(plan.region, [*dice])}
    means = dice[plan.region].mean(axis=0).tolist()
    return ArmRecord(
        training_set=arm,
        segmenter=SEGMENTER,
        fraction=WHOLE,
        cells=tuple(runs),
        training_patients=(),
        steps=(),
        seconds=(),
        validation_score=None,
        regions=regions,
        dice_by_patient=dict(zip(tables.scores.patients, means, strict=True)),
        dice_by_cell={region: tuple(map(tuple, dice[region].tolist())) for region in regions},
        native=None,
        external=None,
        capstone_iou=None,
        predict_nothing=None,
        foreground_iou={},
    )


def _deciding_first(region: str, regions: list[str]) -> list[str]:
    return [region, *(name for name in regions if name != region)]


def _region(tables: GivenTables, arm: str, region: str) -> RegionRecord:
    """Means of one arm over patients and replicates, of the metrics that are given."""
    runs = tables.runs(arm, SEGMENTER, WHOLE).values()
    found = {
        metric: np.array([tables.values(arm, name, region, metric) for name in runs])
        for metric in ("dice", "surface_dice", "hd95")
        if all(Column(arm, name, region, metric) in tables.scores.values for name in runs)
    }
    distances = found.get("hd95", np.full(found["dice"].shape, np.nan))
    defined = distances[~np.isnan(distances)]
    return RegionRecord(
        dice=float(found["dice"].mean()),
        surface_dice=float(found["surface_dice"].mean()) if "surface_dice" in found else None,
        hd95=float(defined.mean()) if defined.size else None,
        hd95_defined=defined.size,
        scored=found["dice"].size,
    )


def _notes(tables: GivenTables) -> list[str]:
    scores, plan = tables.scores, tables.plan
    notes = [f"Cells are the replicates, in this order: {', '.join(scores.replicates)}."]
    if scores.scans > len(scores.patients):
        notes.append(
            f"{counted(scores.scans, 'scan')} of {counted(len(scores.patients), plan.who)}: a patient's scans are "
            "averaged, and intervals take patients as the sample, not scans."
        )
    # folds, and too few replicates or patients
    if scores.folds > 1:
        notes.append(
            f"Each replicate is a cross-validation of {scores.folds} folds: each patient is predicted once, and "
            "patients of a fold share a model, which an interval over patients does not know."
        )
    if len(scores.replicates) < MINIMUM_CELLS:
        notes.append(
            f"With {counted(len(scores.replicates), 'replicate')} of the {MINIMUM_CELLS} that a verdict needs, the "
            "interval is over patients alone, and there is no word: another training of the same arms may turn it."
        )
    if (judged := len(tables.columns())) < MINIMUM_PATIENTS:
        notes.append(
            f"{counted(judged, plan.who)}: fewer than the {MINIMUM_PATIENTS} that an interval needs; the verdict is at "
            "most 'no evidence'."
        )
    # patients without the region, and arms that lack a replicate
    if absent := scores.absent(plan.region):
        notes.append(
            f"{absent} of {counted(len(scores.patients), plan.who)} without {plan.region}: Dice of such a patient is 1 "
            "where none is found, and 0 where any is."
        )
    if any(len(given) < len(scores.replicates) for given in scores.runs.values()):
        notes.append("Some arms lack a replicate; each comparison uses those that both of its arms share.")
    return notes
