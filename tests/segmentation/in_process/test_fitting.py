from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from safetensors.torch import load_file
from torch import nn

from nephrite.config import IGNORED, Augmentation, Config
from nephrite.errors import NonFiniteLossError
from nephrite.metrics.curves import best_epoch
from nephrite.models.unet import Normalization
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import WEIGHTS
from nephrite.segmentation.in_process import learning
from nephrite.segmentation.in_process.fitting import (
    SegmentationModule,
    SegmentationTask,
)
from nephrite.segmentation.in_process.learning import mean_dice
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.store.slices import PairStore
from nephrite.training.data import Pairs
from nephrite.training.lesion_bank import fill_bank
from nephrite.training.mixing import Mixture, mix
from nephrite.training.pseudo_labels import PseudoLabels
from nephrite.training.trainer import fit, quiet_lightning
from tests.conftest import write_synthetic

Load = Callable[..., Config]


def module_of(
    config: Config,
    pairs: Path,
    folder: Path,
    *,
    augmentation: Augmentation = "none",
    normalization: Normalization = "batch",
) -> SegmentationModule:
    store = PairStore(pairs)
    slices, settings = store.slices("train"), config.train_segmenter
    steps = settings.epochs * settings.steps_per_epoch
    task = SegmentationTask(
        training=Pairs((store, slices)),
        mixture=mix(np.ones(len(slices), bool), [], steps=steps, batch_size=settings.batch_size),
        validation=Pairs((store, store.slices("validation"))),
        channels=store.manifest.channels,
        region=(2,),
        threshold=0.5,
        augmentation=augmentation,
    )
    torch.manual_seed(0)
    network = UNetSettings(kind="unet", base_width=4, depth=2, padding="same", normalization=normalization)
    return SegmentationModule(UNetBackend(network).build(2), task, config.train_segmenter, seed=1, folder=folder)


def train(config: Config, pairs: Path, folder: Path, **changes: Any) -> SegmentationModule:
    folder.mkdir(exist_ok=True)
    module = module_of(config, pairs, folder, **changes)
    fit(module, config.compute, folder=folder, epochs=config.train_segmenter.epochs, run=SilentRun(), text="test")
    return module


def test_training_learns(load: Load, pairs: Path, tmp_path: Path) -> None:
    longer = ("train_segmenter.epochs=3", "train_segmenter.steps_per_epoch=25", "train_segmenter.learning_rate=0.03")
    history = train(load(*longer), pairs, tmp_path / "a").history
    assert max(row["validation_dice"] for row in history) > 0.5
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert [row["step"] for row in history] == [25, 50, 75]


def test_geometric_augmentation_changes_training_only(load: Load, pairs: Path, tmp_path: Path) -> None:
    still = ("train_segmenter.learning_rate=1e-30", "train_segmenter.epochs=1")
    kinds: tuple[Augmentation, ...] = ("none", "geometric")
    plain, moved = (train(load(*still), pairs, tmp_path / kind, augmentation=kind).history for kind in kinds)
    assert plain[0]["train_loss"] != moved[0]["train_loss"]
    assert (
        train(load(*still), pairs, tmp_path / "again", augmentation="geometric").history[0]["train_loss"]
        == moved[0]["train_loss"]
    )


PLATEAU, BEST = "train_segmenter.schedule=plateau", "train_segmenter.weights=best"


