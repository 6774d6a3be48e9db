"""All arms side by side: the table, the figures, and the verdict in words."""

from __future__ import annotations

import io
import itertools
import logging
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from nephrite import __version__
from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.evidence import write_evidence
from nephrite.files import digest, whole_folder, write_json
from nephrite.metrics.scores import AGAIN, ArmScores, read_scores
from nephrite.recording import Run
from nephrite.report.curve_figure import equivalence_plot
from nephrite.report.figures import EXAMPLES, Triplet, example_sheet, learning_curves, score_plot
from nephrite.report.forest_figure import forest_plot, rival_plot
from nephrite.report.markdown import CURVE, FOREST, RIVALS, report_markdown
from nephrite.report.page import html_page
from nephrite.report.summary import summarize
from nephrite.report.terminal import summary_lines, summary_table
from nephrite.report.trial_record import ArmRecord, TrialRecord
from nephrite.report.without_labels import unlabeled_notes
from nephrite.store.class_presence import absent_classes
from nephrite.store.grid_loss import grid_losses, loss_lines
from nephrite.store.slices import MANIFEST, PairStore, SliceRef, read_manifest
from nephrite.store.split import shared_patients, training_subset
from nephrite.verdict.blind import blind_baselines
from nephrite.verdict.trial import Trial, TrialPlan, synthetic_question
from nephrite.words import counted

logger = logging.getLogger(__name__)
PAGE = "report.html"
WIDTH = 110  # width of summary.txt in characters
EXPERIMENT = ("trial", "acquire", "prepare", "train_gan", "synthesize", "screen", "train_segmenter", "evaluate")


def report(
    config: Config, run: Run, *, pairs: Path, synthetic: Path | None = None, scores: Path, report: Path
) -> dict[str, float]:
    """Judge all arms of the trial: trial.json, report.md, report.html, summary.txt, figures/ and evidence.json.

    Raises:
        StoreError: the scores of an arm are missing, broken, changed, or not of this store's test patients.
        ConfigError: screening accepted nothing of any painter.
        TrialError: the scores do not make a trial, e.g. arms with different test patients.
    """
    # read all scores and judge them
    arms, store = read_arms(config, scores), PairStore(pairs)
    check_patients(arms, store, scores)
    known = [scores for scores in arms if scores.arm.fraction > 0]
    plan = replace(trial_plan(config), overlap=overlaps(config, store.patients("train")))
    trial = Trial(plan, tuple(known))
    notes = unlabeled_notes(arms, config.trial.primary, config.trial.reference)
    notes += absence_notes(config, pairs) + loss_notes(pairs)
    notes += synthetic_notes(config, synthetic) if synthetic else []
    record = summarize(trial, notes, blind_baselines(config, store, "test"))
    # draw and write
    with whole_folder(report, "report") as folder:
        pictures = _draw(record, arms, folder)
        if synthetic is not None:
            pictures |= _draw_examples(config, pairs, synthetic, folder)
        text = report_markdown(record, pictures)
        (folder / "report.md").write_text(text, encoding="utf-8")
        (folder / PAGE).write_text(html_page(text, folder, title=f"Trial {config.trial.name}"), encoding="utf-8")
        (folder / "summary.txt").write_text(_summary(record, report), encoding="utf-8")
        write_json(folder / "trial.json", record.model_dump(mode="json"))
        inputs = digests_of(config, arms, store, synthetic)
        write_evidence(folder, kind="report", inputs=inputs, version=__version__)
    run.artifact(report)
    return _metrics(record)


def read_arms(config: Config, scores: Path) -> list[ArmScores]:
    """The scores of every arm that the settings name; files of other arms are ignored with a warning.

    Raises:
        StoreError: an arm's file is missing or broken.
    """
    wanted = {scores / f"{arm}.json": arm for arm in config.trial.arms}
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
        raise StoreError(missing[0], f"is missing{more}", "run 'evaluate' for every arm, or 'dvc repro'")
    others = sorted(set(scores.rglob("*.json")) - set(wanted))
    if others:
        logger.warning("%s: %d score files of arms that the settings do not name are left aside", scores, len(others))
    found = [(path, arm, read_scores(path)) for path, arm in wanted.items()]
    for path, arm, read in found:
        if read.arm != arm:
            raise StoreError(path, f"holds the scores of {read.arm}", AGAIN)
    return [read for _, _, read in found]


