"""Before a trial is run: what it will cost, and which effects it could show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nephrite.config import DEMANDED, SPLITS, Arm, Config
from nephrite.execution import keep_freed_memory
from nephrite.generation.demands import check_synthesizers
from nephrite.generation.fitting import steps_per_epoch
from nephrite.generation.step_time import synthesizer_step_seconds
from nephrite.imaging.sources import Case, Scan, find_cases, find_scans, persons_told
from nephrite.look_ledger import few_cells
from nephrite.outlook import Outlook, look_ahead
from nephrite.privacy.pseudonyms import pseudonyms, wanted
from nephrite.segmentation.demands import check_trial
from nephrite.segmentation.in_process.step_time import augmentation_seconds, step_seconds
from nephrite.stages.train_gan import look
from nephrite.store.persons import alone, persons_of
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.store.split import split_patients, training_subset
from nephrite.words import counted, duration


@dataclass(frozen=True)
class Plan:
    """A trial in numbers.

    Attributes:
        kinds: training sets, segmenters and label fractions; their product is the number of arms.
        cells: subsets and initializations, per arm.
        trainings: of segmenters.
        teachers: further trainings of segmenters, for self-training whose teacher is no arm of the trial.
        synthesizers: trainings of synthesizers.
        labelers: further trainings of segmenters, shorter ones, that say what scans without labels hold.
        filters: further trainings of segmenters, for screening painted slices.
        steps: optimizer steps of all these segmenters.
        seconds: of these steps on this machine.
        synthesizer_seconds: of the steps of the synthesizers; None where their slices are not known yet.
        processes: side by side, of one thread each.
        patients: split to number; None where only a run can tell.
        fractions: label fraction to number of training patients.
        outlook: None where the test patients are not known.
        early: what is said of a look that can give no verdict.
    """

    kinds: tuple[int, int, int]
    cells: int
    trainings: int
    teachers: int
    synthesizers: int
    labelers: int
    filters: int
    steps: int
    seconds: float
    synthesizer_seconds: float | None
    processes: int
    patients: Mapping[str, int] | None
    fractions: Mapping[float, int]
    outlook: Outlook | None
    early: str | None = None

    def lines(self) -> list[str]:
        """The plan as text, a name and a value in each line."""
        rows = [
            ("arms", self._arms()),
            ("trainings", self._trainings()),
            ("steps", f"{self.steps:,} of segmenters"),
            *self._time(),
            ("patients", self._patients()),
            *self._outlook(),
            *([("note", self.early)] if self.early else []),
        ]
        width = max(len(name) for name, _ in rows)
        return [f"{name:<{width}}  {value}" for name, value in rows]

    def _arms(self) -> str:
        names = ("training set", "segmenter", "label fraction")
        product = " x ".join(counted(number, name) for number, name in zip(self.kinds, names, strict=True))
        return f"{np.prod(self.kinds)} ({product}), each in {counted(self.cells, 'cell')}"

    def _trainings(self) -> str:
        teachers = f", {counted(self.teachers, 'teacher')} for self-training" if self.teachers else ""
        labelers = f", {counted(self.labelers, 'labeler')} of scans" if self.labelers else ""
        filters = f", {counted(self.filters, 'filter')} for screening" if self.filters else ""
        painters = f", {counted(self.synthesizers, 'synthesizer')}" if self.synthesizers else ""
        return f"{counted(self.trainings, 'segmenter')}{teachers}{labelers}{filters}{painters}"

    def _time(self) -> list[tuple[str, str]]:
        rows = [f"about {duration(self.seconds)} for the segmenters on this machine, {self.processes} at a time"]
        if self.synthesizers and self.synthesizer_seconds is None:
            rows.append("and that of the synthesizers, which is known after 'prepare'")
        elif self.synthesizers:
            rows.append(f"and about {duration(self.synthesizer_seconds or 0)} for the synthesizers")
        return list(zip(("time", ""), rows, strict=False))

    def _patients(self) -> str:
        if self.patients is None:
            return "not known before 'prepare': the source does not say how many it has"
        known = ", ".join(f"{100 * fraction:.3g}%: {count}" for fraction, count in self.fractions.items())
        train, validation, test = (self.patients[split] for split in DEMANDED)
        fresh = f", {found} for confirmation" if (found := self.patients["confirmation"]) else ""
        theirs = self.patients.get(EXTERNAL, 0)
        external = f", {theirs} in the external test set" if theirs else ""
        return f"{train} for training ({known}), {validation} for validation, {test} for test{fresh}{external}"

    def _outlook(self) -> list[tuple[str, str]]:
        if self.outlook is None:
            return [("smallest effect", "not known without the number of test patients")]
        return self.outlook.rows()


def make_plan(config: Config, *, processes: int, pairs: Path, finished: Path | None) -> Plan:
    """Count, time a few steps, and simulate.

    Args:
        config: settings of the trial.
        processes: trainings side by side.
        pairs: the store, if it was prepared already; else the patients are counted at the source.
        finished: folder with the scores of a finished trial whose spread is taken; None takes an assumed spread.

    Raises:
        ConfigError: no patient at a label fraction; no scans without labels; or a segmenter that does not suit an arm.
        StoreError: the store is broken, or has no training slices.
        DataError: the patients cannot be counted, or the finished trial cannot be read.
        TrialError: the finished trial has no question, or too few cells.
    """
    # stop where the trial would stop
    check_trial(config)
    check_synthesizers(config)
    keep_freed_memory()  # as in the stages, whose steps are timed
    # count trainings: arms, teachers, helpers
    trial, steps = config.trial, _training_steps(config)
    teachers = [arm for arm in trial.arms if trial.training_set(arm).trains_itself and not trial.teacher(arm)]
    splits = patient_splits(config, pairs)
    known = [*(splits or {}).values()]
    patients = {name: known.count(name) for name in (*SPLITS, *({EXTERNAL} & {*known}))} if splits else None
    filters = len(trial.painters) if config.screen.filter != "all" else 0
    labeler = config.synthesize.scan_labeler
    helpers = [(config.screen.segmenter, config.screen.steps)] * filters
    helpers += [(labeler.segmenter, labeler.steps)] * len(trial.painters) if labeler else []
    # time them; steps of a painter can be timed once slices exist
    store = PairStore(pairs) if is_prepared(pairs) else None
    side_by_side = min(processes, len(os.sched_getaffinity(0)))
    return Plan(
        kinds=(len(trial.training_sets.all), len(trial.segmenters), len(trial.label_fractions)),
        cells=len(trial.cells),
        trainings=len(trial.arms),
        teachers=len(teachers),
        synthesizers=len(trial.painters),
        labelers=len(helpers) - filters,
        filters=filters,
        steps=steps * (len(trial.arms) + len(teachers)) + sum(count for _, count in helpers),
        seconds=trainings_seconds(config, [*trial.arms, *teachers], helpers=helpers) / side_by_side,
        synthesizer_seconds=synthesizers_seconds(config, store) / side_by_side if store else None,
        processes=side_by_side,
        patients=patients,
        fractions=_fraction_counts(config, splits) if splits else {},
        outlook=look_ahead(config, splits, finished) if splits else None,
        early=few_cells(config),
    )


def trainings_seconds(config: Config, arms: Sequence[Arm], *, helpers: Sequence[tuple[str, int]]) -> float:
    """Seconds of the optimizer steps of all these trainings, one after the other on one thread.

    Args:
        config: settings of the trial.
        arms: trained in full.
        helpers: helper segmenters, and the steps of each.
    """
    names = {*config.trial.segmenters, *(name for name, _ in helpers)}
    networks = {name: step_seconds(config, name) for name in names}
    used = [config.trial.training_set(arm).augmentation for arm in arms]
    augmented = {augmentation: augmentation_seconds(config, augmentation) for augmentation in set(used)}
    each = (networks[arm.segmenter] + augmented[augmentation] for arm, augmentation in zip(arms, used, strict=True))
    seconds = _training_steps(config) * sum(each)
    return seconds + sum(count * networks[name] for name, count in helpers)


def synthesizers_seconds(config: Config, store: PairStore) -> float:
    """Seconds of the steps of all trainings of synthesizers, one after the other on one thread.

    Raises:
        StoreError: there are no training slices.
        ConfigError: a label fraction that leaves no patient; or scans without labels are wanted, and there are none.
    """
    seconds, step = 0.0, {name: synthesizer_step_seconds(config, name) for name in config.trial.synthesizers}
    for painter in config.trial.painters:
        seen = look(config.model_copy(update={"painter": painter}), store)
        settings = config.train_gan[painter.synthesizer]
        seconds += settings.epochs * steps_per_epoch(settings, seen.pairs()) * step[painter.synthesizer]
    return seconds


def is_prepared(pairs: Path) -> bool:
    """Whether there is a store of slices."""
    return (pairs / "store.json").is_file()


def _training_steps(config: Config) -> int:
    return config.train_segmenter.epochs * config.train_segmenter.steps_per_epoch


def patient_splits(config: Config, pairs: Path) -> dict[str, str] | None:
    """Person to split: of the prepared store, or as the source's patients will be assigned.

    Returns:
        None if there is no store and only 'acquire' can list the source's patients.

    Raises:
        DataError: the source's folder cannot be read, or its patients leave a split empty.
    """
    # prepared data know their split
    acquire = config.acquire
    if is_prepared(pairs):
        store = PairStore(pairs)
        return {person: split for split in (*SPLITS, EXTERNAL) for person in store.persons(split).values()}
    # else patients are counted from the source
    theirs = find_cases(acquire.external.path, acquire.channels) if acquire.external.path else []
    external = {case.patient: case.patient for case in theirs}
    if acquire.source == "folder" and acquire.folder.path:
        cases = find_cases(acquire.folder.path, acquire.channels)
        others = [folder for folder in (acquire.unlabeled, acquire.lesion_free) if folder]
        scans = [scan for folder in others for scan in find_scans(folder, acquire.channels)]
        everyone: list[Case | Scan] = [*cases, *theirs, *scans]
        persons = persons_of(acquire.patients, [each.patient for each in everyone], persons_told(everyone))
        external = {case.patient: persons[case.patient] for case in theirs}
        names = {case.patient: persons[case.patient] for case in cases}
        if wanted(acquire.pseudonyms, {each.layout for each in everyone}):
            made = pseudonyms({*names, *names.values()})
            names = {made[name]: made[person] for name, person in names.items()}
    elif acquire.source == "phantom":
        names = persons_of(acquire.patients, [f"case_{number:05d}" for number in range(acquire.phantom.patients)])
    elif acquire.source == "kits19":
        kits = acquire.kits19
        numbers = range(kits.first_case, kits.last_case + 1)
        names = persons_of(acquire.patients, [f"case_{number:05d}" for number in numbers])
    else:
        return None
    splits = split_patients(names, config.prepare.split)
    placed = {names[scan]: split for scan, split in splits.items()}
    return placed | {f"{EXTERNAL}/{person}": EXTERNAL for person in external.values()}


def _fraction_counts(config: Config, splits: Mapping[str, str]) -> dict[float, int]:
    names, trial = alone(name for name, split in splits.items() if split == "train"), config.trial
    fractions = sorted(trial.label_fractions)
    return {share: len(training_subset(names, share, cell=trial.cells[0], trial=trial)) for share in fractions}