def test_rate_falls_over_the_whole_training(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load("train_segmenter.learning_rate=0.01", "train_segmenter.epochs=2", "train_segmenter.steps_per_epoch=5")
    history = train(config, pairs, tmp_path / "a").history
    assert [row["learning_rate"] for row in history] == pytest.approx([0.01 * 0.6**0.9, 0.01 * 0.1**0.9])


def test_rate_falls_when_validation_loss_stands_still(load: Load, pairs: Path, tmp_path: Path) -> None:
    patience = "train_segmenter.plateau_patience=0"
    stuck = (PLATEAU, "train_segmenter.learning_rate=1e-7", patience, "train_segmenter.epochs=3")
    history = train(load(*stuck), pairs, tmp_path / "a", normalization="none").history
    assert [row["learning_rate"] for row in history] == pytest.approx([1e-7, 1e-7, 1e-8])


def test_rate_of_a_resumed_training_follows_from_its_history(load: Load, pairs: Path, tmp_path: Path) -> None:
    module = module_of(load(PLATEAU, "train_segmenter.plateau_patience=1"), pairs, tmp_path)
    module.history = [{"validation_loss": 0.5}] * 3
    rate = module.configure_optimizers().param_groups[0]["lr"]
    assert rate == pytest.approx(module.settings.learning_rate * module.settings.plateau_factor)


def test_every_step_is_one_of_adam_with_its_own_betas(load: Load, pairs: Path, tmp_path: Path) -> None:
    optimizer = module_of(load(), pairs, tmp_path).configure_optimizers()
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.Adam)
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (0.001, (0.9, 0.999), 1e-8, 0)
    assert not group["amsgrad"]


def test_a_validation_patient_whose_region_vanished_scores_0(load: Load, pairs: Path, tmp_path: Path) -> None:
    module = module_of(load(), pairs, tmp_path)
    patients = module.task.validation.patients
    module.task = replace(module.task, vanished=frozenset(patients[:1]))
    module.on_validation_epoch_start()
    assert mean_dice(module.counts) == pytest.approx(1 - 1 / len(patients))


def test_training_stops_when_validation_dice_stands_still(load: Load, pairs: Path, tmp_path: Path) -> None:
    stuck = ("train_segmenter.learning_rate=1e-30", "train_segmenter.early_stopping=2", "train_segmenter.epochs=9")
    module = train(load(*stuck), pairs, tmp_path / "a")
    assert len(module.history) - 1 - best_epoch(module.history) == 2
    assert len(train(load(*stuck), pairs, tmp_path / "a").history) == len(module.history)


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.value * image.repeat(1, 2, 1, 1)