def check_patients(arms: Sequence[ArmScores], store: PairStore, scores: Path) -> None:
    """Refuse scores of other patients than those of the store's test split, or of another store.

    Raises:
        StoreError: names the file, and the patients.
    """
    expected = {*store.patients("test")}
    for arm in arms:
        path, found = scores / f"{arm.arm}.json", {score.patient for score in arm.patients}
        if found != expected:
            odd, known = sorted(found ^ expected), "are not those of the split 'test'"
            raise StoreError(path, f"its patients {known} of {store.root}: {', '.join(odd[:5])}", AGAIN)
        if arm.inputs.get("pairs", store.manifest.digest) != store.manifest.digest:
            raise StoreError(path, f"was scored on other slices than those of {store.root}", AGAIN)


def digests_of(config: Config, arms: Sequence[ArmScores], store: PairStore, synthetic: Path | None) -> dict[str, str]:
    """Digests of the records of all that the report rests on, by name."""
    inputs = {"pairs": store.manifest.digest}
    inputs |= {f"scores/{arm.arm}": arm.digest for arm in arms}
    inputs |= {f"segmenters/{arm.arm}": arm.inputs["segmenter"] for arm in arms if "segmenter" in arm.inputs}
    if synthetic is None:
        return inputs
    for root in synthetic_stores(config, synthetic):
        name = "synthetic" if root == synthetic else f"synthetic/{root.relative_to(synthetic).as_posix()}"
        inputs[name] = read_manifest(root).digest
    return inputs


def absence_notes(config: Config, pairs: Path) -> list[str]:
    """Classes that the training patients of some arms lack: their segmenters cannot learn these classes."""
    # every subset of training patients that some arm sees
    store, trial = PairStore(pairs), config.trial
    train, subsets = store.patients("train"), list(itertools.product(trial.label_fractions, trial.cells))
    lacking = [
        name
        for share, cell in subsets
        for name in absent_classes(store, training_subset(train, share, cell=cell, trial=trial))
    ]
    return [
        f"No training patient has {name} in {count} of {counted(len(subsets), 'pair')} of label fraction and cell: "
        "there it is not learned."
        for name, count in Counter(lacking).items()
    ]


def loss_notes(pairs: Path) -> list[str]:
    """Classes that vanished or shrank much on the grid, of test patients, then of those who train and choose."""
    store, notes = PairStore(pairs), []
    for split, what in (("test", "test patient"), ("train", "training patient"), ("validation", "validation patient")):
        patients = [store.patient(patient) for patient in store.patients(split)]
        losses = grid_losses(patients)
        notes += loss_lines(losses, len(patients), what)
        if split == "test" and any(loss.vanished for loss in losses):
            notes.append("A region of a test patient that vanished on the grid counts as missed by every arm: Dice 0.")
    return notes


def synthetic_notes(config: Config, synthetic: Path) -> list[str]:
    """Sets of synthetic slices that screening left empty, or that show no scan without labels where they should.

    Raises:
        ConfigError: all are empty: then nothing was compared.
    """
    # a trial without any synthetic slice has no answer
    stores = [PairStore(root) for root in synthetic_stores(config, synthetic)]
    filled = [store for store in stores if store.patients()]
    if not filled:
        finding = f"accepted no slice of any of {len(stores)} painters: no arm has seen a synthetic one"
        raise ConfigError("screen", finding, "loosen the thresholds, or train the synthesizers for longer")
    # painters whose slices were all rejected
    notes, sets = [], f"of {len(stores)} sets of synthetic slices"
    if empty := len(stores) - len(filled):
        notes.append(f"Screening left {empty} {sets} empty: their arms learned from real slices alone.")
    # scans without labels that left no slice
    if config.synthesize.unlabeled:
        without = sum(not any(_shows_scan(store, patient) for patient in store.patients()) for store in filled)
        cause = "a labeler found no class there, or screening rejected them all"
        notes += [f"In {without} {sets} none shows a scan without labels: {cause}."] if without else []
    return notes


def _shows_scan(store: PairStore, patient: str) -> bool:
    provenance = store.patient(patient).provenance
    return provenance is not None and not provenance.source_labels


def overlaps(config: Config, patients: Sequence[str]) -> dict[float, float]:
    """Label fraction to the share of its training patients that a cell has in common with another, on average."""
    trial = config.trial
    return {share: shared_patients(patients, share, cells=trial.cells, trial=trial) for share in trial.label_fractions}


