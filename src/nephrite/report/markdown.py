"""The report in Markdown; it reads nothing but the trial's record."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from nephrite.config import OF_SETS
from nephrite.report.arm_record import ArmRecord, RegionRecord
from nephrite.report.comparison_record import ComparisonRecord, CurvePointRecord
from nephrite.report.given import more_replicates
from nephrite.report.reading import more_cells, reading
from nephrite.report.terminal import best_run_lines, blind_lines, look_lines, null_text, worth_lines
from nephrite.report.trial_record import DEVELOPMENT, UNVERIFIABLE, TrialRecord
from nephrite.report.web.alternatives import CURVE, EXAMPLES, FOREST, RIVALS, figure_markdown
from nephrite.report.wording import group_name, in_percent, interval_text, measure_text, p_text, patients_text
from nephrite.verdict.measures import ELSEWHERE
from nephrite.words import counted, markdown_table


def report_markdown(
    trial: TrialRecord, pictures: Mapping[str, str], above: Sequence[str] = (), below: Sequence[str] = ()
) -> str:
    """Write report.md: verdict, comparisons, scores, pictures, and how to read and to extend it.

    Args:
        trial: the record.
        pictures: what a picture shows to its path relative to the report.
        above: sections between the verdict and the tables: where it comes from, patient by patient.
        below: what stands below the examples of synthetic slices.
    """
    shown = {name: figure_markdown(trial, name, path) for name, path in pictures.items()}
    examples = [part for part in (shown.pop(EXAMPLES, ""), *below) if part]
    sections = [
        f"# {title(trial)}",
        trial.headline.removeprefix(title(trial)).removeprefix(":").strip(),
        _verdict(trial),
        shown.pop(FOREST, ""),
        *above,
        *_notes(trial),
        "## The question",
        _question(trial),
        *_questions(trial),
        *_best_synthetic(trial),
        "## Differences to the reference",
        _groups(trial, trial.comparisons),
        *_rivals(trial, shown.pop(RIVALS, "")),
        *_worth(trial, shown.pop(CURVE, "")),
        "## Scores of the arms",
        _scores(trial),
        _capstone(trial),
        *shown.values(),
        *(["## Synthetic slices beside their sources", *examples] if examples else []),
        "## How to read this",
        reading(trial),
        "## More cells",
        more_cells(trial) if trial.best_run else more_replicates(trial),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _verdict(trial: TrialRecord) -> str:
    """The verdict, and what changes how it is to be taken; numbers that a table holds stand there alone."""
    answer, facts = trial.answer, [*look_lines(trial), *worth_lines(trial), *blind_lines(trial)]
    if answer:
        of = f"{answer.patients} {patients_text(trial.plan)}s"
        split = f"better in {answer.better} and worse in {answer.worse} of {of}"
        split = f"; {split}" if trial.plan.metric not in OF_SETS else ""  # there no patient has a score of its own
        facts = [f"Verdict: **{answer.verdict}**. {answer.reason}{split}.", *facts]
    return _listed(facts)


def _notes(trial: TrialRecord) -> list[str]:
    """What a reader must know and the scores do not show."""
    facts = [*best_run_lines(trial), *trial.notes]
    return ["## Notes", _listed(facts)] if facts else []


def _listed(facts: Iterable[str]) -> str:
    return "\n".join(f"- {fact}" for fact in facts)


def _question(trial: TrialRecord) -> str:
    """The question at each label fraction, then for each segmenter."""
    if not trial.answer:
        return "The trial does not ask whether synthetic data helps."
    rows = trial.answers + (trial.answer_by_segmenter if len(trial.answer.segmenters) > 1 else ())
    head = ["segmenter", "training set", *_head(trial)]
    return markdown_table(head, [[group_name(trial, row), row.training_set, *_judged(row)] for row in rows])


def _questions(trial: TrialRecord) -> list[str]:
    """The further questions, each by its own measure."""
    if not trial.questions:
        return []
    head = [
        "measure",
        "training set",
        "against",
        f"difference [{in_percent(trial.plan.confidence)}]",
        *_head(trial)[2:],
    ]
    rows = [[measure_text(trial.plan, row.measure), row.training_set, *_judged(row)] for row in trial.questions]
    return ["## Further questions", markdown_table(head, rows)]


def _best_synthetic(trial: TrialRecord) -> list[str]:
    """The set that did best on validation at each label fraction, against the reference and the rivals."""
    if not trial.best_synthetic:
        return []
    head = ["label fraction", "best synthetic set", *_head(trial)]
    rows = [
        [in_percent(best.fraction), best.training_set, *_judged(row)]
        for best in trial.best_synthetic
        for row in best.comparisons
    ]
    return ["## Best synthetic set by validation", markdown_table(head, rows)]


def _groups(trial: TrialRecord, comparisons: Iterable[ComparisonRecord]) -> str:
    """A table for each segmenter and label fraction."""
    parts = []
    for name, rows in itertools.groupby(comparisons, key=lambda row: group_name(trial, row)):
        table = markdown_table(["training set", *_head(trial)], [[row.training_set, *_judged(row)] for row in rows])
        parts.append(f"### {name}\n\n{table}")
    return "\n\n".join(parts) or "There is no other training set."


def _rivals(trial: TrialRecord, picture: str) -> list[str]:
    if not trial.rivals:
        return []
    text = "Synthetic data earns its place only if it does more than what costs no generator."
    return ["## Against the rivals", text, picture, _groups(trial, trial.rivals)]


def _worth(trial: TrialRecord, picture: str) -> list[str]:
    """What synthetic data is worth in real patients: the chart and its numbers; the sentence stands above."""
    if not trial.equivalence:
        return []
    head = ["segmenter", "training set", "real patients", measure_text(trial.plan)]
    rows = []
    for found in trial.equivalence:
        for side, name in ((found.reference, found.against), (found.synthetic, found.training_set)):
            rows += [[found.segmenter, name, str(point.patients), _score(point)] for point in side]
    return ["## Worth in real patients", picture, markdown_table(head, rows)]


def _head(trial: TrialRecord) -> list[str]:
    plan = trial.plan
    difference = f"{measure_text(plan)}: difference [{in_percent(plan.confidence)}]"
    return ["against", difference, "verdict", "null", "p (adjusted)", "patients", "cells"]


def _judged(row: ComparisonRecord) -> list[str]:
    sample = [p_text(row), str(row.patients), str(len(row.cells))]
    return [row.against, interval_text(row.judged), row.verdict, null_text(row), *sample]


def _scores(trial: TrialRecord) -> str:
    """Means of each arm: of the trial's own patients, then on the external test set."""
    home = [(arm, arm.regions) for arm in trial.arms]
    external = [(arm, arm.external.regions) for arm in trial.arms if arm.external]
    cells = counted(len(trial.cells), "cell")
    text = f"Means over {counted(len(trial.patients), 'patient')} and {cells}{', at home' if external else ''}."
    parts = [text, _score_table(trial, home), *_native(trial, [(arm, arm.native) for arm in trial.arms])]
    if external:
        sample = counted(len(trial.external), "external test patient")
        parts += [f"Means over {sample} and {cells}, {ELSEWHERE}.", _score_table(trial, external)]
        parts += _native(trial, [(arm, arm.external.native) for arm in trial.arms if arm.external])
    return "\n\n".join(parts)


