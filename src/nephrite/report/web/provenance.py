"""Where a result comes from: data, split, labels, recipe, looks, code, machine and date, in one table."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from nephrite import __version__
from nephrite.commit import code_state
from nephrite.config import Config
from nephrite.report.trial_record import TrialRecord
from nephrite.report.wording import in_percent, measure_text
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.verdict.power import Simulation, estimate_spread, smallest_effect
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted, duration, markdown_table

SHOWN = 12  # digits of a digest: enough to tell two apart
SPLITS = {
    "train": "training",
    "validation": "validation",
    "test": "test",
    "confirmation": "confirmation",
    "unlabeled": "without labels",
    "lesion_free": "free of lesions",
    EXTERNAL: "external test",
}


def provenance_markdown(record: TrialRecord, facts: Mapping[str, str]) -> str:
    """The section.

    Args:
        record: of the trial.
        facts: further ones, by name, in their order: see `trial_facts_of` and `run_facts`.
    """
    rows = {**facts, **_of_record(record), **_of_this_run()}
    return f"## Where this comes from\n\n{markdown_table(['what', 'which'], rows.items())}"


def data_facts(config: Config, store: PairStore) -> dict[str, str]:
    """Data, split and recipe of a trial; no path, and no id of a patient."""
    counts = Counter(store.splits[patient] for patient in store.persons())
    persons = {split: len({*store.persons(split).values()}) for split in counts}
    split = ", ".join(f"{persons[name]} {what}" for name, what in SPLITS.items() if name in persons)
    settings, trial = config.train_segmenter, config.trial
    segmenters = ", ".join(f"{name} ({settings.segmenters[name].kind})" for name in trial.segmenters)
    steps = settings.epochs * settings.steps_per_epoch
    painters = ", ".join(f"{name} ({config.train_gan[name].method.kind})" for name in trial.synthesizers)
    return {
        "data": f"{config.acquire.source}; digest of the prepared slices {store.manifest.digest[:SHOWN]}",
        "patients": split,
        "segmenters": f"{segmenters}, {steps:,} steps each",
        "synthesizers": f"{painters or 'none'}; filter: {config.screen.filter}",
    }


def _of_record(record: TrialRecord) -> dict[str, str]:
    plan, look = record.plan, record.look
    labels = {
        in_percent(arm.fraction): _range([count for other in record.arms if other.fraction == arm.fraction
                                          for count in other.training_patients])
        for arm in sorted(record.arms, key=lambda arm: arm.fraction)
        if arm.training_patients
    }  # fmt: skip
    known = "; ".join(f"{share} of the training patients: {count}" for share, count in labels.items())
    seconds = [each for arm in record.arms for each in arm.seconds]
    looked = f"number {look.number}, at {in_percent(look.share)} of the planned cells" if look else "not counted"
    facts = {
        "labels used": known or "not known: trained elsewhere",
        "training sets": ", ".join(dict.fromkeys(arm.training_set for arm in record.arms)),
        "decides": f"{measure_text(plan)}, reference {plan.reference}",
        "cells": str(len(record.cells)),
        "look": looked,
        "trainings": f"{counted(len(seconds), 'segmenter')}, {duration(sum(seconds))} in all" if seconds else "",
        "could see": _seen(record),
    }
    return {name: value for name, value in facts.items() if value}


def _seen(record: TrialRecord) -> str:
    """The smallest difference that such a trial finds, by the spread of its own table; '' where it has none."""
    plan, answer = record.plan, record.answer
    if answer is None or plan.metric != "dice":
        return ""
    table = record.differences(answer)
    if len(table) < MINIMUM_CELLS:
        return ""
    way = Simulation(confidence=plan.confidence, overlap=plan.overlap.get(answer.fraction, 0.0))
    effect = smallest_effect(estimate_spread(table), *table.shape, simulation=way)
    return f"{effect:.3f} in {measure_text(plan)}, in 4 of 5 trials with this spread" if effect else ""


def _of_this_run() -> dict[str, str]:
    """Code, machine and date of the report itself."""
    machine = f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'processor')}"
    return {
        "code": f"nephrite {__version__}, commit {str(code_state())[: SHOWN + len('-dirty')]}",
        "machine of this report": machine,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _range(counts: list[int]) -> str:
    """'7', or '6 to 8'."""
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
