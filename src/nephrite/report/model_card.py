"""The card of a registered model: what a reader must know before it is used (after Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from nephrite.report.trial_record import BestRunRecord, TrialRecord
from nephrite.report.wording import in_percent
from nephrite.words import counted

CONFIDENCE = 0.95
FEWEST = 5  # patients of a group with an interval
GROUPS = ("smallest third", "middle third", "largest third")
NOT_TOLD = (
    "Nobody told (`promote.intended_use`). It is no medical device: nothing here says that it is safe to decide by."
)
NO_DATA = "Nobody told (`promote.data_and_license`)."


class Made(NamedTuple):
    """What a model was made of, beside its trial.

    Attributes:
        name: of the registered model.
        arm: 'TRAINING_SET/SEGMENTER/FRACTION/CELL'.
        classes: label value to name.
        channels: output to label values.
        labels: patients whose labels it used, those of validation among them if they chose its weights.
        masked: further patients of whose lesions it knows where they are.
        synthesizer: id of the generator of its synthetic slices; None without.
        window, grid: settings of intensities and of the grid in the plane.
        intended_use, data: of the settings; '' where nobody told.
    """

    name: str
    arm: str
    classes: Mapping[int, str]
    channels: Mapping[str, Sequence[int]]
    labels: int
    masked: int
    synthesizer: str | None
    window: Mapping[str, object]
    grid: Mapping[str, object]
    intended_use: str
    data: str


def model_card(trial: TrialRecord, made: Made) -> str:
    """The card as Markdown.

    Args:
        trial: the report whose best run the model is.
        made: what it was made of.

    Returns:
        less than the 5,000 characters that MLflow keeps of a description.
    """
    best, region = trial.best_run, trial.plan.region
    assert best is not None, "nothing is registered without a run"
    masked = f", and of {made.masked} more where their lesions are" if made.masked else ""
    sections = {
        "Intended use": made.intended_use or NOT_TOLD,
        "Data and license": made.data or NO_DATA,
        "Training": f"Arm `{made.arm}`. Labels of {counted(made.labels, 'patient')}{masked}. "
        + ("It saw synthetic slices." if made.synthesizer else "It saw no synthetic slices."),
        "Input and output": f"Slices, {_listed(made.window)}; in the plane {_listed(made.grid)}. "
        f"Outputs: {', '.join(f'{name} = labels {list(values)}' for name, values in made.channels.items())}; "
        f"labels {', '.join(f'{value} {name}' for value, name in made.classes.items())}.",
        f"Scores: 3-D Dice of {region}, {trial.plan.judged_on} patients of the trial": _table(best),
        "The trial": f"{trial.headline}",
        "Limits": _limits(trial, best),
        "How to load": f"`nephrite predict --model models:/{made.name}@champion`, or without the package's settings "
        f'`load_champion("{made.name}")` of `nephrite.registry`.',
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())[:4999]


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval over patients (BCa bootstrap, Efron 1987); the ends are nan below 5 patients."""
    found = np.asarray(values, np.float64)
    if len(found) < FEWEST:
        return float(found.mean()), float("nan"), float("nan")
    if np.ptp(found) == 0:
        return float(found[0]), float(found[0]), float(found[0])
    drawn = stats.bootstrap((found,), np.mean, confidence_level=CONFIDENCE, rng=np.random.default_rng(0))
    return float(found.mean()), float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def _table(best: BestRunRecord) -> str:
    """Scores of all patients, and by the size of the region in the reader's label map."""
    dice, volumes = best.dice_by_patient, best.truth_volume_by_patient
    groups = {"all": list(dice)}
    # thirds of those who have the region
    having = sorted((name for name in dice if volumes[name] > 0), key=lambda name: (volumes[name], name))
    if len(having) >= len(GROUPS) * FEWEST:
        groups |= {
            title: [str(name) for name in part]
            for title, part in zip(GROUPS, np.array_split(np.array(having, object), len(GROUPS)), strict=True)
        }
    rows = ["| patients | number | Dice | 95 % interval |", "|---|---|---|---|"]
    for title, names in groups.items():
        mean, low, high = mean_interval([dice[name] for name in names])
        shown = "too few" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
        rows.append(f"| {title} | {len(names)} | {mean:.3f} | {shown} |")
    return "\n".join(rows)


def _limits(trial: TrialRecord, best: BestRunRecord) -> str:
    found = [
        "Scores are of patients like those of the trial; other scanners, protocols and populations were not tried"
        + (", but for the trial's external test set." if trial.external else "."),
        f"One run, trained on {in_percent(best.fraction)} of the training patients and chosen by validation: another "
        "initialization scores differently.",
        *trial.notes[:3],
    ]
    return "\n".join(f"- {line}" for line in found)


def _listed(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
