"""The stage keeps faithful and new slices, says why it drops the others, and looks at training patients alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nephrite.config import Config
from nephrite.errors import LeakageError
from nephrite.files import PARTIAL, read_json
from nephrite.models.unet import UNet
from nephrite.recording import SilentRun
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.fitting import SegmentationModule, SegmentationTask
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.stages.screen import _open_stores, screen
from nephrite.store.arrays import create_arrays
from nephrite.store.persons import alone
from nephrite.store.slices import (
    UNLABELED,
    PairStore,
    Patient,
    Provenance,
    SliceRef,
    finish_store,
    write_patient,
)
from nephrite.store.split import training_subset
from nephrite.training.data import Batch, Pairs
from nephrite.training.leakage import check_synthetic
from tests.conftest import CHANNELS, hash_again, with_another_window

Load = Callable[..., Config]
KNOWN = ("a1", "a2", "a3")
SIZE = 32


class Drawn(NamedTuple):
    """A slice and its label map."""

    image: np.ndarray
    label: np.ndarray


class Oracle(Segmenter):
    """Finds the classes of these stores by their brightness."""

    def __init__(self) -> None:
        network = UNet(1, 2, base_width=4, depth=1, padding="same", normalization="batch")
        super().__init__(network, network.input_size)

    def forward(self, image: Tensor) -> Tensor:
        self.network(image)  # for its features
        smooth = functional.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
        kidney, tumor = (smooth > 0.45) & (smooth <= 0.6), smooth > 0.6
        return torch.cat([kidney, tumor], dim=1).float() * 20 - 10


def knowing(network: Segmenter) -> TrainedNetwork:
    """As if it had been trained."""
    unet = UNetSettings(kind="unet", base_width=4, depth=1, padding="same", normalization="batch")
    return TrainedNetwork(backend=UNetBackend(unet), channels=CHANNELS, threshold=0.5, network=network.eval())


ONE = ("trial.cells=[0]",)


class Recorder(SilentRun):
    """Remembers the names of what it is given."""

    def __init__(self) -> None:
        self.artifacts, self.datasets, self.told = list[str](), list[str](), dict[str, str]()

    def tags(self, values: Mapping[str, str]) -> None:
        self.told |= values

    def artifact(self, path: Path, *, folder: str = "") -> None:
        assert path.is_file()
        self.artifacts.append(path.name)

    def dataset(self, path: Path, *, name: str, digest: str) -> None:
        self.datasets.append(name)


def draw_slice(seed: int, *, empty: bool = False) -> Drawn:
    """A slice like those of the real store."""
    rng = np.random.default_rng(seed)
    label = np.zeros((SIZE, SIZE), np.uint8)
    if not empty:
        row, column = rng.integers(2, SIZE - 14, 2)
        label[row : row + 12, column : column + 12] = 1
        label[row + 3 : row + 9, column + 3 : column + 9] = 2
    return Drawn((rng.normal(-50, 20, label.shape) + label * 60.0).astype(np.int16), label)


def write_painted(root: Path, pairs: Path, *patients: list[Drawn], known: tuple[str, ...] = KNOWN) -> Path:
    """A painted store: of the first known patient the first list of slices, and so on."""
    for source, slices in zip(known, patients, strict=False):
        image, label = create_arrays(root, f"synthetic-{source}", (len(slices), SIZE, SIZE))
        image[:], label[:] = np.stack([s.image for s in slices]), np.stack([s.label for s in slices])
        provenance = Provenance(source, tuple(range(len(slices))), tuple(range(len(slices))), "painter-1", known)
        meta = Patient(f"synthetic-{source}", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=provenance)
        write_patient(root, meta)
    manifest = PairStore(pairs).manifest
    finish_store(
        root,
        kind="synthetic",
        splits={f"synthetic-{source}": "train" for source, _ in zip(known, patients, strict=False)},
        split_settings={},
        classes=manifest.classes,
        channels=manifest.channels,
        size=SIZE,
        version="test",
    )
    return root


def training_slice(pairs: Path) -> Drawn:
    store = PairStore(pairs)
    return Drawn(np.array(store.image("a2")[0]), np.array(store.label("a2")[0]))


def wrong_mask() -> Drawn:
    """A slice in which nothing lies where its mask says."""
    return Drawn(draw_slice(7, empty=True).image, draw_slice(8).label)


def shifted() -> Drawn:
    """A slice that is brighter than any training slice."""
    return Drawn(draw_slice(9, empty=True).image + 50, np.zeros((SIZE, SIZE), np.uint8))


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No training: the helper knows."""
    monkeypatch.setattr("nephrite.stages.screen.fit_helper", lambda *_, **__: knowing(Oracle()))


