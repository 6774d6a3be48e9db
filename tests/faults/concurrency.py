"""Two commands on the same things at once: one waits, or says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.harness import Outcome, content, nephrite, settings, start

SETS = "trial.training_sets.real=[real, real+geometric]"


def commands_at_once(work: Path) -> Iterator[Outcome]:
    """Trials on one folder, stages on one output, promotions into one registry."""
    # two trials on one folder
    trial = ["trial", "--folder", "results", *settings(SETS)]
    first, _ = start(trial, work)
    while not (work / "results" / ".done").exists() and first.poll() is None:
        time.sleep(0.1)
    time.sleep(1)
    second = nephrite(trial, work)
    output, _ = first.communicate(timeout=400)
    fault = "" if first.returncode == 0 else output[-300:]
    fault = fault or second.fault or ("" if "another process" in second.line else f"the second: {second.output[-200:]}")
    yield Outcome("at once", "two trials on one folder", fault)
    # two preparations into one store
    prepare = ["prepare", "--raw", "results/data/raw", "--pairs", "pairs", *settings()]
    pair = [start(prepare, work)[0] for _ in range(2)]
    outputs = [process.communicate(timeout=200)[0] for process in pair]
    codes = sorted(process.returncode for process in pair)
    fault = "" if codes in ([0, 0], [0, 2]) and "Traceback" not in "".join(outputs) else "".join(outputs)[-300:]
    if not fault and content(work / "pairs") != content(work / "results/data/prepared"):
        fault = "the store is not that of one alone"
    yield Outcome("at once", "two preparations into one store", fault)
    # promotions of one trial into one registry
    promote = ["promote", "--report", "results/reports", "--segmenters", "results/models/segmenters", *settings(SETS)]
    several = [start([*promote, "--promotion", f"p{number}.json"], work)[0] for number in range(3)]
    outputs = [process.communicate(timeout=200)[0] for process in several]
    good = [process.returncode in (0, 2) for process in several] + ["Traceback" not in text for text in outputs]
    yield Outcome("at once", "three promotions", "" if all(good) else "".join(outputs)[-300:])
