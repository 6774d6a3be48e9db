"""Slices that another program made: which of them a painter takes, after the leakage guard.

They are the same for every cell and label fraction, but for two things: a cell that does not know the labels of a
patient whom they derive from is refused, and of more than 'synthesize.ratio' allows some are drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from nephrite.config import Config, GeneratorSettings
from nephrite.errors import ConfigError
from nephrite.generation.source_slices import count_slices
from nephrite.imaging.sheet import Sample
from nephrite.seeds import derive_seed
from nephrite.store.brought.origin import ForeignRecord
from nephrite.store.brought.sets import read_set
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.thinning import thin
from nephrite.training.leakage import check_synthetic

logger = logging.getLogger(__name__)
SHOWN = 8  # slices of the sheet that shows what was brought


class BroughtSet(NamedTuple):
    """A set of 'acquire.synthetic'.

    Attributes:
        store: its slices.
        record: what is known of it.
    """

    store: PairStore
    record: ForeignRecord

    @property
    def patients(self) -> tuple[str, ...]:
        """Training patients whose labels it derives from, sorted."""
        found = (self.store.patient(fake).provenance for fake in self.store.patients())
        return tuple(sorted({patient for known in found if known for patient in known.patients}))

    @property
    def scans(self) -> tuple[str, ...]:
        """Patients of whom it knows the scan alone, sorted."""
        found = (self.store.patient(fake).provenance for fake in self.store.patients())
        return tuple(sorted({patient for known in found if known for patient in known.unlabeled_patients}))

    @property
    def facts(self) -> dict[str, str]:
        """What a record of the run says of it; empty facts are left out."""
        known = self.record
        told = {"generator": known.generator, "generator_version": known.version, "license": known.license}
        return {"provenance": known.standing} | {name: text for name, text in told.items() if text}


def open_brought(method: GeneratorSettings, store: PairStore, labeled: Sequence[str]) -> BroughtSet | None:
    """The set that a painter takes its slices from; None for a painter that paints.

    Args:
        method: of the painter.
        store: of real slices.
        labeled: training patients whose labels the cell knows.

    Raises:
        StoreError: the set is missing, broken, or of other classes or size.
        LeakageError: it derives from a patient whose labels the cell does not know.
    """
    if method.brought_set is None:
        return None
    found = BroughtSet(*read_set(store.root, method.brought_set))
    check_synthetic(found.store, store, labeled)
    if found.record.standing == "unverifiable":
        reasons = "; ".join(found.record.reasons)
        text = "%s: provenance is unverifiable (%s): its arms are never promoted"
        logger.warning(text, method.brought_set, reasons)
    return found


def choose_brought(
    config: Config, brought: BroughtSet, store: PairStore, labeled: Sequence[str]
) -> list[tuple[str, list[int]]]:
    """The fakes that are taken, and which of their slices.

    Args:
        config: settings with a painter.
        brought: the set.
        store: of real slices.
        labeled: training patients whose labels the cell knows; 'synthesize.ratio' is a multiple of their slices.

    Raises:
        ConfigError: the settings leave no slice.
    """
    settings, name = config.synthesize, brought.record.name
    slices = brought.store.slices(labeled_only=settings.labeled_only)
    if not slices:
        finding = f"true leaves no slice of the set '{name}': none holds a class"
        raise ConfigError("synthesize.labeled_only", finding, "set it to false, or check 'classes' of the set")
    # no more than the ratio asks for
    wanted = count_slices(store, labeled, settings.ratio, 0.0).masks
    if len(slices) > wanted:
        logger.warning("%s: %d of %d slices are taken ('synthesize.ratio')", name, wanted, len(slices))
        rng = np.random.default_rng(derive_seed(config.trial.seed, "brought", name))
        slices = sorted(slices[place] for place in rng.permutation(len(slices))[:wanted])
    return [(fake, [ref.position for ref in refs]) for fake, refs in groupby(sorted(slices), key=lambda ref: ref[0])]


def brought_samples(brought: BroughtSet, store: PairStore, labeled: Sequence[str]) -> list[Sample]:
    """Some slices as they were brought, each beside a slice of a real patient at the same share of the height."""
    fakes = brought.store.slices(labeled_only=True) or brought.store.slices()
    real = store.slices_of(labeled)
    return [_beside(brought.store, fake, store, real) for fake in thin(fakes, SHOWN)]


def _beside(fakes: PairStore, fake: SliceRef, store: PairStore, real: Sequence[SliceRef]) -> Sample:
    own = [ref for ref in real if ref.patient == real[0].patient]
    share = fake.position / max(len(fakes.image(fake.patient)) - 1, 1)
    shown = own[round(share * (len(own) - 1))]
    return Sample(np.array(fakes.label(fake.patient)[fake.position]), fakes.windowed(fake), store.windowed(shown))
