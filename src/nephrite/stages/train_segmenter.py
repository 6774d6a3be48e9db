"""Real and maybe synthetic slices to the trained segmenter of one arm."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nephrite import __version__
from nephrite.config import Config
from nephrite.dependencies import facts
from nephrite.errors import StoreError
from nephrite.recording import Run, SilentRun

if TYPE_CHECKING:
    from nephrite.augment.lesions import LesionBank
    from nephrite.segmentation.arm_inputs import ArmInputs
    from nephrite.segmentation.artifacts import SegmenterCard
    from nephrite.segmentation.fitting import SegmentationModule, SegmentationTask
    from nephrite.segmentation.networks import Segmenter
    from nephrite.store.slices import SliceRef
    from nephrite.training.data import SliceSource
    from nephrite.training.mixing import Extra

    Part: TypeAlias = tuple[SliceSource, Sequence[SliceRef]]

TEACHER = "teacher"


def train_segmenter(
    config: Config,
    run: Run,
    *,
    pairs: Path,
    segmenter: Path,
    synthetic: Path | None = None,
    teacher: Path | None = None,
) -> dict[str, float]:
    """Train the segmenter of one arm and keep the weights that are best on validation.

    All arms take the same number of optimizer steps; within a cell they share patients, initialization and seeds.
    So the teacher of self-training is the cell's arm without it: `teacher` is its folder, or the same is trained here.

    Raises:
        LeakageError: synthetic slices know patients that the arm must not know.
        StoreError: a store is missing, broken, or does not fit the other one.
        ConfigError: the arm needs synthetic slices and got none, or the other way round; the teacher is not the one
            that it would train; it needs scans without labels, and there are none; it pastes lesions, and there is none
            to paste or no place for any; or none of its patients, or of validation, has the primary region.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    from nephrite.segmentation.arm_inputs import open_stores
    from nephrite.training.devices import process_rank

    inputs = open_stores(config, pairs, synthetic, teacher)
    recorded = run if process_rank() == 0 else SilentRun()
    for name, store in (("pairs", inputs.real), ("synthetic", inputs.synthetic)):
        if store:
            recorded.dataset(store.root, name=name, digest=store.manifest.digest)
    card, slices = _train(config, recorded, inputs, segmenter)
    return {
        "validation_score": card.validation_score,
        "best_step": float(card.steps),
        "seconds": card.seconds,
        "training_slices": float(slices),
    }


def _train(config: Config, run: Run, inputs: ArmInputs, segmenter: Path) -> tuple[SegmenterCard, int]:
    from nephrite.segmentation.artifacts import write_card
    from nephrite.training.devices import process_rank
    from nephrite.training.mixing import Extra
    from nephrite.training.trainer import resumable_folder

    arm = config.this_arm
    with resumable_folder(segmenter, _fingerprint(config, inputs)) as folder:
        parts = [_real_part(inputs)]
        extras: list[Extra] = []
        fakes = config.this_training_set.fakes
        if fakes and inputs.synthetic and inputs.synthesizer:
            parts.append((inputs.synthetic, inputs.synthetic.slices()))
            extras.append(Extra.of(fakes, len(parts[-1][1])))
        if config.this_training_set.trains_itself:
            parts.append(_pseudo_part(config, inputs, folder / TEACHER))
            extras.append(Extra(len(parts[-1][1]), "mix", config.train_segmenter.self_training.share))
        task = _task(config, inputs, parts, extras)
        module = _fit(config, run, task, folder, text=str(arm))
        card = _card(config, run, inputs, module.history)
        if process_rank() == 0:
            write_card(folder, card, module.history)
            shutil.rmtree(folder / TEACHER, ignore_errors=True)
    run.artifact(segmenter, folder="segmenter")
    return card, len(task.training)


def _fit(config: Config, run: Run, task: SegmentationTask, folder: Path, *, text: str) -> SegmentationModule:
    """Train to the end; teacher and student of a cell start from the same weights, in the same order of slices."""
    from nephrite.segmentation.fitting import SegmentationModule
    from nephrite.training.data import derive_seed
    from nephrite.training.trainer import fit

    seed = derive_seed(config.trial.seed, config.this_arm.cell, "order", *_chance(config))
    network = _initialized(config, channels=len(task.channels))
    module = SegmentationModule(network, task, config.train_segmenter, seed=seed, folder=folder)
    fit(module, config.compute, folder=folder, epochs=config.train_segmenter.epochs, run=run, text=text)
    return module


def _real_part(inputs: ArmInputs) -> Part:
    known = set(inputs.labelled)
    slices = [ref for ref in inputs.real.slices("train") if ref.patient in known]
    if not slices:
        raise StoreError(inputs.real.root, "has no slices in the split 'train'", "raise 'prepare.split.train'")
    return inputs.real, slices


