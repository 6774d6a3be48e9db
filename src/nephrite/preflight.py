"""What is refused before any work: one list for `plan`, `trial`, `dvc repro`, and the compiler of a cluster's pipeline.

Whoever begins a trial calls `preflight`, so that all of them refuse the same settings with the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nephrite.config import DEMANDED, SPLITS, AcquireSettings, Config
from nephrite.errors import ConfigError
from nephrite.generation.demands import check_synthesizers
from nephrite.imaging.sources import Case, Scan, check_others, find_cases, find_either, find_scans, persons_told
from nephrite.ownership import check_apart
from nephrite.privacy.pseudonyms import pseudonyms, wanted
from nephrite.segmentation.demands import check_all_here, check_trial
from nephrite.stages.report import trial_plan
from nephrite.store.brought.sources import check_sets
from nephrite.store.lesion_free import demand_some_free, lesion_free_patients
from nephrite.store.persons import Persons, persons_of, read_table
from nephrite.store.slices import EXTERNAL, LESION_FREE, UNLABELED, PairStore
from nephrite.store.split import demand_unlabeled, split_patients, training_subset, unlabeled_patients

LABELED = "labeled patients"


@dataclass(frozen=True)
class Placement:
    """Where scans stand, in a store or as they will.

    Attributes:
        splits: scan to split.
        persons: scan to person.
    """

    splits: Mapping[str, str]
    persons: Persons

    def of(self, split: str) -> dict[str, str]:
        """Scan to person, of one split."""
        return {scan: self.persons[scan] for scan, place in self.splits.items() if place == split}

    @property
    def by_person(self) -> dict[str, str]:
        """Person to split, of scans with labels; one of another hospital bears a name apart."""
        home = {person: split for split in SPLITS for person in self.of(split).values()}
        return home | {f"{EXTERNAL}/{person}": EXTERNAL for person in self.of(EXTERNAL).values()}


def preflight(
    config: Config, *, pairs: Path | None = None, outputs: Sequence[Path] = (), here: bool = False
) -> Placement | None:
    """Refuse what a trial would refuse later, before anything runs or is written.

    Args:
        config: settings of the trial.
        pairs: where its store lies, or will lie; None where that is not known here.
        outputs: folders that it will write.
        here: whether this machine is to train; else a program may lie in an image of its own.

    Returns:
        Where its scans stand, or will; None if only 'acquire' can list them.

    Raises:
        ConfigError: a split without a share; a label fraction without patients; scans without labels, or lesion-free
            ones, that an arm needs and nobody has; a question that cannot be asked; a segmenter that does not suit an
            arm; a generator that does not suit the slices.
        OutputError: an output is, holds or lies in a source.
        DataError: a source cannot be used, or its patients leave a split empty.
    """
    # the settings by themselves
    _check_shares(config)
    trial_plan(config)
    check_trial(config)
    if here:
        check_all_here(config)
    # the sources
    for output in outputs:
        check_apart(output, config.acquire.sources)
    check_sets(config.acquire)
    if config.acquire.patients.table:
        read_table(config.acquire.patients.table)
    placement = place_patients(config)
    if placement is None and pairs and is_prepared(pairs):
        placement = stored_placement(pairs)
    # what each cell will learn from
    if placement:
        _check_cells(config, placement)
    # networks are tried on noise, which takes longest
    check_synthesizers(config)
    return placement


def place_patients(config: Config) -> Placement | None:
    """Where the source's scans will stand, as 'prepare' deals them out to a new store.

    Returns:
        None if only 'acquire' can list the scans.

    Raises:
        DataError: a folder cannot be read, or its patients leave a split empty.
    """
    # names of all scans, as the folders have them
    acquire, found = config.acquire, find_groups(config.acquire)
    labeled = _labeled_names(acquire, found[""])
    if labeled is None:
        return None
    groups = dict.fromkeys(labeled, "")
    for group, scans in found.items():
        if group:
            check_others(_folder(acquire, group), scans, {name: place or LABELED for name, place in groups.items()})
            groups |= {scan.patient: group for scan in scans}
    named = [scan for scans in found.values() for scan in scans]
    persons = persons_of(acquire.patients, [*groups], persons_told(named))
    # as the store will have them: what a source makes or loads keeps its names
    if wanted(acquire.pseudonyms, {scan.layout for scan in named}):
        names = {scan.patient for scan in named}
        made = pseudonyms({*names, *(persons[name] for name in names)})
        groups = {made.get(name, name): group for name, group in groups.items()}
        persons = {made.get(name, name): made.get(person, person) for name, person in persons.items()}
    # only labeled scans are dealt out
    dealt = {name: persons[name] for name, group in groups.items() if not group}
    return Placement(groups | split_patients(dealt, config.prepare.split), persons)


def find_groups(acquire: AcquireSettings) -> dict[str, Sequence[Case | Scan]]:
    """Scans in the folders of the settings: under '' those to be split, under the name of its place each other group.

    Raises:
        SourceError: a folder cannot be used.
    """
    folder, channels = acquire.folder.path if acquire.source == "folder" else None, acquire.channels
    return {
        "": find_cases(folder, channels) if folder else [],
        UNLABELED: find_scans(acquire.unlabeled, channels) if acquire.unlabeled else [],
        LESION_FREE: find_either(acquire.lesion_free, channels) if acquire.lesion_free else [],
        EXTERNAL: find_cases(acquire.external.path, channels) if acquire.external.path else [],
    }


def _folder(acquire: AcquireSettings, group: str) -> Path:
    """Where a group's scans lie."""
    folders = {UNLABELED: acquire.unlabeled, LESION_FREE: acquire.lesion_free, EXTERNAL: acquire.external.path}
    return folders[group] or Path()


