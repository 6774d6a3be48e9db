"""All arms side by side: the table, the figures, and the verdict in words."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nephrite import __version__
from nephrite.config import Arm, Config, QuestionSettings
from nephrite.dependencies import trial_facts
from nephrite.errors import ConfigError, StoreError
from nephrite.evidence import write_evidence
from nephrite.files import digest, whole_folder, write_json
from nephrite.look_ledger import Taken, Wanted, counts_looks, few_cells, marks_of, take_look
from nephrite.metrics.means import mean_scores
from nephrite.metrics.scores import AGAIN, ArmScores, read_scores
from nephrite.recording import ArmRow, Run, captions
from nephrite.report.curve_figure import equivalence_plot
from nephrite.report.dvc_metrics import METRICS, dvc_metrics
from nephrite.report.examples import draw_examples
from nephrite.report.figures import learning_curves, score_plot
from nephrite.report.forest_figure import forest_plot, rival_plot
from nephrite.report.notes import (
    absence_notes,
    all_rejected,
    doubtful_sets,
    label_notes,
    loss_notes,
    scan_notes,
    seed_notes,
    spacing_notes,
    synthetic_notes,
    synthetic_stores,
)
from nephrite.report.on_mlflow import run_note, run_title
from nephrite.report.pages import write_pages
from nephrite.report.summary import summarize
from nephrite.report.trial_record import LookRecord, TrialRecord
from nephrite.report.web.alternatives import CURVE, FOREST, LEARNING, RIVALS, SCORES
from nephrite.report.web.sections import trial_sections
from nephrite.report.without_labels import unlabeled_notes
from nephrite.store.persons import Persons
from nephrite.store.slices import EXTERNAL, PairStore, read_manifest
from nephrite.store.split import shared_patients
from nephrite.verdict.blind import blind_baselines
from nephrite.verdict.elsewhere import left_out, not_worse_at_home
from nephrite.verdict.measures import Measure
from nephrite.verdict.trial import Question, Trial, TrialPlan, synthetic_question

logger = logging.getLogger(__name__)
WITHOUT_SCORES = tuple(f"nephrite.stages.{stage}" for stage in ("acquire", "report", "promote"))
EXPERIMENT = ("trial", "acquire", "prepare", "train_gan", "synthesize", "screen", "train_segmenter", "evaluate")


def report(
    config: Config,
    run: Run,
    *,
    pairs: Path,
    synthetic: Path | None = None,
    scores: Path,
    predictions: Path | None = None,
    report: Path,
) -> dict[str, float]:
    """Judge all arms of the trial: trial.json, report.md, report.html, summary.txt, figures/ and evidence.json.

    With `predictions`, the label maps that 'evaluate' kept, the page shows slices of each patient.

    Raises:
        StoreError: the scores of an arm are missing, broken, changed, or not of this store's test patients.
        TrialError: the scores do not make a trial, e.g. arms with different test patients.
    """
    # read all scores and judge them
    arms, store = read_arms(config, scores), PairStore(pairs)
    check_patients(config, arms, store, scores)
    known, declared = [scores for scores in arms if scores.arm.fraction > 0], trial_plan(config)
    rejected = all_rejected(config, synthetic) if synthetic else None
    if rejected:  # nothing is asked of arms that were to see synthetic slices, and saw none
        known = [scores for scores in known if scores.arm.training_set not in declared.synthetic]
        declared = declared.without_synthetic()
    plan, notes = not_worse_at_home(declared, known)
    plan = replace(plan, overlap=overlaps(config, store.persons("train")))
    trial = Trial(plan, tuple(known))
    notes += left_out(len(questions_left_out(config)), headline=config.trial.where != plan.where)
    notes += unlabeled_notes(arms, config.trial.primary, config.trial.reference, plan.where)
    notes += seed_notes(config) + spacing_notes(config)
    notes += label_notes(arms) + scan_notes(config, store) + absence_notes(config, pairs) + loss_notes(config, pairs)
    notes += synthetic_notes(config, synthetic) if synthetic else []
    # pay for the look, then judge
    taken = _take_look(config, run, pairs, store)
    if taken:
        trial = replace(trial, plan=replace(plan, confidence=1 - taken.level))
        notes += [*taken.notes, *([f"{few[0].upper()}{few[1:]}."] if (few := few_cells(config)) else [])]
    asked = EXTERNAL if plan.where == "external" else config.trial.judged_on
    blind = blind_baselines(config, store, asked)
    doubtful = doubtful_sets(config, synthetic) if synthetic else []
    record = summarize(
        trial, notes, blind=blind, look=_look_record(config, taken), unverifiable=doubtful, rejected=rejected
    )
    # draw and write
    with whole_folder(report, "report") as folder:
        pictures = _draw(record, arms, folder)
        if synthetic is not None:
            pictures |= draw_examples(config, pairs, synthetic, folder)
        given = {"synthetic": synthetic, "predictions": predictions}
        sections = trial_sections(config, known, record, store, folder, **given)
        write_json(folder / METRICS, dvc_metrics(record))
        write_pages(record, folder, pictures, sections, title=f"Trial {config.trial.name}", place=report)
        inputs = digests_of(config, arms, store, synthetic)
        write_evidence(folder, kind="report", inputs=inputs, version=__version__)
    run.artifact(report)
    run.tags(captions({f"{report.name}/{path}": shows for shows, path in pictures.items()}))
    rows = [_row(config, scores) for scores in arms]
    run.judged(run_title(config.trial.name, record), run_note(record), rows)
    run.tags({"judged_on": config.trial.judged_on, **({"look": str(record.look.number)} if record.look else {})})
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


def check_patients(config: Config, arms: Sequence[ArmScores], store: PairStore, scores: Path) -> None:
    """Refuse scores of other patients than those of the judged split, or of another store.

    Raises:
        StoreError: names the file, and the patients.
    """
    split = config.trial.judged_on
    expected = {*store.patients(split)}
    for arm in arms:
        path, found = scores / f"{arm.arm}.json", {score.patient for score in arm.patients}
        if found != expected:
            odd, known = sorted(found ^ expected), f"are not those of the split '{split}'"
            raise StoreError(path, f"its patients {known} of {store.root}: {', '.join(odd[:5])}", AGAIN)
        others = {*store.patients(EXTERNAL)} if split == "test" else set[str]()
        if odd := sorted({score.patient for score in arm.external} ^ others):
            finding = f"its external test patients are not those of {store.root}: {', '.join(odd[:5])}"
            raise StoreError(path, finding, AGAIN)
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


def _take_look(config: Config, run: Run, pairs: Path, store: PairStore) -> Taken | None:
    """Count a look at the patients who are judged, and at those of another hospital, where their scores are shown.

    None is counted of validation patients, and of a phantom's, who are made.
    """
    trial, cells = config.trial, tuple(sorted(config.trial.cells))
    home = marks_of(store, trial.judged_on) if counts_looks(config) else ()
    external = marks_of(store, EXTERNAL) if trial.judged_on == "test" else ()
    if not (home or external):
        return None
    trial, cells = config.trial, tuple(sorted(config.trial.cells))
    asked = question_digest(config, store.manifest.digest)
    wanted = Wanted("report", trial.name, asked, home, cells, trial.planned_cells, external)
    return take_look(run, pairs, wanted, alpha=1 - config.report.confidence)


def question_digest(config: Config, data: str) -> str:
    """Digest of what a trial asks: settings, code and data that its scores follow from, its cells left out."""
    facts = trial_facts(config)
    settings = {
        name: value for name, value in facts["settings"].items() if name not in ("acquire", "report", "promote")
    }
    settings["trial"] = {key: value for key, value in settings["trial"].items() if key not in ("cells", "name")}
    code = {name: value for name, value in facts["code"].items() if name not in WITHOUT_SCORES}
    return digest({"settings": settings, "code": code, "data": data})


def _look_record(config: Config, taken: Taken | None) -> LookRecord | None:
    if taken is None:
        return None
    look, confidence = taken.look, config.report.confidence
    marks = {"patients": look.patients, "external": look.external}
    return LookRecord(number=look.number, share=look.share, confidence=confidence, **marks)


def overlaps(config: Config, scans: Persons) -> dict[float, float]:
    """Label fraction to the share of its training patients that a cell has in common with another, on average."""
    trial = config.trial
    return {share: shared_patients(scans, share, cells=trial.cells, trial=trial) for share in trial.label_fractions}


def trial_plan(config: Config) -> TrialPlan:
    """What was declared before any run, from the settings."""
    trial, settings = config.trial, config.report
    headline = trial.question or synthetic_question(trial.training_sets.pairs, trial.reference)
    return TrialPlan(
        region=trial.primary,
        metric=trial.metric,
        where=trial.asked_where,
        reference=trial.reference,
        question=headline,
        questions=_questions(config, headline),
        fraction=min(trial.label_fractions),
        synthetic=tuple(fakes.name for fakes in trial.training_sets.synthetic),
        rivals=trial.training_sets.baselines,
        copies=trial.training_sets.copies,
        judged_on=trial.judged_on,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=trial.seed,
        digest=digest(config.model_dump(mode="json", include=set(EXPERIMENT))),
    )


def _questions(config: Config, headline: tuple[str, str] | None) -> tuple[Question, ...]:
    """The further questions; what they leave open is the headline's.

    Raises:
        ConfigError: there is no headline, and one leaves a training set open.
    """
    found, unasked = [], questions_left_out(config)
    for asked in config.trial.questions:
        if asked in unasked:
            continue
        sets = (asked.training_set, asked.against)
        if None in sets and headline is None:
            finding = "leaves a training set to the headline, and the trial has none"
            raise ConfigError("trial.questions", finding, "name 'training_set' and 'against'")
        first, second = (name or default for name, default in zip(sets, headline or ("", ""), strict=True))
        where = asked.where or config.trial.where
        found.append(Question(Measure(asked.metric, asked.region or config.trial.primary, where), first, second))
    return tuple(found)


def questions_left_out(config: Config) -> list[QuestionSettings]:
    """Questions about patients of another hospital, whom a report for development does not look at."""
    trial = config.trial
    elsewhere = [asked for asked in trial.questions if (asked.where or trial.where) == "external"]
    return elsewhere if trial.judged_on == "validation" else []


def _draw(record: TrialRecord, arms: list[ArmScores], folder: Path) -> dict[str, str]:
    # differences and scores
    pictures = {FOREST: "differences.png", SCORES: "patients.png"}
    forest_plot(record, folder / "figures" / "differences.png")
    score_plot(record, folder / "figures" / "patients.png")
    if record.rivals:
        pictures[RIVALS] = "rivals.png"
        rival_plot(record, folder / "figures" / "rivals.png")
    if record.equivalence:
        pictures[CURVE] = "equivalence.png"
        equivalence_plot(record.plan, record.equivalence, folder / "figures" / "equivalence.png")
    # learning curves
    pictures[LEARNING] = "learning.png"
    learning_curves(_curves(arms, "train_loss"), _curves(arms, "validation_dice"), folder / "figures" / "learning.png")
    return {shows: f"figures/{name}" for shows, name in pictures.items()}


def _curves(arms: Sequence[ArmScores], name: str) -> dict[Arm, list[tuple[int, float]]]:
    """Arm to (step, figure) of its history; a program of the user's need not say its loss."""
    return {each.arm: [(int(row["step"]), row[name]) for row in each.history if name in row] for each in arms}


def _row(config: Config, scores: ArmScores) -> ArmRow:
    """An arm beside the others on MLflow's page."""
    return ArmRow(arm=str(scores.arm), digest=scores.inputs.get("segmenter", ""), metrics=mean_scores(config, scores))


def _metrics(record: TrialRecord) -> dict[str, float]:
    answer = record.answer
    if answer is None:
        return {"arms": float(len(record.arms))}
    ends = {"difference_low": answer.low, "difference_high": answer.high}
    metrics = {"difference": answer.mean, "difference_p": answer.p}
    return metrics | {name: end for name, end in ends.items() if end is not None}
