"""The example bundle on the store of the tests: it learns, by its seed alone, from the shares that it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nephrite.config import Config
from nephrite.files import read_json
from nephrite.programs.case_folders import Case, Wanted, write_cases
from nephrite.recording import SilentRun
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.command import CommandBackend, CommandSettings
from nephrite.segmentation.fit_task import Cohort, FitTask
from nephrite.segmentation.programs.monai_bundle.__main__ import options
from nephrite.segmentation.programs.monai_bundle.bundle import Bundle, read_bundle
from nephrite.segmentation.programs.monai_bundle.finding import predict
from nephrite.segmentation.programs.monai_bundle.learning import draw_patch, fit
from nephrite.store.slices import PairStore
from tests.conftest import CHANNELS, ROOT

Load = Callable[..., Config]
EXAMPLE = ROOT / "examples" / "monai_bundle"


def small() -> Bundle:
    """The example with small windows, where only draws count."""
    config = read_bundle(EXAMPLE).config
    return Bundle({**config, "validate": {"inferer": {**config["validate"]["inferer"], "roi_size": [8, 8, 4]}}})


def write(folder: Path, pairs: Path, *patients: str) -> Path:
    store = PairStore(pairs)
    cases = (Case(name, StoredScan(store, name), np.asarray(store.label(name))) for name in patients)
    write_cases(folder, cases, Wanted(CHANNELS))
    return folder


def fitted(bundle: Bundle, train: Path, out: Path, *more: str, steps: int = 3, seed: int = 1) -> Path:
    out.mkdir()
    words = ["b", "fit", "--train", train, "--validation", train, "--steps", steps, "--seed", seed, "--out", out]
    fit(bundle, options([*map(str, words), *more]))
    return out


def test_it_learns_and_finds_what_it_learned(pairs: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train = write(tmp_path / "train", pairs, "a1", "a2", "a3")
    model = fitted(read_bundle(EXAMPLE), train, tmp_path / "model", "--augmentation", "standard", steps=40)
    rows = [json.loads(line) for line in (model / "progress.jsonl").read_text().splitlines()]
    assert (len(rows), rows[-1]["step"]) == (20, 40)
    assert rows[-1]["train_loss"] < 0.7 * rows[0]["train_loss"]
    record = read_json(model / "model.json")
    assert (record["steps"], record["seed"], record["cases"], record["values"]) == (40, 1, 3, [1, 2])
    # asked for a scan that it never saw
    store, found = PairStore(pairs), tmp_path / "found"
    write_cases(tmp_path / "scans", [Case("c1", StoredScan(store, "c1"))], Wanted(CHANNELS))
    found.mkdir()
    predict(model, tmp_path / "scans", found)
    labels = np.asarray(nib.nifti1.load(found / "c1.nii.gz").dataobj).T > 0
    truth = np.asarray(store.label("c1")) > 0
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.6
    kidney, tumor = (
        np.asarray(nib.nifti1.load(found / f"c1_prob_{name}.nii.gz").dataobj) for name in ("kidney", "tumor")
    )
    assert 0 <= min(kidney.min(), tumor.min()) <= (kidney + tumor).max() <= 1 + 1e-5


def test_a_seed_gives_one_model_and_another_one_another(pairs: Path, tmp_path: Path) -> None:
    bundle, train = small(), write(tmp_path / "train", pairs, "a1")
    more = ("--augmentation", "standard")
    first, again, other = (
        load_file(fitted(bundle, train, tmp_path / f"m{number}", *more, seed=seed) / "weights.safetensors")
        for number, seed in enumerate((1, 1, 2))
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_cases_of_a_share_count_as_they_are_told(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def remember(cases: Any, *rest: Any) -> Any:
        drawn.append(len(cases))
        return draw_patch(cases, *rest)

    monkeypatch.setattr("nephrite.segmentation.programs.monai_bundle.learning.draw_patch", remember)
    train, fakes = write(tmp_path / "train", pairs, "a1"), write(tmp_path / "fakes", pairs, "a2", "a3")
    model = fitted(read_bundle(EXAMPLE), train, tmp_path / "m", "--synthetic", str(fakes), "--share", "0.8", steps=50)
    assert read_json(model / "model.json")["cases"] == 3
    assert drawn.count(2) / len(drawn) == pytest.approx(0.8, abs=0.12)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_patches_hold_foreground_in_half_of_the_draws_and_are_padded(dimensions: int) -> None:
    rng, label = np.random.default_rng(0), np.zeros((20, 30, 4), np.uint8)
    label[2, 3, 1] = 1
    image = label + np.float32(0.5)
    size = (8, 8, 6)[:dimensions]
    drawn = [draw_patch([(image, label)], size, dimensions, rng) for _ in range(200)]
    assert {tuple(part.shape) for pair in drawn for part in pair} == {(1, *size)}
    held = sum(bool(classes.any()) for _, classes in drawn)
    assert 80 < held < 140  # half, and some of the others by chance
    if dimensions == 3:
        assert float(drawn[0][0][..., 4:].max()) == 0  # beyond the scan


def test_a_loss_that_is_no_number_ends_it(pairs: Path, tmp_path: Path) -> None:
    bundle = read_bundle(EXAMPLE)
    wild = {**bundle.config["optimizer"], "_target_": "torch.optim.SGD", "lr": 1e30}
    train = write(tmp_path / "train", pairs, "a1")
    with pytest.raises(SystemExit, match=r"^error: the loss of step \d+ is (nan|inf); lower the learning rate$"):
        fitted(Bundle({**bundle.config, "optimizer": wild}), train, tmp_path / "m", steps=10)


@pytest.mark.slow
def test_the_contract_is_kept(load: Load, pairs: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "nephrite.segmentation.programs.monai_bundle", str(EXAMPLE))
    settings = CommandSettings(kind="command", command=command, takes=("augmentation",), probabilities=True)
    backend, config, store = CommandBackend(settings), load(), PairStore(pairs)
    (tmp_path / "segmenter").mkdir()
    task = FitTask(
        training=Cohort(store, ["a1", "a2"]),
        validation=Cohort(store, ["b1"]),
        channels=CHANNELS,
        region=(2,),
        threshold=0.5,
        augmentation="standard",
        settings=config.train_segmenter,
        compute=config.compute,
        weights_seed=5,
        order_seed=1,
        folder=tmp_path / "segmenter",
        run=SilentRun(),
        text="arm",
    )
    fitted = backend.fit(task)
    assert fitted.history[-1]["step"] == 6
    assert replace(fitted, history=()) == backend.load(task.folder, CHANNELS, 0.5)
