"""What a reader must know and the scores do not show: classes that nobody could learn, losses, empty synthetic sets."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.store.class_presence import absent_classes
from nephrite.store.grid_loss import grid_losses, loss_lines
from nephrite.store.slices import EXTERNAL, MANIFEST, PairStore
from nephrite.store.split import training_subset
from nephrite.words import counted


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


def loss_notes(config: Config, pairs: Path) -> list[str]:
    """Classes that vanished or shrank much on the grid, of judged patients, then of those who train and choose."""
    store, notes = PairStore(pairs), list[str]()
    judged: set[str] = {"test", EXTERNAL} if config.trial.judged_on == "test" else {"validation"}
    names = {"test": "a test patient", "train": "a training patient", "validation": "a validation patient"}
    for split, one in (names | {EXTERNAL: "an external test patient"}).items():
        what = one.partition(" ")[2]
        patients = [store.patient(patient) for patient in store.patients(split)]
        losses = grid_losses(patients)
        notes += loss_lines(losses, len(patients), what)
        if split in judged and any(loss.vanished for loss in losses):
            notes.append(f"A region of {one} that vanished on the grid counts as missed by every arm: Dice 0.")
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


def synthetic_stores(config: Config, synthetic: Path) -> list[Path]:
    """One store of synthetic slices, or those of all painters in one folder."""
    if (synthetic / MANIFEST).is_file():
        return [synthetic]
    return [synthetic / str(painter) for painter in config.trial.painters]
