"""What the report says where scores or label maps were given, and no training is known."""

from __future__ import annotations

from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import in_percent, measure_text
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted


def meanings(trial: TrialRecord) -> list[str]:
    """How to read a report on arms that were trained elsewhere: what is not known, and what a replicate is."""
    plan = trial.plan
    return [
        "- Provenance unverifiable: the arms were trained elsewhere. Nobody can see here what each was trained on, "
        "whether it knew a test patient or a twin of one, or whether all arms were trained alike and equally long. "
        "Nothing of this report can be promoted.",
        f"- Asked when `nephrite judge` was run: {measure_text(plan)}, reference *{plan.reference}*. Whether the "
        "question was there before the scores were seen is not known.",
        "- A cell is a replicate: one training of each arm, or one whole cross-validation, in which each patient is "
        "predicted once, by the model of the fold that left it out. A difference is paired by patient within a cell.",
        "- In a cross-validation patients are nested in folds: those of one fold share a model. An interval over "
        "patients takes them as independent, and is a little short for it. Several cross-validations, each with folds "
        "of its own, say by how much.",
        *_sharing(trial),
    ]


def _sharing(trial: TrialRecord) -> list[str]:
    """Of which training patients the intervals speak, by what the caller says of the replicates."""
    share = max(trial.plan.overlap.values(), default=0.0)
    if share == 1:
        told = "have the same training patients (`--overlap 1`): the intervals speak for these training patients only"
    elif share > 0:
        told = f"share {in_percent(share)} of their training patients (`--overlap`); the intervals are longer for it"
    else:
        told = "share no training patient (`--overlap 0`): the intervals speak for other training patients, too"
    return [f"- Two replicates are taken to {told}."]


def more_replicates(trial: TrialRecord) -> str:
    """How many replicates there are, and what a further one asks for."""
    return (
        f"These arms have {counted(len(trial.cells), 'replicate')}; a verdict needs at least {MINIMUM_CELLS}. Train "
        "each arm once more from another seed, with the same seed and training patients in all arms, add the scores or "
        "the label maps, and run `nephrite judge` again."
    )
