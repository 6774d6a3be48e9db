"""The report in Markdown; it reads nothing but the trial's record."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from nephrite.config import OF_SETS
from nephrite.report.arm_record import ArmRecord, RegionRecord
from nephrite.report.comparison_record import ComparisonRecord, CurvePointRecord
from nephrite.report.given import meanings, more_replicates
from nephrite.report.terminal import null_text, summary_lines
from nephrite.report.trial_record import DEVELOPMENT, UNVERIFIABLE, TrialRecord
from nephrite.report.wording import group_name, in_percent, interval_text, measure_text, p_text, patients_text
from nephrite.verdict.measures import ELSEWHERE
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted, markdown_table

FOREST, RIVALS = "Differences to the reference, with intervals", "Differences to the rivals, with intervals"
CURVE = "Score against number of real patients, with and without synthetic data"


def report_markdown(trial: TrialRecord, pictures: Mapping[str, str]) -> str:
    """Write report.md: verdict, comparisons, scores, pictures, and how to read and to extend it.

    Args:
        trial: the record.
        pictures: what a picture shows to its path relative to the report.
    """
    shown = {name: f"![{name}]({path})" for name, path in pictures.items()}
    sections = [
        f"# {title(trial)}",
        trial.headline,
        _verdict(trial),
        shown.pop(FOREST, ""),
        "## The question",
        _question(trial),
        *_questions(trial),
        "## Differences to the reference",
        _groups(trial, trial.comparisons),
        *_rivals(trial, shown.pop(RIVALS, "")),
        *_worth(trial, shown.pop(CURVE, "")),
        "## Scores of the arms",
        _scores(trial),
        _capstone(trial),
        *shown.values(),
        "## How to read this",
        _reading(trial),
        "## More cells",
        _more_cells(trial) if trial.best_run else more_replicates(trial),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _verdict(trial: TrialRecord) -> str:
    answer, facts = trial.answer, summary_lines(trial)[1:]
    if answer:
        of = f"{answer.patients} {patients_text(trial.plan)}s"
        split = f"better in {answer.better} and worse in {answer.worse} of {of}"
        split = f"; {split}" if trial.plan.metric not in OF_SETS else ""  # there no patient has a score of its own
        facts = [f"Verdict: **{answer.verdict}**. {answer.reason}{split}.", *facts]
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


def _reading(trial: TrialRecord) -> str:
    plan = trial.plan
    few = "is one cell" if len(trial.cells) == 1 else f"are {len(trial.cells)} cells"
    over_cells = any("cells" in row.sampled for row in trial.comparisons)
    both = "cells and patients are both a sample"
    sampled = both if over_cells else f"patients are the sample, since there {few}"
    return "\n".join(
        [
            *_judged_on(trial),
            *(_declared(trial) if trial.best_run else meanings(trial)),
            f"- Intervals: {in_percent(plan.confidence)}, of the crossed model in which {sampled} (Student's t; "
            "docs/trial.md). p is of the same model: it is below "
            f"{1 - plan.confidence:.3g} exactly where the interval excludes zero.",
            f"- The headline is one row, {'declared before, and ' * bool(trial.best_run)}judged alone. All others are "
            "adjusted: the question at other label fractions and for single segmenters as one family, all other rows "
            "of this report as another "
            f"(max-T, {plan.resamples:,} draws). Their intervals hold the true differences of the whole family at "
            "once, and their words follow these intervals.",
            *(_sharing(trial) if trial.best_run else []),
            *_nulls(trial),
            "- Surface Dice and HD95: both regions empty score 1 and 0 mm; with one of them empty the surface Dice is "
            "0 and HD95 is not defined, so an arm that misses a region altogether is not punished by HD95.",
            f"- {'Settings digest' if trial.best_run else 'Digest of scores and question'}: `{plan.digest}`.",
        ]
    )


def _declared(trial: TrialRecord) -> list[str]:
    return [
        f"- Declared before any run: {measure_text(trial.plan)}, reference *{trial.plan.reference}*.",
        "- A cell is one subset of training patients and one initialization, shared by all arms. A difference is "
        "paired by patient within a cell.",
        "- Best synthetic set: chosen by its mean validation score; test had no say in it.",
    ]


def title(trial: TrialRecord) -> str:
    """The headline up to its numbers."""
    parts = trial.headline.split(": ")
    return ": ".join(parts[: 1 + (parts[0] in (DEVELOPMENT, UNVERIFIABLE))])


def _judged_on(trial: TrialRecord) -> list[str]:
    if trial.plan.judged_on == "test":
        return []
    if trial.plan.judged_on == "confirmation":
        return [
            "- Confirmation: judged on patients who were kept apart. None of them was trained on, chosen by or scored "
            "before; looks at them are counted apart from those at the test patients."
        ]
    return [
        "- Development: judged on validation patients, who also chose the weights of every arm. So these scores are "
        "optimistic, and a difference is a reason to test a recipe, no evidence for it. No look at test is counted, "
        "and nothing can be promoted."
    ]


def _sharing(trial: TrialRecord) -> list[str]:
    """Of which training patients the intervals speak, for each label fraction at which cells share some."""
    lines = []
    for fraction, share in trial.plan.overlap.items():
        at = f"At {in_percent(fraction)} of the training patients"
        if share == 1:
            lines.append(f"- {at} all cells have the same ones: the intervals speak for these training patients only.")
        elif share > 0:
            lines.append(
                f"- {at} two cells share {in_percent(share)} of theirs on average; the intervals are longer for it, so "
                "that they speak for other training patients too (docs/trial.md)."
            )
    return lines


def _nulls(trial: TrialRecord) -> list[str]:
    """How to read the nulls: those of arms, and those of cells."""
    nulls = [row.null for row in trial.comparisons + trial.rivals if row.null]
    arms = sorted({null.arm for null in nulls if null.arm})
    lines = []
    # nulls of A/A arms
    if arms:
        lines.append(
            f"- Null of an arm ({', '.join(arms)}): the same training set and patients, from another initialization "
            "and in another order, minus the first, paired by cell and patient as any comparison. Its interval "
            "should hold zero: it is what chance alone does. The arms of a cell share initialization and order, so "
            "differences between them can be steadier than it."
        )
    # nulls of cells
    if not all(null.arm for null in nulls):
        lines.append(
            f"- Null{' of the others' if arms else ''}: what a trial of the compared arm against itself finds, where "
            "only the cells differ (cell 0 minus cell 1, cell 2 minus cell 3 and so on, paired by patient). Its "
            "interval should hold zero. It rests on half as many pairs as there are cells; with fewer than 4 cells "
            "on a single pair, and so on patients alone: the luck of one run. At label fractions below 100% other "
            "cells know other patients too, which arms of one cell never do, so there the null is wider than what "
            "chance does to a difference ('trial.training_sets.real: [SET, SET+null]' asks for one that is not). How "
            "far two cells lie apart at most stands in trial.json."
        )
    return lines


def _more_cells(trial: TrialRecord) -> str:
    cells = trial.cells
    cost = "Cells beyond 'trial.planned_cells' are a further look at the test patients. " if trial.look else ""
    wanted = list(range(max(MINIMUM_CELLS, 2 * len(cells))))
    return (
        f"This trial has {counted(len(cells), 'cell')}; a verdict needs at least {MINIMUM_CELLS}, and how many a gain "
        f"of 0.02 needs `nephrite plan` says. {cost}Set this in params.yaml and run again; finished arms are kept:\n\n"
        f"```yaml\ntrial:\n  cells: {wanted}\n```"
    )


def _score(point: CurvePointRecord) -> str:
    interval = "" if point.low is None else f" [{point.low:.3f}, {point.high:.3f}]"
    return f"{point.mean:.3f}{interval}"


def _number(value: float | None, digits: int = 3, *, none: str = "not defined") -> str:
    return none if value is None else f"{value:.{digits}f}"