def trial_plan(config: Config) -> TrialPlan:
    """What was declared before any run, from the settings."""
    trial, settings = config.trial, config.report
    return TrialPlan(
        region=trial.primary,
        reference=trial.reference,
        question=trial.question or synthetic_question(trial.training_sets.pairs, trial.reference),
        fraction=min(trial.label_fractions),
        synthetic=tuple(fakes.name for fakes in trial.training_sets.synthetic),
        rivals=trial.training_sets.baselines,
        copies=trial.training_sets.copies,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=trial.seed,
        digest=digest(config.model_dump(mode="json", include=set(EXPERIMENT))),
    )


def _draw(record: TrialRecord, arms: list[ArmScores], folder: Path) -> dict[str, str]:
    # differences and scores
    pictures = {FOREST: "differences.png", "Each test patient's score, by arm": "patients.png"}
    forest_plot(record, folder / "figures" / "differences.png")
    score_plot(record, folder / "figures" / "patients.png")
    if record.rivals:
        pictures[RIVALS] = "rivals.png"
        rival_plot(record, folder / "figures" / "rivals.png")
    if record.equivalence:
        pictures[CURVE] = "equivalence.png"
        equivalence_plot(record.plan, record.equivalence, folder / "figures" / "equivalence.png")
    # learning curves
    losses = {scores.arm: [(int(row["step"]), row["train_loss"]) for row in scores.history] for scores in arms}
    dice = {scores.arm: [(int(row["step"]), row["validation_dice"]) for row in scores.history] for scores in arms}
    pictures["How the arms learn"] = "learning.png"
    learning_curves(losses, dice, folder / "figures" / "learning.png")
    return {shows: f"figures/{name}" for shows, name in pictures.items()}


def _draw_examples(config: Config, pairs: Path, synthetic: Path, folder: Path) -> dict[str, str]:
    stores = map(PairStore, synthetic_stores(config, synthetic))
    real, painted = PairStore(pairs), next(store for store in stores if store.patients())
    labels = config.evaluate.regions[config.trial.primary].labels
    names = [name for value, name in painted.manifest.classes.items() if value in labels]
    triplets = [_triplet(real, painted, ref) for ref in _examples(painted, names, config.report.examples)]
    example_sheet(triplets, painted.manifest.classes, folder / "figures" / "examples.png")
    return {EXAMPLES: "figures/examples.png"}


def synthetic_stores(config: Config, synthetic: Path) -> list[Path]:
    """One store of synthetic slices, or those of all painters in one folder."""
    if (synthetic / MANIFEST).is_file():
        return [synthetic]
    return [synthetic / str(painter) for painter in config.trial.painters]


def _examples(store: PairStore, names: list[str], count: int) -> list[SliceRef]:
    """The slice with most of the primary region of each patient, then evenly over the patients by that area."""
    largest: dict[str, tuple[int, SliceRef]] = {}
    for row in store.index:
        area = sum(row[name] for name in names)
        if area > largest.get(row["patient"], (-1,))[0]:
            largest[row["patient"]] = (area, SliceRef(row["patient"], row["slice"]))
    ranked = [ref for _, ref in sorted(largest.values(), reverse=True)]
    step = max(1, len(ranked) // count)
    return ranked[::step][:count]


def _triplet(real: PairStore, painted: PairStore, ref: SliceRef) -> Triplet:
    provenance = painted.patient(ref.patient).provenance
    if provenance is None:
        raise StoreError(painted.root, f"'{ref.patient}' has no provenance", "run 'synthesize' again")
    source = SliceRef(provenance.source_patient, provenance.source_slices[ref.position])
    return painted.label(ref.patient)[ref.position], painted.windowed(ref), real.windowed(source)


def _summary(record: TrialRecord, report: Path) -> str:
    """The table, the verdict and what to open next, as plain text."""
    console = Console(file=io.StringIO(), width=WIDTH, record=True)
    console.print(summary_table(record))
    console.print()
    opened = f"Open next: {report / 'report.html'}; for programs: {report / 'trial.json'}; runs: make ui"
    for line in (*summary_lines(record), opened):
        wrapped = textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        console.print(wrapped, markup=False, highlight=False, soft_wrap=True)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines()) + "\n"


def _metrics(record: TrialRecord) -> dict[str, float]:
    region = record.plan.region
    metrics = {_metric_name(region, arm): arm.regions[region].dice for arm in record.arms}
    answer = record.answer
    if answer:
        ends = {"difference_low": answer.low, "difference_high": answer.high}
        metrics |= {"difference": answer.mean, "difference_p": answer.p}
        metrics |= {name: end for name, end in ends.items() if end is not None}
    return metrics


def _metric_name(region: str, arm: ArmRecord) -> str:
    return f"dice_{region}_{arm.segmenter}_{arm.fraction:g}_{arm.training_set.replace('+', '_')}"