def is_prepared(pairs: Path) -> bool:
    """Whether there is a store of slices."""
    return (pairs / "store.json").is_file()


def stored_placement(pairs: Path) -> Placement:
    """Where the scans of a store stand; raises StoreError where it is broken."""
    store = PairStore(pairs)
    return Placement(store.splits, store.persons())


def _check_shares(config: Config) -> None:
    for split in DEMANDED:
        if not getattr(config.prepare.split, split):
            finding = "is 0, and a trial learns on 'train', chooses on 'validation' and is judged on 'test'"
            raise ConfigError(f"prepare.split.{split}", finding, "raise it")
    if config.trial.judged_on == "confirmation" and not config.prepare.split.holds_confirmation:
        finding = "is 0, and 'trial.judged_on' is 'confirmation'"
        raise ConfigError("prepare.split.confirmation", finding, "raise it and add patients, who will fill it")


def _labeled_names(acquire: AcquireSettings, found: Iterable[Case | Scan]) -> list[str] | None:
    """Names of the scans that are split."""
    if acquire.source == "folder" and acquire.folder.path:
        return [case.patient for case in found]
    if acquire.source == "phantom":
        return [f"case_{number:05d}" for number in range(acquire.phantom.patients)]
    if acquire.source == "kits19":
        return [f"case_{number:05d}" for number in range(acquire.kits19.first_case, acquire.kits19.last_case + 1)]
    return None


def _check_cells(config: Config, placement: Placement) -> None:
    """Refuse a label fraction that leaves no patient, and an arm or painter without the scans that it needs."""
    scans = placement.of("train")
    for fraction in config.trial.label_fractions:
        for cell in config.trial.cells:
            labeled = training_subset(scans, fraction, cell=cell, trial=config.trial)
            for asker in _who_wants_unlabeled(config, fraction, cell):
                demand_unlabeled(unlabeled_patients(placement.splits, placement.persons, labeled), asker)
            for asker in _who_wants_lesion_free(config, fraction, cell):
                training = config.prepare.lesion_free.training_patients
                found = lesion_free_patients(placement.splits, placement.persons, labeled, training=training)
                demand_some_free(found, asker)


def _who_wants_unlabeled(config: Config, fraction: float, cell: int) -> Iterator[str]:
    """Arms and generators of one cell that learn from scans without labels."""
    for painter in config.trial.painters:
        if (painter.fraction, painter.cell) == (fraction, cell) and config.train_gan[painter.synthesizer].unlabeled:
            yield f"train_gan.{painter.synthesizer}.unlabeled"
    for arm in config.trial.arms:
        if (arm.fraction, arm.cell) == (fraction, cell) and config.trial.training_set(arm).trains_itself:
            yield f"arm {arm}"


def _who_wants_lesion_free(config: Config, fraction: float, cell: int) -> Iterator[str]:
    """Arms and painters of one cell that learn from lesion-free scans."""
    for painter in config.trial.painters:
        method = config.train_gan[painter.synthesizer].method
        if (painter.fraction, painter.cell) == (fraction, cell) and method.lesion_free_share:
            yield f"painter {painter}"
    for arm in config.trial.arms:
        if (arm.fraction, arm.cell) == (fraction, cell) and config.trial.training_set(arm).sees_lesion_free:
            yield f"arm {arm}"