def test_loss_that_is_not_finite_stops_the_training(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load()
    module = module_of(config, pairs, tmp_path)
    module.network = Constant(float("nan"))  # type: ignore[assignment]  # a network that no setting can build
    with pytest.raises(NonFiniteLossError, match=r"training loss \(dice\): is nan at optimizer step 1"):
        fit(module, config.compute, folder=tmp_path, epochs=2, run=SilentRun(), text="test")


class Canvas(nn.Module):
    """Paints the same logits whatever it sees: one weight for each pixel of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, 2, 32, 32))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(image), -1, -1, -1)


@pytest.mark.parametrize("loss", ["dice", "dice_and_cross_entropy"])
@pytest.mark.parametrize("unsure", [True, False])
def test_pixels_whose_label_is_unsure_teach_nothing_where_some_are(
    load: Load, pairs: Path, tmp_path: Path, loss: str, unsure: bool
) -> None:
    store, config = PairStore(pairs), load(f"train_segmenter.loss={loss}", "train_segmenter.epochs=1")
    label = np.zeros((6, 32, 32), np.uint8)
    label[:, :8], label[:, 20:] = 1, IGNORED
    taught = PseudoLabels(store, {"a1": label})
    module = module_of(config, pairs, tmp_path)
    mixture = mix(np.ones(6, bool), [], steps=config.train_segmenter.steps_per_epoch, batch_size=4)
    task = replace(module.task, training=Pairs((taught, taught.slices())), mixture=mixture, unsure=unsure)
    canvas = Canvas()
    module = SegmentationModule(canvas, task, config.train_segmenter, seed=1, folder=tmp_path)  # type: ignore[arg-type]  # a network that no setting can build
    fit(module, config.compute, folder=tmp_path, epochs=1, run=SilentRun(), text="test")
    assert (canvas.logits[:, 0, :8] > 0).all()
    assert (canvas.logits[:, :, 8:20] < 0).all()
    assert bool((canvas.logits[:, :, 20:] == 0).all()) == unsure


def test_weights_of_the_first_of_equal_epochs_are_kept(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, epochs in (("long", 4), ("short", 2)):
        scores = iter([0.2, 0.9, 0.9, 0.9])
        monkeypatch.setattr(learning, "mean_dice", lambda counts, scores=scores: next(scores))
        history = train(load(PLATEAU, BEST, f"train_segmenter.epochs={epochs}"), pairs, tmp_path / name).history
        assert best_epoch(history) == 1
    first, kept = (load_file(tmp_path / name / WEIGHTS) for name in ("short", "long"))
    assert all(torch.equal(kept[name], value) for name, value in first.items())


def test_weights_are_kept_even_where_nothing_is_found(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "mean_dice", lambda counts: 0.0)
    assert best_epoch(train(load(BEST), pairs, tmp_path / "a").history) == 0
    assert (tmp_path / "a" / WEIGHTS).exists()


def test_a_training_on_windows_sees_windows_and_is_validated_on_whole_slices(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    config, sizes = load("train_segmenter.epochs=1"), list[tuple[int, ...]]()
    module = module_of(config, pairs, tmp_path)
    module.task = replace(module.task, window=20, forced=0.5)
    module.network.register_forward_hook(lambda _, given, __: sizes.append(tuple(given[0].shape[-2:])))
    fit(module, config.compute, folder=tmp_path, epochs=1, run=SilentRun(), text="test")
    assert {*sizes} == {(20, 20)}
    truth = sum(int((module.task.validation.read(place).label == 2).sum()) for place in range(12))
    assert int(module.counts[:, 1].sum()) >= truth > 0


def test_painted_slices_leave_the_running_averages_to_real_ones(load: Load, pairs: Path, tmp_path: Path) -> None:
    store, painted = PairStore(pairs), PairStore(write_synthetic(tmp_path / "painted", "a1", ("a1",)))
    config, means = load("train_segmenter.epochs=1", "train_segmenter.learning_rate=1e-30"), []
    for share in (0.5, 0.0):
        module = module_of(config, pairs, tmp_path)
        real = store.slices("train")
        slices = Pairs((store, real), (painted, painted.slices()))
        places = [np.arange(2), np.arange(len(real), len(slices))]
        taken = [2, 2] if share else [2, 0]
        mixture = Mixture((*places,), np.array([taken] * 3), 1.0, 1.0)
        task = replace(module.task, training=slices, mixture=mixture)
        module = SegmentationModule(module.network, task, module.settings, seed=1, folder=tmp_path)
        (tmp_path / str(share)).mkdir()
        fit(module, config.compute, folder=tmp_path / str(share), epochs=1, run=SilentRun(), text="test")
        means.append([value for name, value in module.network.state_dict().items() if name.endswith("running_mean")])
    assert means[0]
    for with_painted, without in zip(*means, strict=True):
        torch.testing.assert_close(with_painted, without)


def test_lesions_are_pasted_onto_the_patients_that_may_take_them(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SegmentationModule, "step_seed", lambda self, batch_index: 1)  # no loader that counts steps
    store = PairStore(pairs)
    bank = fill_bank(store, store.slices_of(["a1"]), {2: 1}, place="test", onto=["a3"])
    module = module_of(load("train_segmenter.lesion_free.pasted=1", "train_segmenter.batch_size=6"), pairs, tmp_path)
    task = replace(module.task, lesions=bank, pasted_onto=frozenset({"a3"}))
    made = SegmentationModule(module.network, task, module.settings, seed=1, folder=tmp_path)
    with quiet_lightning():
        made.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    batch = task.training[[0, 1, 6, 7, 12, 13]]  # two slices each of a1, a2 and a3
    batch = batch._replace(label=batch.label.clamp(max=1))  # room for a tumor
    _, label = made.augmented(batch, 0)
    changed = (label != batch.label).flatten(1).any(1).tolist()
    assert not any(changed[:4])
    assert any(changed[4:])
