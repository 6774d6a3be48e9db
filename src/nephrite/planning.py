"""Before a trial is run: what it will cost, and which effects it could show."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nephrite.config import DEMANDED, SPLITS, Arm, Config
from nephrite.execution import keep_freed_memory
from nephrite.generation.fitting import steps_per_epoch
from nephrite.generation.step_time import synthesizer_step_seconds
from nephrite.look_ledger import few_cells
from nephrite.outlook import MOST_CELLS, Outlook, look_ahead
from nephrite.preflight import is_prepared, preflight, stored_placement
from nephrite.segmentation.in_process.step_time import augmentation_seconds, step_seconds
from nephrite.stages.train_gan import look
from nephrite.store.persons import alone
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.store.split import training_subset
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted, duration

TRAINING = 0.6  # share of a trial's time that its training steps take; the rest reads, paints and scores


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
        budget: minutes that were asked for; None where they were not.
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
    budget: float | None = None

    @property
    def cell_minutes(self) -> float:
        """That one cell of all arms takes as a whole."""
        return (self.seconds + (self.synthesizer_seconds or 0)) / self.cells / TRAINING / 60

    def lines(self) -> list[str]:
        """The plan as text, a name and a value in each line."""
        rows = [
            ("arms", self._arms()),
            ("trainings", self._trainings()),
            ("steps", f"{self.steps:,} of segmenters"),
            *self._time(),
            ("patients", self._patients()),
            *self._outlook(),
            *self._budget(),
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

    def _budget(self) -> list[tuple[str, str]]:
        """How many cells fit into the minutes, and what they see."""
        if self.budget is None:
            return []
        cells, name = affordable(self.budget, self.cell_minutes), f"in {self.budget:g} minutes"
        if cells < MINIMUM_CELLS:
            needed = duration(60 * MINIMUM_CELLS * self.cell_minutes)
            few = f"{counted(cells, 'cell')}, and a verdict needs {MINIMUM_CELLS}, which take about {needed}"
            return [(name, f"{few}: fewer steps, training sets or fractions take less")]
        effect = self.outlook.effects.get(cells) if self.outlook else None
        sees = f", which see {effect:.3f}" if effect else ""
        unknown = self.synthesizers and self.synthesizer_seconds is None
        rest = "all else but the synthesizers" if unknown else "all else"
        chosen = f"{counted(cells, 'cell')}, about {duration(60 * cells * self.cell_minutes)} with {rest}{sees}"
        return [(name, chosen), ("", f"--set 'trial.cells={[*range(cells)]}'")]


def affordable(minutes: float, each: float) -> int:
    """How many cells fit into some minutes, of which each takes so many; at most those that a plan looks at."""
    return min(MOST_CELLS, int(minutes // each)) if each > 0 else MOST_CELLS


def make_plan(
    config: Config, *, processes: int, pairs: Path, finished: Path | None, minutes: float | None = None
) -> Plan:
    """Count, time a few steps, and simulate.

    Args:
        config: settings of the trial.
        processes: trainings side by side.
        pairs: the store, if it was prepared already; else the patients are counted at the source.
        finished: folder with the scores of a finished trial whose spread is taken; None takes an assumed spread.
        minutes: that the trial may take; the plan then says how many cells fit into them, and what they see.

    Raises:
        NephriteError: what a trial would refuse; see `preflight`.
        StoreError: the store is broken, or has no training slices.
        DataError: the patients cannot be counted, or the finished trial cannot be read.
        TrialError: the finished trial has no question, or too few cells.
    """
    # stop where the trial would stop; then prepared data know their split
    placement = preflight(config, pairs=pairs)
    if is_prepared(pairs):
        placement = stored_placement(pairs)
    keep_freed_memory()  # as in the stages, whose steps are timed
    # count trainings: arms, teachers, helpers
    trial, steps = config.trial, _training_steps(config)
    teachers = [arm for arm in trial.arms if trial.training_set(arm).trains_itself and not trial.teacher(arm)]
    splits = placement.by_person if placement else None
    known = [*(splits or {}).values()]
    patients = {name: known.count(name) for name in (*SPLITS, *({EXTERNAL} & {*known}))} if splits else None
    filters = len(trial.painters) if config.screen.filter != "all" else 0
    labeler = config.synthesize.scan_labeler
    helpers = [(config.screen.segmenter, config.screen.steps)] * filters
    helpers += [(labeler.segmenter, labeler.steps)] * len(trial.painters) if labeler else []
    # time them; steps of a painter can be timed once slices exist
    store = PairStore(pairs) if is_prepared(pairs) else None
    side_by_side = min(processes, len(os.sched_getaffinity(0)))
    plan = Plan(
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
        outlook=None,
        early=few_cells(config),
        budget=minutes,
    )
    if splits is None:
        return plan
    # what it could show, with its own cells and with those that fit into the minutes
    fitting = [affordable(minutes, plan.cell_minutes)] if minutes else []
    return replace(plan, outlook=look_ahead(config, splits, finished, also=fitting))


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


def _training_steps(config: Config) -> int:
    return config.train_segmenter.epochs * config.train_segmenter.steps_per_epoch


def _fraction_counts(config: Config, splits: Mapping[str, str]) -> dict[float, int]:
    names, trial = alone(name for name, split in splits.items() if split == "train"), config.trial
    fractions = sorted(trial.label_fractions)
    return {share: len(training_subset(names, share, cell=trial.cells[0], trial=trial)) for share in fractions}
