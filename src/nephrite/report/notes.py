"""What a reader must know and the scores do not show: classes that nobody could learn, losses, empty synthetic sets."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nephrite.config import Config
from nephrite.metrics.scores import ArmScores
from nephrite.report.wording import in_percent
from nephrite.store.brought.sources import unverifiable_sets
from nephrite.store.class_presence import absent_classes
from nephrite.store.grid_loss import grid_losses, loss_lines
from nephrite.store.persons import count_persons
from nephrite.store.slices import EXTERNAL, MANIFEST, PairStore
from nephrite.store.split import training_subset
from nephrite.words import counted


def absence_notes(config: Config, pairs: Path) -> list[str]:
    """Classes that the training patients of some arms lack: their segmenters cannot learn these classes."""
    # every subset of training patients that some arm sees
    store, trial = PairStore(pairs), config.trial
    train, subsets = store.persons("train"), list(itertools.product(trial.label_fractions, trial.cells))
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
    unit, asked = "scan" if store.has_table else "patient", config.trial.judged_on
    judged: set[str] = {asked, EXTERNAL} if asked == "test" else {asked}
    fresh = "confirmation" if asked == "confirmation" else "test"
    names = {fresh: f"a {fresh} ", "train": "a training ", "validation": "a validation ", EXTERNAL: "an external test "}
    for split, one in names.items():
        what = one.partition(" ")[2] + unit
        patients = [store.patient(patient) for patient in store.patients(split)]
        losses = grid_losses(patients)
        notes += loss_lines(losses, len(patients), what)
        if split in judged and any(loss.vanished for loss in losses):
            notes.append(f"A region of {one}patient that vanished on the grid counts as missed by every arm: Dice 0.")
    return notes


def spacing_notes(config: Config) -> list[str]:
    """What is left out where voxel sizes are made up."""
    if config.prepare.spacing == "measured":
        return []
    return ["Spacing is nominal (prepare.spacing): surface Dice and HD95, which are of millimeters, are left out."]


def label_notes(arms: Sequence[ArmScores]) -> list[str]:
    """The labels that arms know in all, at each label fraction: those of training, of validation, and ignore masks."""
    notes = []
    for fraction in sorted({run.arm.fraction for run in arms}):
        runs = [run for run in arms if run.arm.fraction == fraction]
        known = f"{_several([run.training_patients for run in runs])} labeled, "
        chosen = _several([run.choosing_patients for run in runs])
        known += f"{chosen} of validation that chose weights" if chosen != "0" else "none of validation"
        masked: dict[str, list[str]] = {}
        for name in dict.fromkeys(run.arm.training_set for run in runs):
            count = _several([run.masked_patients for run in runs if run.arm.training_set == name])
            masked.setdefault(count, []).append(name)
        masked.pop("0", None)
        weak = "".join(f", {count} with an ignore mask ({', '.join(names)})" for count, names in masked.items())
        share = f"at {in_percent(fraction)} of those of training"
        notes.append(f"Patients whose labels are used in all, {share}: {known}{weak}.")
    return notes


def seed_notes(config: Config) -> list[str]:
    """Segmenters that are not seeded: what chance alone moves is then for the A/A arm to show."""
    known = config.train_segmenter.segmenters
    loose = [name for name in config.trial.segmenters if not known[name].is_seeded]
    return [
        f"Segmenter '{name}' is not seeded: one arm trained twice is not the same; its A/A arm shows how far chance "
        "alone moves it."
        for name in loose
    ]


def _several(counts: Sequence[int]) -> str:
    """'7', or '6 to 8'."""
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def scan_notes(config: Config, store: PairStore) -> list[str]:
    """How many scans the patients have, where some have several."""
    counts = [
        f"{counted(len(scans), 'scan')} of {counted(count_persons(scans), f'{who} patient')}"
        for split, who in ((config.trial.judged_on, config.trial.judged_on), ("train", "training"))
        if len(scans := store.persons(split)) > count_persons(scans)
    ]
    if not counts:
        return []
    rule = "a patient's scans are averaged, and intervals take patients as the sample, not scans"
    return [f"{', '.join(counts)}: {rule}."]


def synthetic_notes(config: Config, synthetic: Path) -> list[str]:
    """Sets of synthetic slices that screening left empty, or that show no scan without labels where they should."""
    # painters whose slices were all rejected
    stores = [PairStore(root) for root in synthetic_stores(config, synthetic)]
    filled = [store for store in stores if store.patients()]
    notes, sets = [], f"of {len(stores)} sets of synthetic slices"
    if not filled:  # which is the headline
        return []
    if empty := len(stores) - len(filled):
        notes.append(f"Screening left {empty} {sets} empty: their arms learned from real slices alone.")
    # scans without labels that left no slice
    if config.synthesize.unlabeled:
        without = sum(not any(_shows_scan(store, patient) for patient in store.patients()) for store in filled)
        cause = "a labeler found no class there, or screening rejected them all"
        notes += [f"In {without} {sets} none shows a scan without labels: {cause}."] if without else []
    return notes


def all_rejected(config: Config, synthetic: Path) -> str | None:
    """What there is to say where screening accepted no slice of any painter; None where it accepted one."""
    stores = [PairStore(root) for root in synthetic_stores(config, synthetic)]
    if not stores or any(store.patients() for store in stores):
        return None
    painters = counted(len(stores), "painter")
    return (
        f"No answer: screening accepted no slice of any of {painters}, so no arm has seen a synthetic one. Arms that "
        "were to see some are left out. Look at the screening's pages; then loosen its thresholds, train the "
        "synthesizers for longer, or set 'screen.filter' to 'report'."
    )


def doubtful_sets(config: Config, synthetic: Path) -> list[str]:
    """Training sets whose synthetic slices are of unverifiable provenance, in the order of the trial."""
    stores = [PairStore(root) for root in synthetic_stores(config, synthetic)]
    sets = {name for store in stores for name in unverifiable_sets(store)}
    methods = {name: known.method.brought_set for name, known in config.train_gan.items()}
    return [fakes.name for fakes in config.trial.training_sets.synthetic if methods[fakes.synthesizer] in sets]


def _shows_scan(store: PairStore, patient: str) -> bool:
    provenance = store.patient(patient).provenance
    return provenance is not None and not provenance.source_labels


def synthetic_stores(config: Config, synthetic: Path) -> list[Path]:
    """One store of synthetic slices, or those of all painters in one folder."""
    if (synthetic / MANIFEST).is_file():
        return [synthetic]
    return [synthetic / str(painter) for painter in config.trial.painters]
