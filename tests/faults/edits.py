"""Outputs of a finished trial are edited, one at a time: the next stage refuses them, and so does `nephrite verify`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.harness import Outcome, nephrite, settings

ARM = "real+geometric/light/1.0/0"
SETS = ("trial.training_sets.real=[real, real+geometric]",)
TRAIN, SCORE = f"models/segmenters/{ARM}", f"scores/{ARM}.json"


def edited_evidence(work: Path) -> Iterator[Outcome]:
    """Edit a trial's evidence, and run what reads it."""
    project = work / "whole"
    project.mkdir()
    done = nephrite(["trial", "--folder", "results", *settings(*SETS)], project)
    if done.code:
        yield Outcome("edits", "the trial itself", done.output[-300:])
        return
    done = nephrite(["verify", "results"], project)
    yield Outcome("edits", "an unchanged trial", "" if done.code == 0 else done.output[-300:])
    for number, (what, edit, command) in enumerate(_edits()):
        copy = work / f"edit-{number}"
        shutil.copytree(project, copy)
        edit(copy / "results")
        verified = nephrite(["verify", "results"], copy)
        used = nephrite([*command, *settings(*SETS)], copy)
        told = verified.code in (0, 1) and "Traceback" not in verified.output  # 1: something changed
        fault = used.fault or ("" if told else verified.output[-200:])
        if not fault and verified.code == 0:
            fault = "verify finds nothing"
        if not fault and used.code == 0:
            fault = f"{command[0]} uses it"
        shutil.rmtree(copy)
        yield Outcome("edits", what, fault)


def _edits() -> Iterator[tuple[str, Callable[[Path], None], list[str]]]:
    pairs, segmenter = "results/data/prepared", f"results/{TRAIN}"
    train = ["train-segmenter", "--pairs", pairs, "--segmenter", "again", "--set", f"arm={ARM}"]
    score = ["evaluate", "--pairs", pairs, "--segmenter", segmenter, "--scores", "again.json", "--set", f"arm={ARM}"]
    judge = ["report", "--pairs", pairs, "--scores", "results/scores", "--report", "again", "--synthetic"]
    judge.append("results/data/synthetic")
    promote = ["promote", "--report", "results/reports", "--segmenters", "results/models/segmenters"]
    promote += ["--promotion", "again.json"]
    yield "half of the index removed", _half_index, train
    yield "pixels of a training patient reversed", lambda root: _array(root, "train", "image"), train
    yield "label map of a test patient overwritten", lambda root: _array(root, "test", "label"), score
    yield "a bit of the weights flipped", lambda root: _flip(root / TRAIN / "weights.safetensors"), score
    yield "validation score of the card raised", lambda root: _set(root / TRAIN / "segmenter.json", 0.99), promote
    yield "Dice 5.0 in the scores", lambda root: _dice(root / SCORE, 5.0), judge
    yield "Dice 0.99 in the scores", lambda root: _dice(root / SCORE, 0.99), judge
    yield "Dice 0.99 in trial.json", lambda root: _trial(root / "reports" / "trial.json"), promote
    yield "a patient moved from test to train", _move_patient, train


def _half_index(root: Path) -> None:
    path = root / "data/prepared/index.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))


def _array(root: Path, split: str, name: str) -> None:
    store = root / "data/prepared"
    splits = json.loads((store / "split.json").read_text())["patients"]
    patient = next(key for key, value in splits.items() if value == split)
    path = store / "patients" / patient / f"{name}.npy"
    array = np.load(path)
    np.save(path, array[:, ::-1] if name == "image" else np.roll(array, 3, axis=2))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(bytes(content))


def _set(path: Path, value: float) -> None:
    content = json.loads(path.read_text())
    content["validation_score"] = value
    path.write_text(json.dumps(content))


def _dice(path: Path, value: float) -> None:
    content = json.loads(path.read_text())
    for patient in content["patients"]:
        for region in patient["regions"].values():
            region["dice"] = value
    path.write_text(json.dumps(content))


def _trial(path: Path) -> None:
    content = json.loads(path.read_text())

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                if key == "dice_by_patient":
                    value[key] = dict.fromkeys(part, 0.99)
                else:
                    walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(content)
    path.write_text(json.dumps(content))


def _move_patient(root: Path) -> None:
    path = root / "data/prepared/split.json"
    path.write_text(path.read_text().replace('"test"', '"train"', 1))
