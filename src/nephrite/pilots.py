"""Pilots: which settings see the smallest effect in the minutes at hand, by a few cells of each.

How long a trial takes to see an effect follows from what only a run can tell: how much scores spread, and how long a
cell takes. So the two arms of the question are trained in a few cells under each choice, and judged on validation
patients: no look at test is spent. What a choice would see then follows by the simulation that every plan uses.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from nephrite.config import Config, load_config, read_yaml
from nephrite.errors import ConfigError, StoreError, TrialError
from nephrite.files import digest, read_record, write_json
from nephrite.jobs import Job, plan_chains, seconds_of
from nephrite.layout import Layout
from nephrite.record_fields import STRICT
from nephrite.runner import run_trial
from nephrite.stages.report import read_arms, trial_plan
from nephrite.verdict.power import Spread, estimate_spread, largest_spread
from nephrite.verdict.trial import Trial, synthetic_question

FOLDER, FILE = "pilots", "pilots.json"
AGAIN = "run 'plan' with '--try' again"
Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where settings come from.

    Attributes:
        params: the file.
        overrides: 'section.key=value'.
        text: stands in place of the file.
    """

    params: Path
    overrides: Overrides = ()
    text: str | None = None

    def load(self, *more: str) -> Config:
        """The settings with further overrides; raises ConfigError."""
        return load_config(self.params, (*self.overrides, *more), text=self.text)


@dataclass(frozen=True)
class Pilot:
    """What a few cells under one choice of settings showed.

    Attributes:
        choice: the settings that were tried, 'section.key=value'.
        key: digest of everything that the scores follow from.
        cells: that were run.
        reference: mean validation score of the arm without synthetic slices.
        cell_seconds: of one worker, for all that one cell of the two arms needs.
        first_seconds: for the data, once.
        estimated: spread of the paired differences.
        largest: the same, as large as it may well be.
    """

    __pydantic_config__ = STRICT

    choice: Overrides
    key: str
    cells: int
    reference: float
    cell_seconds: float
    first_seconds: float
    estimated: Spread
    largest: Spread


def choices(tries: Sequence[str]) -> list[Overrides]:
    """Every combination of what is tried, in order.

    Args:
        tries: 'section.key=[value, value]', each.

    Raises:
        ConfigError: no list of values.
    """
    alternatives = []
    for tried in tries:
        key, _, text = tried.partition("=")
        values = read_yaml(text, f"--try {tried}", lines=False) if text else None
        if not key or not isinstance(values, list) or not values:
            finding = "is not of the form section.key=[value, value]"
            raise ConfigError(f"--try {tried}", finding, "write e.g. 'train_segmenter.epochs=[5, 10]'")
        alternatives.append([f"{key}={json.dumps(value)}" for value in values])
    return list(itertools.product(*alternatives))


def pilot_settings(config: Config, cells: int) -> Overrides:
    """What makes a pilot of a trial: the two sets of its question, its smallest label fraction, validation patients.

    Raises:
        TrialError: the trial has no question about synthetic slices.
    """
    trial = config.trial
    asked = trial.question or synthetic_question(trial.training_sets.pairs, trial.reference)
    if asked is None:
        raise TrialError("trial", "asks no question about synthetic data", "plan without '--try'")
    fakes = [one for one in trial.training_sets.synthetic if one.name == asked[0]]
    settings: dict[str, Any] = {
        "name": f"{trial.name}-pilot",
        "judged_on": "validation",
        "reference": asked[1],
        "question": list(asked),
        "questions": [],
        "training_sets": {"real": [asked[1]], "synthetic": [one.model_dump(mode="json") for one in fakes]},
        "synthesizers": sorted({one.synthesizer for one in fakes}),
        "label_fractions": [min(trial.label_fractions)],
        "without_labels": [],
        "cells": [*range(cells)],
        "planned_cells": None,
    }
    return tuple(f"trial.{name}={json.dumps(value)}" for name, value in settings.items())


def run_pilots(source: Source, tries: Sequence[str], folder: Path, *, processes: int, cells: int) -> list[Pilot]:
    """Run what is not there already, one choice after the other.

    Args:
        source: settings of the trial.
        tries: see `choices`.
        folder: of the pilots; gets a trial of its own, and `pilots.json`.
        processes: trainings side by side.
        cells: of each choice.

    Raises:
        ConfigError: a choice is not allowed; nothing has run.
        TrialError: no question; nothing has run.
        NephriteError: as `runner.run_trial`.
    """
    # all settings are checked before the first pilot
    small = pilot_settings(source.load(), cells)
    tried = [(choice, source.load(*small, *choice)) for choice in choices(tries)]
    known = {pilot.key: pilot for pilot in _kept(folder)}
    # run, and keep what was found at once
    for choice, config in tried:
        key = _key(config, folder)
        if key not in known:
            run_trial(config, folder, processes=processes)
            known[key] = _found(choice, key, config, folder)
            write_json(folder / FILE, {"pilots": [asdict(pilot) for pilot in known.values()]})
    return [known[_key(config, folder)] for _, config in tried]


def kept_pilots(source: Source, folder: Path) -> list[Pilot]:
    """Pilots of an earlier call that still hold: of the same settings, code and data.

    Raises:
        ConfigError: the settings are wrong.
    """
    pilots = _kept(folder)
    if not pilots:
        return []
    trial = source.load()
    holds = []
    for pilot in pilots:
        config = source.load(*pilot_settings(trial, pilot.cells), *pilot.choice)
        if _key(config, folder) == pilot.key:
            holds.append(pilot)
    return holds


@dataclass(frozen=True)
class _File:
    __pydantic_config__ = STRICT

    pilots: tuple[Pilot, ...]


def _kept(folder: Path) -> tuple[Pilot, ...]:
    path = folder / FILE
    return read_record(path, _File, AGAIN).pilots if path.is_file() else ()


def _key(config: Config, folder: Path) -> str:
    """Digest of the keys of all arms."""
    return digest([chain.key for chain in plan_chains(config, Layout(folder))[1:-1]])


def _found(choice: Overrides, key: str, config: Config, folder: Path) -> Pilot:
    """What the scores and the marks of the jobs say."""
    # spread of the paired differences, and how good the reference is
    arms = read_arms(config, Layout(folder).scores)
    trial = Trial(trial_plan(config), tuple(arms))
    assert trial.plan.question
    differences = trial.differences(*trial.plan.question, trial.segmenters, trial.plan.fraction)
    reference = [scores.validation_score for scores in arms if scores.arm.training_set == trial.plan.reference]
    # what a worker needs for a cell, and once
    data, *others = plan_chains(config, Layout(folder))
    jobs = [job for chain in others[:-1] for job in chain.jobs]
    return Pilot(
        choice,
        key,
        cells=len(config.trial.cells),
        reference=fmean(reference),
        cell_seconds=_seconds(jobs, folder) / len(config.trial.cells),
        first_seconds=_seconds(data.jobs, folder),
        estimated=estimate_spread(differences),
        largest=largest_spread(differences),
    )


def _seconds(jobs: Sequence[Job], folder: Path) -> float:
    """Sum over jobs; those that nobody saw whole take as long as others of their stage."""
    seen = {job.name: seconds_of(job, folder) for job in jobs}
    total = 0.0
    for job in jobs:
        like = [seconds for other in jobs if other.stage == job.stage and (seconds := seen[other.name]) is not None]
        own = seen[job.name]
        if own is None and not like:
            raise StoreError(folder, f"does not say how long '{job.stage}' takes", "remove it, and run 'plan' again")
        total += fmean(like) if own is None else own
    return total
