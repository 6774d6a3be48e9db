"""Trains the segmenter of one arm on real and, if the arm has them, synthetic slices."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from nephrite import __version__
from nephrite.config import Config, SegmenterSettings
from nephrite.dependencies import facts
from nephrite.metrics.curves import RISING, kept_epoch, late_gain
from nephrite.programs.settings import program_digest
from nephrite.recording import Run, SilentRun
from nephrite.segmentation.arm_inputs import ArmInputs, open_stores
from nephrite.segmentation.arm_task import arm_task, free_additions, synthetic_additions
from nephrite.segmentation.artifacts import PROGRAM, SegmenterCard, write_card
from nephrite.segmentation.backend import Trained, backend_of
from nephrite.segmentation.demands import check_segmenters, shape_of
from nephrite.segmentation.fit_task import Addition, Cohort, Row
from nephrite.segmentation.helper_segmenter import label_scans
from nephrite.segmentation.own_image import backend_apart
from nephrite.store.persons import count_persons
from nephrite.store.volume_range import volume_ranges
from nephrite.training.checkpoints import resumable_folder
from nephrite.training.devices import process_rank

TEACHER = "teacher"
logger = logging.getLogger(__name__)


def train_segmenter(
    config: Config,
    run: Run,
    *,
    pairs: Path,
    segmenter: Path,
    synthetic: Path | None = None,
    teacher: Path | None = None,
    done: Path | None = None,
) -> dict[str, float]:
    """Train the segmenter of one arm, and keep the last weights or those that are best on validation.

    All arms take the same number of optimizer steps; within a cell they share patients, initialization and seeds.
    So the teacher of self-training equals the cell's arm without self-training: `teacher` is that arm's folder; without
    it the same teacher is trained here. `done` is what a program made in an image of its own, by the order that
    'order_fit' wrote: then nothing is trained here.

    Raises:
        LeakageError: a synthetic slice was derived from a patient outside the arm's training set.
        StoreError: a store is missing, broken, or does not fit the other one.
        ConfigError: the arm needs synthetic slices and got none, or the other way round; the teacher is not the one
            that it would train; it needs scans without labels, or lesion-free ones, and there are none; it pastes
            lesions, and there is none to paste or no place for any; or none of its patients, or of validation, has the
            primary region.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    # leakage guard, before anything is trained
    inputs = open_stores(config, pairs, synthetic, teacher)
    check_segmenters(config, shape_of(inputs.real.manifest), arms=[config.this_arm])
    if done:
        backend_apart(config)
    # one process records
    recorded = run if process_rank() == 0 else SilentRun()
    for name, store in (("pairs", inputs.real), ("synthetic", inputs.synthetic)):
        if store:
            recorded.dataset(store.root, name=name, digest=store.manifest.digest)
    card, slices = _train(config, recorded, inputs, segmenter, done)
    persons, labeled = inputs.real.persons(), (*card.training_patients, *card.choosing_patients)
    return {
        "validation_score": card.validation_score,
        "best_step": float(card.steps),
        "seconds": card.seconds,
        "training_slices": float(slices),
        "labels_used": float(count_persons(persons, labeled)),
        "masked_patients": float(count_persons(persons, card.masked_patients)),
    }


def _train(
    config: Config, run: Run, inputs: ArmInputs, segmenter: Path, done: Path | None
) -> tuple[SegmenterCard, int]:
    arm = config.this_arm
    backend = backend_of(config.train_segmenter.segmenters[arm.segmenter])
    with resumable_folder(segmenter, "segmenter", _fingerprint(config, inputs)) as folder:
        # additions to the real slices: synthetic ones, pseudo-labeled ones
        additions = synthetic_additions(config, inputs)
        if config.this_training_set.trains_itself:
            additions.append(_pseudo_labeled(config, inputs, folder / TEACHER))
        additions += free_additions(config, inputs)
        # train; an interrupted training resumes
        task = arm_task(config, inputs, additions, folder=folder, run=run, text=str(arm), done=done)
        trained = backend.fit(task)
        # one process writes
        card = _card(config, run, inputs, trained.history)
        _tell_rising(card)
        if process_rank() == 0:
            shutil.rmtree(folder / TEACHER, ignore_errors=True)  # the card answers for what is there
            write_card(folder, card, trained.history)
    run.artifact(segmenter, folder="segmenter")
    return card, sum(len(cohort.slices()) for cohort in (task.training, *(each.cohort for each in additions)))


