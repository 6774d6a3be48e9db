"""How time and memory of each stage grow with the number of patients: 10, 100, 1,000 drawn ones.

Each stage is a process of its own, as DVC runs it. What it takes for ten patients, mostly its start, is subtracted; the
exponent then says how the rest grows from 100 to 1,000: 1 is in proportion.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from interleaved import Row

from nephrite.phantom.phantom import write_volume

COUNTS = (10, 100, 1000)
SHAPE, SPACING = (12, 64, 64), (5.0, 3.0, 3.0)
EXPONENT_TARGET, PAGE_TARGET = 1.05, 15e6
ARMS = ("real", "real+recontrast")
SETTINGS = {
    "trial": {
        "name": "growth",
        "primary": "kidney",
        "reference": "real",
        "training_sets": {
            "real": ["real"],
            "synthetic": [{"name": ARMS[1], "synthesizer": "recontrast", "way": "mix", "share": 0.5}],
        },
        "synthesizers": ["recontrast"],
        "segmenters": ["light"],
        "label_fractions": [1.0],
        "cells": [0],
    },
    "acquire": {"source": "folder", "folder": {"path": "scans"}},
    "prepare": {
        "classes": {1: "kidney"},
        "lesions": {},
        "intensity": {"kind": "window", "center": 0, "width": 400},
        "in_plane": {"kind": "resize", "size": 64},
        "split": {"train": 0.5, "validation": 0.2, "test": 0.3, "salt": "growth"},
        "workers": 1,
    },
    "train_gan": {"recontrast": {"method": {"kind": "recontrast"}}},
    "synthesize": {"ratio": 1},
    "screen": {"filter": "all"},
    "train_segmenter": {"epochs": 1, "steps_per_epoch": 20, "segmenters": {"light": {"kind": "unet", "base_width": 4}}},
    "evaluate": {"regions": {"kidney": {"labels": [1]}}},
    "promote": {"model": "growth"},
}


class Cost(NamedTuple):
    """CPU seconds and highest resident set, in bytes, of a process."""

    seconds: float
    memory: int


def compare() -> Iterator[Row]:
    """A line for each stage, and one for the size of the report's page."""
    costs: dict[int, dict[str, Cost]] = {}
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as scratch:
            costs[count] = costs_of(Path(scratch), count)
            page = (Path(scratch) / "reports" / "report.html").stat().st_size
    few, some, many = (costs[count] for count in COUNTS)
    for stage in few:
        start, beyond = few[stage].seconds, many[stage].seconds - few[stage].seconds
        before = some[stage].seconds - start
        times = ", ".join(f"{costs[count][stage].seconds:.1f}" for count in COUNTS)
        memory = ", ".join(f"{costs[count][stage].memory / 2**20:.0f}" for count in COUNTS)
        details = f"{times} CPU s and {memory} MiB for {', '.join(f'{count:,}' for count in COUNTS)} patients"
        target = f"exponent at most {EXPONENT_TARGET}"
        if before < 0.1 * start:  # lost in what starting takes
            yield Row(f"growth of {stage}", target, "too short to tell", None, details)
            continue
        exponent = math.log(max(beyond, 1e-9) / before) / math.log((COUNTS[2] - COUNTS[0]) / (COUNTS[1] - COUNTS[0]))
        yield Row(f"growth of {stage}", target, f"{exponent:.2f}", exponent <= EXPONENT_TARGET, details)
    what = f"page of the report of {COUNTS[-1]:,} patients, 300 of them judged"
    yield Row(what, f"at most {PAGE_TARGET / 1e6:.0f} MB", f"{page / 1e6:.1f} MB", page <= PAGE_TARGET, "")


def costs_of(folder: Path, count: int) -> dict[str, Cost]:
    """Run all stages on so many patients."""
    write_scans(folder / "scans", count)
    (folder / "params.yaml").write_text(json.dumps(SETTINGS))
    painter, painted = "painter=recontrast/1.0/0", "recontrast/1.0/0"
    pairs, synthetic = ("--pairs", "pairs"), ("--synthetic", f"synthetic/{painted}")
    found = {
        "acquire": run(folder, "acquire", "--raw", "raw"),
        "prepare": run(folder, "prepare", "--raw", "raw", *pairs),
        "train-gan": run(folder, "train-gan", *pairs, "--synthesizer", "painter", "--set", painter),
        "synthesize": run(
            folder, "synthesize", *pairs, "--synthesizer", "painter", "--painted", "painted", "--set", painter
        ),
        "screen": run(
            folder, "screen", *pairs, "--painted", "painted", "--synthetic", f"synthetic/{painted}", "--set", painter
        ),
    }
    for arm in ARMS:
        own = synthetic if arm != "real" else ()
        chosen = ("--set", f"arm={arm}/light/1.0/0")
        model = ("--segmenter", f"models/{arm}/light/1.0/0")
        found["train-segmenter"] = run(folder, "train-segmenter", *pairs, *model, *own, *chosen)
        where = ("--raw", "raw", "--predictions", f"predictions/{arm}/light/1.0/0")
        scores = ("--scores", f"scores/{arm}/light/1.0/0.json")
        found["evaluate"] = run(folder, "evaluate", *pairs, *model, *scores, *where, *chosen)
    judged = ("--scores", "scores", "--synthetic", "synthetic", "--predictions", "predictions")
    found["report"] = run(folder, "report", *pairs, *judged, "--report", "reports")
    return found


def run(folder: Path, *words: str) -> Cost:
    """One stage, as a process of its own, with its record in the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")}
    with subprocess.Popen(
        [sys.executable, "-m", "nephrite", *words],
        cwd=folder,
        env={**kept, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {said}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def write_scans(folder: Path, count: int) -> None:
    """Patients that differ: coarse noise for a body, and a disc of their own for a kidney."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for number in range(count):
        generator = np.random.default_rng(number)
        coarse = generator.normal(0, 60, (SHAPE[0], 8, 8))
        image = np.kron(coarse, np.ones((1, 8, 8))) + generator.normal(0, 10, SHAPE)
        top, left, radius = generator.integers(20, 44), generator.integers(20, 44), generator.integers(5, 12)
        label = np.zeros(SHAPE, np.uint8)
        label[3:9, (rows - top) ** 2 + (columns - left) ** 2 < radius**2] = 1
        place = folder / f"case_{number:05d}"
        place.mkdir(parents=True)
        write_volume(place / "imaging.nii.gz", (image + 150 * label).astype(np.int16), SPACING)
        write_volume(place / "segmentation.nii.gz", label, SPACING)
