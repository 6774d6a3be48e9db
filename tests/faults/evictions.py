"""Trainings in pods that are evicted again and again: each retry goes on, and the model is that of a calm run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.harness import MARKER, Outcome, content, environment, nephrite, settings, still_there
from tests.faults.kills import ARM, PAINTER, PLACES, SETS, STAGES

POD = Path(__file__).with_name("pod.py")
TRAININGS = ("train-segmenter", "train-gan")
MINUTES = 0.01  # between checkpoints: short, as the trainings here are
MOST_KILLS = 3  # of one training, until a retry is left alone


def evictions(count: int, work: Path) -> Iterator[Outcome]:
    """Evict each kind of training `count` times over, at random moments, with a random rest of a second to go on."""
    project = work / "evictions"
    project.mkdir()
    # what the trainings need, and what they give undisturbed
    for stage in ("acquire", "prepare"):
        done = nephrite(_arguments(stage), project)
        if done.code:
            yield Outcome("evictions", f"{stage}, undisturbed", done.output[-300:])
            return
    source = random.Random(18)
    for stage in TRAININGS:
        output = project / PLACES[STAGES[stage][0][-1]]
        undisturbed = nephrite(_arguments(stage), project)
        wanted = content(output)
        for number in range(count):
            durable = work / f"checkpoints-{stage}-{number}"
            fault, kills = _train(stage, project, durable, undisturbed.seconds, source)
            if not fault and (differing := [name for name in wanted if wanted[name] != content(output).get(name)]):
                fault = f"differs: {', '.join(differing[:5])}"
            if not fault and (left := [path.name for path in durable.iterdir()]):
                fault = f"left on the volume: {', '.join(left)}"
            yield Outcome("evictions", f"{stage}, {kills} evictions", fault)


def _arguments(stage: str) -> list[str]:
    names, _ = STAGES[stage]
    unit = {"train-gan": [f"painter={PAINTER}"], "train-segmenter": [f"arm={ARM}"]}.get(stage, [])
    paths = [part for name in names for part in (f"--{name}", PLACES[name])]
    return [stage, *settings(SETS, f"compute.checkpoint_minutes={MINUTES}", *unit), *paths]


def _train(stage: str, project: Path, durable: Path, seconds: float, source: random.Random) -> tuple[str, int]:
    """One training in pods, evicted some times and then left to end; gives a fault, and how often it was evicted."""
    for kills in range(MOST_KILLS + 1):
        last = kills == MOST_KILLS
        moment, grace = source.uniform(0.3, 1) * seconds, source.uniform(0, 1)
        code, output, orphans = _pod(_arguments(stage), project, durable, None if last else moment, grace)
        if orphans:
            return f"orphans: {', '.join(orphans)}", kills
        if code == 0:
            return "", kills
        if last:
            return output[-300:], kills
    return "", MOST_KILLS


def _pod(
    arguments: Sequence[str], project: Path, durable: Path, moment: float | None, grace: float
) -> tuple[int, str, list[str]]:
    """A pod that runs the command; evicted at a moment, or not. Gives exit code, output, and what was left running."""
    durable.mkdir(exist_ok=True)
    variables = environment(NEPHRITE_CHECKPOINTS=str(durable))
    process = subprocess.Popen(
        [sys.executable, POD, str(grace), sys.executable, "-m", "nephrite", *arguments],
        cwd=project,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if moment is not None:
        deadline = time.monotonic() + moment
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)  # as the kubelet does: to the first process of the container
    output, _ = process.communicate()
    return process.returncode, output, still_there(variables[MARKER], patience=3)