def _native(trial: TrialRecord, arms: Sequence[tuple[ArmRecord, Mapping[str, RegionRecord] | None]]) -> list[str]:
    """The same means on the scans' own voxels, where all arms have them."""
    found = [(arm, regions) for arm, regions in arms if regions]
    if len(found) < len(arms):
        return []
    text = "The same on each scan's own voxels, against the reader's own label map: comparable with other programs."
    return [text, _score_table(trial, found)]


def _score_table(trial: TrialRecord, arms: Sequence[tuple[ArmRecord, Mapping[str, RegionRecord]]]) -> str:
    # one row per arm, three columns per region
    head = ["segmenter", "training set", "cells"]
    for region in arms[0][1]:
        head += [f"{region}: Dice", "surface Dice", "HD95 in mm (defined in)"]
    rows = []
    for arm, regions in arms:
        row = [group_name(trial, arm), arm.training_set, str(len(arm.cells))]
        for score in regions.values():
            distance = f"{_number(score.hd95, 1)} ({score.hd95_defined} of {score.scored})"
            distance = distance if trial.best_run or score.hd95_defined else "not given"
            row += [_number(score.dice), _number(score.surface_dice, none="not given"), distance]
        rows.append(row)
    return markdown_table(head, rows)


def _capstone(trial: TrialRecord) -> str:
    if trial.arms[0].capstone_iou is None:
        return ""
    channels = list(trial.arms[0].foreground_iou)
    head = ["segmenter", "training set", "capstone IoU in %", "predicting nothing", *(f"IoU of {c}" for c in channels)]
    rows = [
        [group_name(trial, arm), arm.training_set, _number(arm.capstone_iou, 2), _number(arm.predict_nothing, 2)]
        + [_number(arm.foreground_iou[channel]) for channel in channels]
        for arm in trial.arms
    ]
    text = (
        "For comparison with the 2021 student project only, never to choose a model: its score per slice, beside what "
        "a model that predicts nothing scores on the same slices, and the IoU per class over the slices that hold it."
    )
    return f"{text}\n\n{markdown_table(head, rows)}"


def title(trial: TrialRecord) -> str:
    """The headline up to its numbers."""
    parts = trial.headline.split(": ")
    return ": ".join(parts[: 1 + (parts[0] in (DEVELOPMENT, UNVERIFIABLE))])


def _score(point: CurvePointRecord) -> str:
    interval = "" if point.low is None else f" [{point.low:.3f}, {point.high:.3f}]"
    return f"{point.mean:.3f}{interval}"


def _number(value: float | None, digits: int = 3, *, none: str = "not defined") -> str:
    return none if value is None else f"{value:.{digits}f}"
