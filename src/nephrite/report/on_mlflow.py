"""What MLflow's page says of a trial: the name of its run, and the note on it."""

from __future__ import annotations

from nephrite.report.terminal import summary_lines
from nephrite.report.trial_record import TrialRecord

BELOW = (
    "Below this run are its stages, one run per arm where a stage works on one. Runs of `evaluate` hold the scores: "
    "metrics of one name in every arm (`dice`: mean of the declared region over the judged patients), and "
    "`training_set`, `segmenter`, `fraction` and `replicate` as parameters to group by. Arms that an earlier trial "
    "trained stand below this one, too. The whole report is an artifact of the run of `report`."
)


def run_title(name: str, trial: TrialRecord) -> str:
    """Name of the trial's run: 'lidc: no evidence'."""
    if trial.answer is None:
        return name
    marked = "development, " if trial.plan.judged_on == "validation" else ""
    return f"{name}: {marked}{trial.answer.verdict}"


def run_note(trial: TrialRecord) -> str:
    """The verdict and what it rests on, as Markdown."""
    headline, *lines = summary_lines(trial)
    return "\n".join([f"**{headline}**", "", *(f"- {line}" for line in lines), "", BELOW])