def _pseudo_part(config: Config, inputs: ArmInputs, folder: Path) -> Part:
    """Scans without labels, labelled by a teacher: the segmenter of the same cell without them."""
    from nephrite.segmentation.inference import label_scans
    from nephrite.training.devices import pick_device

    store, channels, size = inputs.real, inputs.real.manifest.channels, config.evaluate.batch_size
    confidence = config.train_segmenter.self_training.confidence
    teacher = (inputs.teacher or _train_teacher(config, inputs, folder)).to(pick_device(config.compute)).eval()
    labels = label_scans(teacher, store, inputs.unlabelled, channels, confidence=confidence, batch_size=size)
    return labels, labels.slices()


def _train_teacher(config: Config, inputs: ArmInputs, folder: Path) -> Segmenter:
    from nephrite.segmentation.artifacts import WEIGHTS, load_weights

    folder.mkdir(exist_ok=True)
    task = _task(config, inputs, [_real_part(inputs)], [])
    module = _fit(config, SilentRun(), task, folder, text=f"Teacher of {config.this_arm}")
    load_weights(module.network, folder / WEIGHTS)
    return module.network


def _task(config: Config, inputs: ArmInputs, parts: list[Part], extras: list[Extra]) -> SegmentationTask:
    from nephrite.segmentation.fitting import SegmentationTask
    from nephrite.training.data import Pairs
    from nephrite.training.mixing import group_counts, group_sizes

    settings, chosen = config.train_segmenter, config.this_training_set
    validation = inputs.real.slices("validation")
    if not validation:
        finding = "has no slices in the split 'validation'"
        raise StoreError(inputs.real.root, finding, "raise 'prepare.split.validation'")
    steps = settings.epochs * settings.steps_per_epoch
    return SegmentationTask(
        training=Pairs(*parts),
        groups=tuple(group_sizes(len(parts[0][1]), extras)),
        counts=group_counts(extras, steps=steps, batch_size=settings.batch_size),
        validation=Pairs((inputs.real, validation)),
        channels=inputs.real.manifest.channels,
        region=config.evaluate.regions[config.trial.primary].labels,
        threshold=config.evaluate.threshold,
        augmentation=chosen.augmentation,
        unsure=chosen.trains_itself,
        lesions=_lesions(config, inputs) if chosen.pastes_lesions else None,
        workers=config.compute.loader_workers,
    )


def _lesions(config: Config, inputs: ArmInputs) -> LesionBank:
    from nephrite.training.lesion_bank import fill_bank

    _, slices = _real_part(inputs)
    return fill_bank(inputs.real, slices, config.prepare.lesion_values, place=f"arm {config.this_arm}")


def _initialized(config: Config, *, channels: int) -> Segmenter:
    """The network of the arm; its first weights follow from the trial's seed and the cell, but for a null arm."""
    import torch

    from nephrite.segmentation.networks import build_segmenter
    from nephrite.training.data import derive_seed

    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(config.trial.seed, config.this_arm.cell, "weights", *_chance(config)))
        return build_segmenter(config.train_segmenter.segmenters[config.this_arm.segmenter], channels=channels)


def _chance(config: Config) -> tuple[str, ...]:
    """What makes a null arm's random numbers others than those which all other arms of the cell share."""
    return ("null",) if config.this_training_set.copy_of else ()


def _fingerprint(config: Config, inputs: ArmInputs) -> dict[str, object]:
    """Everything that the weights depend on."""
    return {
        **facts(config, "train_segmenter"),
        "patients": inputs.labelled,
        "pairs": inputs.real.manifest.digest,
        "synthetic": inputs.synthetic.manifest.digest if inputs.synthetic else None,
    }


def _card(config: Config, run: Run, inputs: ArmInputs, history: list[dict[str, float]]) -> SegmenterCard:
    from nephrite.segmentation.artifacts import SegmenterCard
    from nephrite.segmentation.fitting import best_epoch

    best = history[best_epoch(history)]
    return SegmenterCard(
        arm=str(config.this_arm),
        settings=config.train_segmenter.segmenters[config.this_arm.segmenter],
        classes=inputs.real.manifest.classes,
        channels=inputs.real.manifest.channels,
        intensity=config.prepare.intensity,
        in_plane=config.prepare.in_plane,
        training_patients=tuple(inputs.labelled),
        synthesizer=inputs.synthesizer,
        pairs=inputs.real.manifest.digest,
        validation_score=best["validation_dice"],
        region=config.trial.primary,
        threshold=config.evaluate.threshold,
        steps=int(best["step"]),
        seconds=sum(row["seconds"] for row in history),
        run_id=run.id,
        version=__version__,
    )