def _tell_rising(card: SegmenterCard) -> None:
    """Warn of a training that was not over: arms may then differ by how quickly they learn."""
    if card.late_gain is not None and card.late_gain > RISING:
        text = "arm %s: validation Dice still rose at the end, by %.3f in the last quarter of the steps: raise "
        logger.warning(text + "'train_segmenter.epochs' or 'train_segmenter.steps_per_epoch'", card.arm, card.late_gain)


def _pseudo_labeled(config: Config, inputs: ArmInputs, folder: Path) -> Addition:
    """Scans without labels, labeled by a teacher: the segmenter of the same cell without them."""
    store, settings = inputs.real, config.train_segmenter.self_training
    teacher = inputs.teacher or _train_teacher(config, inputs, folder)
    teacher = teacher.backend.ready(teacher, config.compute, batch_size=config.evaluate.batch_size)
    channels = store.manifest.channels
    labels = label_scans(teacher, store, inputs.unlabeled, channels, confidence=settings.confidence)
    return Addition(Cohort(labels, inputs.unlabeled), "mix", settings.share)


def _train_teacher(config: Config, inputs: ArmInputs, folder: Path) -> Trained:
    folder.mkdir(exist_ok=True)
    additions, text = free_additions(config, inputs), f"Teacher of {config.this_arm}"
    task = arm_task(config, inputs, additions, folder=folder, run=SilentRun(), text=text)
    return backend_of(config.train_segmenter.segmenters[config.this_arm.segmenter]).fit(task)


def _fingerprint(config: Config, inputs: ArmInputs) -> dict[str, object]:
    """Everything that the weights depend on."""
    return {
        **facts(config, "train_segmenter"),
        "patients": inputs.labeled,
        "pairs": inputs.real.manifest.digest,
        "synthetic": inputs.synthetic.manifest.digest if inputs.synthetic else None,
    }


def _digests(inputs: ArmInputs, settings: SegmenterSettings) -> dict[str, str]:
    """Digests of the stores that it learns from, and of the files of its program."""
    stores = {"pairs": inputs.real, "synthetic": inputs.synthetic}
    program = {PROGRAM: program_digest(settings.programs)} if settings.programs else {}
    return {name: store.manifest.digest for name, store in stores.items() if store} | program


def _card(config: Config, run: Run, inputs: ArmInputs, history: Sequence[Row]) -> SegmenterCard:
    # the epoch that was kept
    kept, settings = history[kept_epoch(history, config.train_segmenter.weights)], config.train_segmenter
    return SegmenterCard(
        arm=str(config.this_arm),
        settings=settings.segmenters[config.this_arm.segmenter],
        classes=inputs.real.manifest.classes,
        channels=inputs.real.manifest.channels,
        intensity=config.prepare.intensity,
        in_plane=config.prepare.in_plane,
        training_patients=tuple(inputs.labeled),
        masked_patients=tuple(inputs.masked),
        synthesizer=inputs.synthesizer,
        pairs=inputs.real.manifest.digest,
        validation_score=kept["validation_dice"],
        region=config.trial.primary,
        threshold=config.evaluate.threshold,
        steps=int(kept["step"]),
        seconds=sum(row["seconds"] for row in history),
        choosing_patients=tuple(inputs.validation) if settings.asks_validation else (),
        window=settings.window,
        late_gain=late_gain(history),
        unverifiable=inputs.unverifiable,
        image_channels=inputs.real.manifest.image_channels,
        volumes=volume_ranges(inputs.real, inputs.labeled) if config.prepare.spacing == "measured" else {},
        run_id=run.id,
        version=__version__,
        inputs=_digests(inputs, settings.segmenters[config.this_arm.segmenter]),
    )