@pytest.fixture
def painted(pairs: Path, tmp_path: Path) -> Path:
    """Of one patient 4 honest slices and an empty one, of a second one of each bad kind, of a third one of both."""
    honest = [draw_slice(seed) for seed in range(100, 104)]
    bad = [training_slice(pairs), wrong_mask(), shifted()]
    mixed = [wrong_mask(), draw_slice(105)]
    return write_painted(tmp_path / "painted", pairs, [*honest, draw_slice(106, empty=True)], bad, mixed)


def rows(target: Path) -> list[dict[str, str]]:
    with (target / "screening.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def screened(config: Config, pairs: Path, painted: Path, target: Path) -> dict[str, float]:
    return screen(config, SilentRun(), pairs=pairs, painted=painted, synthetic=target)


@pytest.mark.usefixtures("oracle")
def test_each_planted_fault_is_rejected_for_its_reason(load: Load, pairs: Path, painted: Path, tmp_path: Path) -> None:
    metrics = screened(load(), pairs, painted, tmp_path / "out")
    found = {(row["patient"], row["slice"]): row["failed"] for row in rows(tmp_path / "out")}
    assert found["synthetic-a2", "0"] == "memorization"
    assert found["synthetic-a2", "1"] == found["synthetic-a3", "0"] == "agreement intensity"
    assert found["synthetic-a2", "2"] == "false_positives intensity"
    honest = [key for key, failed in found.items() if not failed]
    assert honest == [*(("synthetic-a1", str(n)) for n in range(5)), ("synthetic-a3", "1")]
    assert (metrics["painted"], metrics["accepted"], metrics["accepted_share"]) == (10, 6, 0.6)


@pytest.mark.usefixtures("oracle")
def test_copy_names_the_training_slice_that_it_copies(load: Load, pairs: Path, painted: Path, tmp_path: Path) -> None:
    screened(load(), pairs, painted, tmp_path / "out")
    (copy,) = (row for row in rows(tmp_path / "out") if "memorization" in row["failed"])
    assert (copy["nearest_patient"], copy["nearest_slice"], copy["similarity"]) == ("a2", "0", "1.000")
    assert copy["mask_overlap"] == "1.000"


@pytest.mark.usefixtures("oracle")
def test_accepted_store_holds_accepted_slices_and_passes_the_guard(
    load: Load, pairs: Path, painted: Path, tmp_path: Path
) -> None:
    screened(load(), pairs, painted, tmp_path / "out")
    store, before = PairStore(tmp_path / "out"), PairStore(painted)
    assert check_synthetic(store, PairStore(pairs), KNOWN) == "painter-1"
    assert store.patients("train") == ["synthetic-a1", "synthetic-a3"]  # of a2 nothing is left
    assert np.array_equal(store.image("synthetic-a3")[0], before.image("synthetic-a3")[1])
    provenance = store.patient("synthetic-a3").provenance
    assert provenance is not None
    assert (provenance.source_slices, provenance.deformation_seeds) == ((1,), (1,))


@pytest.mark.usefixtures("oracle")
def test_report_says_what_each_test_rejects_and_shows_sheets(
    load: Load, pairs: Path, painted: Path, tmp_path: Path
) -> None:
    run, out = Recorder(), tmp_path / "out"
    screen(load(), run, pairs=pairs, painted=painted, synthetic=out)
    facts = read_json(out / "screening.json")
    assert {name: row["slices"] for name, row in facts["rejected"].items()} == {
        "agreement": 2,
        "false_positives": 1,
        "intensity": 3,
        "memorization": 1,
    }
    assert facts["painter"] == "pix2pix/1.0/0"
    assert "12 validation slices are fewer than" in facts["limits"][0]
    assert "| memorization | 1 |" in (out / "screening.md").read_text(encoding="utf-8")
    assert {"screening.html", "screening.json", "accepted.png", "rejected.png"} <= set(run.artifacts)
    assert run.datasets == ["pairs", "painted", "synthetic"]
    assert "* `screening/accepted.png`: Pass the tests: label map (" in run.told["mlflow.note.content"]


@pytest.mark.usefixtures("oracle")
def test_nothing_accepted_is_one_warning_with_thresholds_and_counts_and_an_empty_store(
    load: Load, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    painted, run = write_painted(tmp_path / "painted", pairs, [wrong_mask(), training_slice(pairs)]), Recorder()
    told = r"accepts none of 2 painted slices: agreement \[0.3, 1.0\] rejects 1 \(and .*0.99 rejects 1 \(and .*%"
    screen(load(*ONE), run, pairs=pairs, painted=painted, synthetic=tmp_path / "out")
    assert re.search(told, caplog.text)
    assert "arms of this painter learn from real slices alone" in caplog.text
    assert PairStore(tmp_path / "out").patients() == []
    assert "rejected.png" in run.artifacts  # to see why
    screened(load("screen.filter=report"), pairs, painted, tmp_path / "out")
    assert not (tmp_path / f"out{PARTIAL}").exists()


@pytest.mark.usefixtures("oracle")
def test_one_painter_of_several_may_have_nothing_accepted(
    load: Load, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    painted = write_painted(tmp_path / "painted", pairs, [wrong_mask(), training_slice(pairs)])
    metrics = screened(load("trial.cells=[0, 1]", "painter=pix2pix/1.0/0"), pairs, painted, tmp_path / "out")
    assert (metrics["accepted"], PairStore(tmp_path / "out").patients()) == (0, [])
    assert "accepts none of 2 painted slices: agreement" in caplog.text
    assert "arms of this painter learn from real slices alone" in caplog.text


@pytest.mark.usefixtures("oracle")
def test_filter_that_reports_keeps_every_slice(load: Load, pairs: Path, painted: Path, tmp_path: Path) -> None:
    metrics = screened(load("screen.filter=report"), pairs, painted, tmp_path / "out")
    assert metrics["accepted"] == len(PairStore(tmp_path / "out").slices()) == 10
    assert metrics["fail_memorization"] == 0.1


@pytest.mark.usefixtures("oracle")
def test_copies_may_be_counted_and_kept(load: Load, pairs: Path, painted: Path, tmp_path: Path) -> None:
    metrics = screened(load("screen.memorization=report"), pairs, painted, tmp_path / "out")
    assert (metrics["fail_memorization"], metrics["memorized_share"]) == (0, 0.1)
    assert "synthetic-a2" in PairStore(tmp_path / "out").patients()


def test_filter_that_is_off_trains_nothing_and_copies_the_store(
    load: Load, pairs: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("nephrite.stages.screen.fit_helper")
    metrics = screened(load("screen.filter=all"), pairs, painted, tmp_path / "out")
    assert metrics["accepted_share"] == 1
    assert PairStore(tmp_path / "out").manifest == PairStore(painted).manifest


@pytest.mark.parametrize("chosen", ["all", "tests"])
def test_slices_that_know_another_patient_are_refused(load: Load, pairs: Path, tmp_path: Path, chosen: str) -> None:
    leaky = write_painted(tmp_path / "painted", pairs, [draw_slice(1)], known=("a1", "c1"))
    with pytest.raises(LeakageError, match="know patient c1"):
        screened(load(f"screen.filter={chosen}"), pairs, leaky, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_examiner_sees_the_slices_of_the_painters_patients_alone(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Pairs] = []

    class Spy(SegmentationModule):
        def __init__(self, network: Segmenter, task: SegmentationTask, *args: object, **more: object) -> None:
            tasks.extend([task.training, task.validation])
            super().__init__(network, task, *args, **more)  # type: ignore[arg-type] # handed on as they came

    monkeypatch.setattr("nephrite.segmentation.in_process.fitting.SegmentationModule", Spy)
    config = load("trial.label_fractions=[0.67]", "screen.filter=report", "trial.seed=3")
    known = subset(config)
    painted = write_painted(tmp_path / "painted", pairs, [draw_slice(1)], known=known)
    screened(config, pairs, painted, tmp_path / "out")
    assert len(known) == 2
    assert [set(task.patients) for task in tasks] == [set(known)] * 2
    facts = read_json(tmp_path / "out" / "screening.json")
    assert (facts["examiner"]["patients"], facts["memorization"]["training_slices"]) == (2, 12)


def test_scans_without_labels_may_have_been_copied_as_well(load: Load, pairs: Path, tmp_path: Path) -> None:
    painted = write_painted(tmp_path / "painted", pairs, [draw_slice(1)], known=("a1", "a2"))
    for file in ("split.json", "index.csv"):
        text = (pairs / file).read_text()
        (pairs / file).write_text(re.sub(r'("a3": ")train|(a3,\d,)train', rf"\1\2{UNLABELED}", text))
    hash_again(pairs)
    meta = next(painted.rglob("meta.json"))
    meta.write_text(re.sub(r'"unlabeled_patients": \[\]', '"unlabeled_patients": ["a3"]', meta.read_text()))
    hash_again(painted)
    inputs = _open_stores(load(), pairs, painted)
    assert {ref.patient for ref in inputs.training} == {"a1", "a2"}
    assert [ref for ref in inputs.seen if ref not in inputs.training] == [SliceRef("a3", place) for place in range(6)]


def subset(config: Config) -> tuple[str, ...]:
    painter = config.this_painter
    return tuple(training_subset(alone(KNOWN), painter.fraction, cell=painter.cell, trial=config.trial))


def test_trained_examiner_tells_a_right_mask_from_a_wrong_one(load: Load, pairs: Path, tmp_path: Path) -> None:
    painted = write_painted(tmp_path / "painted", pairs, [draw_slice(1), draw_slice(2), wrong_mask()])
    config = load("screen.steps=90", "train_segmenter.learning_rate=0.02", "train_segmenter.batch_size=8")
    screened(config, pairs, painted, tmp_path / "out")
    right, also, wrong = (float(row["agreement"]) for row in rows(tmp_path / "out"))
    assert min(right, also) > 0.6
    assert wrong < 0.3
    assert not (tmp_path / "out" / "examiner").exists()


def test_looser_thresholds_take_up_the_examiner_of_the_attempt_before(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted = leave_examiner(load(*ONE, "screen.agreement=[0.9, 1.0]"), pairs, tmp_path)
    steps: list[int] = []
    monkeypatch.setattr(
        "nephrite.segmentation.in_process.fitting.SegmentationModule.training_step",
        lambda *given: steps.append(given[-1]),
    )
    screened(load("screen.filter=report"), pairs, painted, tmp_path / "out")
    assert len(PairStore(tmp_path / "out").slices()) == 1
    assert not steps


FEW = ("screen.steps=4", "screen.agreement=[0.9, 1.0]")


def leave_examiner(config: Config, pairs: Path, tmp_path: Path) -> Path:
    """An attempt that is stopped once the slices are examined, and leaves the examiner that it has trained."""
    painted = write_painted(tmp_path / "painted", pairs, [wrong_mask()])
    stop(config, pairs, painted, tmp_path / "out")
    return painted


def stop(config: Config, pairs: Path, painted: Path, out: Path) -> None:
    """Screen, and be stopped before the accepted slices are written."""

    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nephrite.stages.screen._write_accepted", stopped)
        with pytest.raises(KeyboardInterrupt):
            screened(config, pairs, painted, out)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The optimizer steps that are taken from now on."""
    taken, step = list[int](), SegmentationModule.training_step

    def counted(self: SegmentationModule, batch: Batch, batch_idx: int) -> Tensor:
        taken.append(batch_idx)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", counted)
    return taken


@pytest.mark.parametrize(
    "other",
    [
        "trial.seed=99",
        "screen.steps=8",
        "screen.segmenter=heavy",
        "train_segmenter.learning_rate=0.02",
        "train_segmenter.loss=dice_and_cross_entropy",
        "trial.primary=kidney_and_tumor",
        "evaluate.threshold=0.1",
        "trial.cells=[1]",
    ],
)
def test_examiner_of_other_settings_is_not_taken_up(
    load: Load, pairs: Path, tmp_path: Path, steps: list[int], other: str
) -> None:
    heavy = (
        "train_segmenter.segmenters.heavy={kind: unet, base_width: 4, depth: 1, padding: same, normalization: batch}"
    )
    painted = leave_examiner(load(heavy, *ONE, *FEW, other), pairs, tmp_path)
    steps.clear()
    screened(load(heavy, *ONE, *FEW, "screen.filter=report"), pairs, painted, tmp_path / "out")
    assert len(steps) == 4


def test_examiner_of_the_same_settings_is_taken_up_and_that_of_other_slices_is_not(
    load: Load, pairs: Path, tmp_path: Path, steps: list[int]
) -> None:
    painted = leave_examiner(load(*ONE, *FEW), pairs, tmp_path)
    steps.clear()
    stop(load(*ONE, *FEW), pairs, painted, tmp_path / "out")
    assert steps == []
    with_another_window(pairs)
    screened(load(*ONE, *FEW, "screen.filter=report"), pairs, painted, tmp_path / "out")
    assert len(steps) == 4
