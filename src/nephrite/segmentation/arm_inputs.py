"""What an arm of a trial may see; anything else is refused here, before anything is trained or written."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.segmentation.artifacts import read_teacher
from nephrite.segmentation.backend import Trained
from nephrite.store.brought.sources import unverifiable_sets
from nephrite.store.class_presence import demand_holders
from nephrite.store.lesion_free import LesionFree, masked_sources, read_lesion_free
from nephrite.store.runs import LEAST, count_outside
from nephrite.store.slices import PairStore
from nephrite.store.split import demand_unlabeled, training_subset, unlabeled_patients
from nephrite.training.leakage import check_fit, check_synthetic

logger = logging.getLogger(__name__)


class ArmInputs(NamedTuple):
    """What an arm sees.

    Attributes:
        real: all real slices.
        labeled: training patients whose labels it knows.
        validation: patients who show how well it learns. Where they choose its weights, the label fraction holds for
            them, too: else a few labeled training patients would come with many labeled patients to choose by.
        synthetic: synthetic slices, for an arm that has some.
        synthesizer: id of their synthesizer; None if there are none, or if screening accepted no slice.
        teacher: of an arm with self-training, if it was given; on the processor.
        free: lesion-free scans, for an arm that has some.
    """

    real: PairStore
    labeled: list[str]
    validation: list[str]
    synthetic: PairStore | None = None
    synthesizer: str | None = None
    teacher: Trained | None = None
    free: LesionFree | None = None

    @property
    def masked(self) -> list[str]:
        """Patients of whose lesions it knows an ignore mask: a weak label, by lesion-free or synthetic slices."""
        found = set(self.free.masked) if self.free else set()
        return sorted(found | (masked_sources(self.synthetic) if self.synthetic else set()))

    @property
    def unverifiable(self) -> tuple[str, ...]:
        """Sets of synthetic slices that it learns from and nobody can tell whose data they derive from."""
        return tuple(unverifiable_sets(self.synthetic)) if self.synthetic else ()

    @property
    def unlabeled(self) -> list[str]:
        """Patients whose scans the arm may see without labels."""
        return unlabeled_patients(self.real.splits, self.real.persons(), self.labeled)


def open_stores(config: Config, pairs: Path, synthetic: Path | None = None, teacher: Path | None = None) -> ArmInputs:
    """Open what the arm of the settings sees.

    Args:
        config: settings with an arm.
        pairs: store of real slices.
        synthetic: store of synthetic slices; exactly for an arm that has some.
        teacher: folder of the segmenter that an arm with self-training learns from; it trains its own without.

    Raises:
        LeakageError: synthetic slices know patients that the arm must not know.
        StoreError: a store or the teacher is missing, broken, or does not fit the others; or synthetic slices are no
            volumes, and the arm learns from these.
        ConfigError: the arm needs what was not given, or was given what it does not take; there are no scans without
            labels for its self-training, or no lesion-free ones that it needs; or no patient of its own, or of
            validation, has the primary region.
    """
    # the same patients for every arm of a cell
    arm = config.this_arm
    _check_arm(config, synthetic, teacher)
    real = PairStore(pairs)
    labeled = training_subset(real.persons("train"), arm.fraction, cell=arm.cell, trial=config.trial)
    validation = real.patients("validation")
    if config.train_segmenter.asks_validation and validation:
        validation = training_subset(
            real.persons("validation"), arm.fraction, cell=arm.cell, trial=config.trial, least=1
        )
    _check_region(config, real, labeled, validation)
    # synthetic slices, after the leakage guard
    inputs = ArmInputs(real, labeled, validation)
    if synthetic is not None:
        inputs = _with_synthetic(config, inputs, PairStore(synthetic))
    # self-training: scans without labels, and a teacher if it was trained apart
    if config.this_training_set.trains_itself:
        demand_unlabeled(inputs.unlabeled, f"arm {arm}")
    if config.this_training_set.sees_lesion_free:
        lesions, chosen = config.prepare.lesion_values, config.prepare.lesion_free
        inputs = inputs._replace(free=read_lesion_free(real, labeled, lesions, chosen, asker=f"arm {arm}"))
    if teacher is None:
        return inputs
    wanted = config.trial.teacher(arm)
    return inputs._replace(teacher=read_teacher(teacher, arm, wanted, real.manifest.digest, labeled))


def _with_synthetic(config: Config, inputs: ArmInputs, painted: PairStore) -> ArmInputs:
    if painted.patients():
        synthesizer = check_synthetic(painted, inputs.real, inputs.labeled)
        _check_volumes(config, painted)
        return inputs._replace(synthetic=painted, synthesizer=synthesizer)
    check_fit(painted, inputs.real)
    text = "arm %s: screening accepted no synthetic slice: it learns from real slices alone"
    logger.warning(text, config.this_arm)
    return inputs._replace(synthetic=painted)


def _check_volumes(config: Config, painted: PairStore) -> None:
    """Refuse synthetic slices of which none has neighbors, where volumes are learned from; warn of those left out."""
    arm = config.this_arm
    if not config.train_segmenter.segmenters[arm.segmenter].sees_volumes:
        return
    outside, count = count_outside(painted, asker=f"arm {arm}")
    if outside:
        text = "arm %s: %d of %d synthetic slices are left out: they have fewer than %d neighbors in a row"
        logger.warning(text, arm, outside, count, LEAST)


def _check_arm(config: Config, synthetic: Path | None, teacher: Path | None) -> None:
    arm, fakes = config.this_arm, config.this_training_set.fakes
    if fakes and synthetic is None:
        raise ConfigError(f"arm {arm}", "needs synthetic slices, and none were given", "add '--synthetic FOLDER'")
    if synthetic is not None and not fakes:
        raise ConfigError(f"arm {arm}", "takes no synthetic slices, and some were given", "leave '--synthetic' out")
    if teacher is not None and not config.this_training_set.trains_itself:
        raise ConfigError(f"arm {arm}", "learns from no teacher", "leave '--teacher' out")


def _check_region(config: Config, real: PairStore, labeled: list[str], validation: list[str]) -> None:
    """Refuse an arm that cannot learn the primary region, or whose weights could not be chosen by it."""
    region = config.trial.primary
    values = config.evaluate.regions[region].labels
    who = f"training patients of cell {config.this_arm.cell} at label fraction {config.this_arm.fraction:g}"
    remedy = "take a larger label fraction, other cells, or more patients that have it"
    if config.this_arm.fraction:
        demand_holders(real, labeled, values, region=region, who=who, remedy=remedy)
    if validation:  # no patients at all are an error of their own
        remedy = "raise 'prepare.split.validation' or the label fraction, or set 'train_segmenter.weights' to 'last'"
        demand_holders(real, validation, values, region=region, who="validation patients", remedy=remedy)
