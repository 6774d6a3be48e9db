"""The task of an arm: who is learned from, what is mixed in, by which seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nephrite.augment.lesions import LesionBank
from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.recording import Run
from nephrite.seeds import derive_seed
from nephrite.segmentation.arm_inputs import ArmInputs
from nephrite.segmentation.fit_task import Addition, Cohort, FitTask
from nephrite.store.grid_loss import vanished_patients
from nephrite.training.lesion_bank import fill_bank
from nephrite.training.pseudo_labels import PseudoLabels


def synthetic_additions(config: Config, inputs: ArmInputs) -> list[Addition]:
    """Synthetic slices as the training set mixes them in, if the arm sees them and some were accepted."""
    fakes = config.this_training_set.fakes
    if not (fakes and inputs.synthetic and inputs.synthesizer):
        return []
    painted = Cohort(inputs.synthetic, inputs.synthetic.patients())
    known = config.this_arm.fraction > 0
    return [Addition(painted, fakes.way, fakes.share) if known else Addition(painted, "mix", 1.0)]


def free_additions(config: Config, inputs: ArmInputs) -> list[Addition]:
    """Lesion-free scans as a share of each batch, if the arm sees them."""
    if inputs.free is None:
        return []
    scans, share = PseudoLabels(inputs.real, inputs.free.labels), config.train_segmenter.lesion_free.share
    return [Addition(Cohort(scans, [*inputs.free.labels]), "mix", share)]


def arm_task(
    config: Config,
    inputs: ArmInputs,
    additions: Sequence[Addition],
    *,
    folder: Path,
    run: Run,
    text: str,
    done: Path | None = None,
) -> FitTask:
    """What the arm learns; teacher and student of a cell start from the same weights, in the same order of slices."""
    cell, seed, chosen = config.this_arm.cell, config.trial.seed, config.this_training_set
    onto = frozenset(inputs.free.labels) if inputs.free and chosen.pastes_onto_free else None
    choosing, region = inputs.validation, config.evaluate.regions[config.trial.primary].labels
    return FitTask(
        training=_some(inputs, "train", inputs.labeled) if config.this_arm.fraction else Cohort(inputs.real, []),
        additions=tuple(additions),
        validation=_some(inputs, "validation", choosing),
        channels=inputs.real.manifest.channels,
        region=region,
        vanished=vanished_patients(inputs.real, choosing, region),
        threshold=config.evaluate.threshold,
        augmentation=chosen.augmentation,
        unsure=chosen.trains_itself or bool(inputs.masked),
        lesions=_lesions(config, inputs, onto) if chosen.pastes_lesions or chosen.pastes_onto_free else None,
        pasted_onto=onto,
        settings=config.train_segmenter,
        compute=config.compute,
        weights_seed=derive_seed(seed, cell, "weights", *_chance(config)),
        order_seed=derive_seed(seed, cell, "order", *_chance(config)),
        folder=folder,
        run=run,
        text=text,
        confirms_seed=config.this_arm == config.trial.first_arm(config.this_arm.segmenter),
        done=done,
    )


def _some(inputs: ArmInputs, split: str, patients: list[str]) -> Cohort:
    """Slices of these patients in a split, as a cohort; there must be some."""
    held = {ref.patient for ref in inputs.real.slices(split)}
    cohort = Cohort(inputs.real, [patient for patient in patients if patient in held])
    if not cohort.patients:
        raise StoreError(inputs.real.root, f"has no slices in the split '{split}'", f"raise 'prepare.split.{split}'")
    return cohort


def _lesions(config: Config, inputs: ArmInputs, onto: frozenset[str] | None) -> LesionBank:
    slices = _some(inputs, "train", inputs.labeled).slices()
    return fill_bank(inputs.real, slices, config.prepare.lesion_values, place=f"arm {config.this_arm}", onto=onto)


def _chance(config: Config) -> tuple[str, ...]:
    """Extra parts of the seed that give an A/A arm (null arm) random draws unlike those of all other arms of a cell."""
    return ("null",) if config.this_training_set.copy_of else ()
