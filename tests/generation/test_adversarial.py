"""The GAN learns, repeats itself from its seed, resumes exactly, and stops at a loss that is not a number."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nephrite.config import Config
from nephrite.errors import NonFiniteLossError
from nephrite.generation import fitting as generation
from nephrite.generation.adversarial import AdversarialModule, accuracy
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.fitting import fit_generator
from nephrite.generation.intensities import fit_tissue
from nephrite.generation.kind import AdversarialKind
from nephrite.recording import Run, SilentRun
from nephrite.store.slices import PairStore
from nephrite.training.data import Pairs
from tests.conftest import with_weight

NOISY = (
    "train_gan.pix2pix.method={kind: pix2pix, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5}",
    "train_gan.pix2pix.ema_decay=0.9",
    "train_gan.pix2pix.epochs=3",
)
KINDS = {
    "pix2pix": ("train_gan.pix2pix.method={kind: pix2pix, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5}",),
    "spade": (
        "train_gan.pix2pix.method={kind: spade, base_width: 4, depth: 3, hidden_width: 4, code_length: 4, "
        "divergence_weight: 0.05}",
        "train_gan.pix2pix.condition=anatomy",
    ),
    "paint_in": (
        "train_gan.pix2pix.method={kind: paint_in, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5, rim: 2}",
    ),
}
CAREFUL = (
    "train_gan.pix2pix.differentiable_augmentation=[translation, cutout, intensity]",
    "train_gan.pix2pix.ema_decay=0.9",
    "train_gan.pix2pix.epochs=2",
)
every_kind = pytest.mark.parametrize("kind", KINDS)
# A golden run: fixed seed, processor, float32. It changes only when the method changes on purpose.
GOLDEN = [[0.693689, 0.688062, 0.116494], [0.693255, 0.688849, 0.115904], [0.692877, 0.689223, 0.115336]]
Load = Callable[..., Config]


class KilledRun(SilentRun):
    """A record that fails after an epoch's checkpoint, as if the process had been killed there."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        raise ConnectionAbortedError(step)


def build(config: Config, pairs: Path, *, seed: int = 3) -> AdversarialModule:
    store, settings = PairStore(pairs), config.train_gan["pix2pix"]
    slices = store.slices("train")
    conditioning = Conditioning(
        classes=tuple(store.manifest.classes),
        edges=fit_tissue(store, slices, settings.tissue) if settings.condition == "anatomy" else None,
        lesions=(2,),
        rim=settings.method.region_rim,
    )
    return AdversarialModule(
        settings, Pairs((store, slices)), conditioning=conditioning, size=store.manifest.size, seed=seed
    )


def train(config: Config, pairs: Path, folder: Path, *, run: Run | None = None, seed: int = 3) -> AdversarialModule:
    folder.mkdir(exist_ok=True)
    module = build(config, pairs, seed=seed)
    fit_generator(module, config.compute, folder=folder, run=run or SilentRun())
    return module


def weights(module: torch.nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in module.state_dict().values()])


def rows(module: AdversarialModule) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in module.history]


def test_l1_falls_on_a_mapping_that_can_be_learned(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(
        "train_gan.pix2pix.epochs=15", "train_gan.pix2pix.learning_rate=0.003", "train_gan.pix2pix.constant_share=1.0"
    )
    history = train(config, pairs, tmp_path / "a").history
    assert history[-1]["l1_loss"] < 0.5 * history[0]["l1_loss"]


def test_discriminator_learns_too(load: Load, pairs: Path, tmp_path: Path) -> None:
    wide = "train_gan.pix2pix.discriminator={base_width: 16, layers: 2}"
    history = train(
        load(wide, "train_gan.pix2pix.epochs=8", "train_gan.pix2pix.batch_size=3"), pairs, tmp_path / "a"
    ).history
    assert min(row["discriminator_loss"] for row in history) < 0.9 * history[0]["discriminator_loss"]
    assert max(row["discriminator_accuracy"] for row in history) > 0.7


def test_history_has_a_row_per_epoch_with_all_that_shows_who_is_winning(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    module = train(load(), pairs, tmp_path / "a")
    assert [row["step"] for row in module.history] == [3, 6]  # 18 slices in batches of 8
    assert set(module.history[0]) == {
        "step",
        "discriminator_loss",
        "discriminator_accuracy",
        "adversarial_loss",
        "l1_loss",
        "generator_loss",
        "learning_rate",
        "images_per_second",
    }


def test_generator_loss_is_the_sum_of_its_parts(load: Load, pairs: Path, tmp_path: Path) -> None:
    row = train(load("train_gan.pix2pix.epochs=1", "train_gan.pix2pix.l1_weight=7"), pairs, tmp_path / "a").history[0]
    assert row["generator_loss"] == pytest.approx(row["adversarial_loss"] + 7 * 2 * row["l1_loss"], rel=1e-5)


def test_same_seed_same_weights_other_seed_other_weights(load: Load, pairs: Path, tmp_path: Path) -> None:
    first, again, other = (train(load(), pairs, tmp_path / str(n), seed=n // 2) for n in range(3))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_building_leaves_the_random_numbers_of_the_caller_alone(load: Load, pairs: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build(load(), pairs)
    assert torch.equal(torch.rand(1), expected)


@every_kind
def test_killed_training_resumes_to_the_weights_of_an_undisturbed_one(
    load: Load, pairs: Path, tmp_path: Path, kind: str
) -> None:
    config = load(*KINDS[kind], *CAREFUL)
    whole = train(config, pairs, tmp_path / "whole")
    with pytest.raises(ConnectionAbortedError):
        train(config, pairs, tmp_path / "killed", run=KilledRun())
    resumed = train(config, pairs, tmp_path / "killed")
    assert rows(resumed) == rows(whole)
    assert torch.equal(weights(resumed), weights(whole))


@every_kind
def test_every_kind_learns(load: Load, pairs: Path, tmp_path: Path, kind: str) -> None:
    quick = (
        "train_gan.pix2pix.epochs=10",
        "train_gan.pix2pix.learning_rate=0.003",
        "train_gan.pix2pix.constant_share=1.0",
    )
    history = train(load(*KINDS[kind], *quick), pairs, tmp_path / "a").history
    assert history[-1]["l1_loss"] < 0.6 * history[0]["l1_loss"]


def test_style_penalty_is_part_of_the_loss(load: Load, pairs: Path, tmp_path: Path) -> None:
    row = train(
        load(*KINDS["spade"], "train_gan.pix2pix.epochs=1", "train_gan.pix2pix.l1_weight=7"), pairs, tmp_path / "a"
    ).history[0]
    expected = row["adversarial_loss"] + 7 * 2 * row["l1_loss"] + row["style_penalty"]
    assert row["generator_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["style_penalty"] > 0


def test_augmentation_changes_what_is_learned_and_not_what_is_painted_on(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    plain, changed = (
        train(load(*extra, "train_gan.pix2pix.epochs=1"), pairs, tmp_path / str(n))
        for n, extra in enumerate([(), CAREFUL[:1]])
    )
    assert not torch.equal(weights(plain), weights(changed))
    batch = plain.pairs[[0, 1, 2]]
    assert all(map(torch.equal, plain.scene(batch)[:2], changed.scene(batch)[:2]))


def test_discriminator_of_painted_regions_judges_them_alone(load: Load, pairs: Path) -> None:
    module = build(load(*KINDS["paint_in"]), pairs)
    batch = module.pairs[[0, 1, 2]]
    scene = module.scene(batch)
    _, patches = module._judge(batch.image, scene, None)
    assert scene.region is not None
    assert patches is not None
    assert 0 < float(patches.mean()) < 1
    assert float(patches.max()) == 1


class Outsider(torch.nn.Module):
    """A discriminator that takes all outside of the region for real, and tosses a coin on patches of the region."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, shown: Tensor, image: Tensor) -> Tensor:
        return 50 * self.weight * (1 - functional.adaptive_max_pool2d(shown[:, -1:], 8))


def test_losses_of_painted_regions_are_those_of_their_patches_and_pixels(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    still = (
        "train_gan.pix2pix.method={kind: paint_in, base_width: 4, depth: 3, upsampling: resize, dropout: 0.0, rim: 2}"
    )
    config = load(still, "train_gan.pix2pix.epochs=1", "train_gan.pix2pix.batch_size=18")  # an epoch is one step
    module = build(config, pairs)
    module.discriminator = Outsider()  # type: ignore[assignment]  # a network that no setting can build
    batch = module.pairs[range(18)]
    scene = module.scene(batch)
    assert scene.region is not None
    assert float(scene.region.mean()) < 0.5
    assert isinstance(module.kind, AdversarialKind)
    with torch.no_grad():
        off = (module.kind.imagine(module.generator, scene).image - batch.image).abs()
    fit_generator(module, config.compute, folder=tmp_path, run=SilentRun())
    (row,) = module.history
    assert row["discriminator_loss"] == pytest.approx(math.log(2))
    assert row["adversarial_loss"] == pytest.approx(math.log(2))
    assert row["discriminator_accuracy"] == 0  # a coin that stands on its edge
    # not exactly, since slices without a lesion borrow the regions of others in the order of the batch
    assert row["l1_loss"] == pytest.approx(float(off[scene.region > 0].mean()), rel=0.05)


def test_terminated_training_goes_on_at_the_same_step(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, steps = train(load(*NOISY), pairs, tmp_path / "whole"), list[int]()

    def counted(name: str, loss: Tensor, number: int) -> None:
        if name == "discriminator_accuracy":
            steps.append(number)
            os.kill(os.getpid(), signal.SIGTERM) if len(steps) == 5 else None

    monkeypatch.setattr(generation, "check_finite", counted)
    with pytest.raises(SystemExit, match="143"):
        train(load(*NOISY), pairs, tmp_path / "terminated")
    resumed = train(load(*NOISY), pairs, tmp_path / "terminated")
    assert steps == list(range(9))
    assert rows(resumed) == rows(whole)
    assert torch.equal(weights(resumed), weights(whole))


def test_non_finite_loss_names_step_and_loss(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = with_weight(load(), 1e39)
    with pytest.raises(NonFiniteLossError, match=r"generator_loss: is inf at optimizer step 1"):
        train(config, pairs, tmp_path / "a")


def test_nan_in_the_weights_stops_at_the_first_loss_that_sees_it(load: Load, pairs: Path, tmp_path: Path) -> None:
    module = build(load(), pairs)
    torch.nn.init.constant_(next(module.generator.parameters()), float("nan"))
    with pytest.raises(NonFiniteLossError, match="discriminator_loss: is nan at optimizer step 1"):
        fit_generator(module, load().compute, folder=tmp_path, run=SilentRun())


@pytest.mark.parametrize(("real", "fake", "expected"), [(1, -1, 1.0), (1, 1, 0.5), (-1, -1, 0.5), (-1, 1, 0.0)])
def test_accuracy_counts_patches_judged_rightly(real: float, fake: float, expected: float) -> None:
    assert accuracy(torch.full((2, 1, 3, 3), real), torch.full((2, 1, 3, 3), fake)) == expected


def test_accuracy_is_that_of_the_patches_that_count() -> None:
    real, patches = torch.full((1, 1, 2, 2), -1.0), torch.zeros(1, 1, 2, 2)
    real[..., 0], patches[..., 0] = 1, 1
    assert accuracy(real, -real, patches) == 1
    assert accuracy(real, -real) == 0.5


def test_three_steps_have_the_stored_losses(load: Load, pairs: Path, tmp_path: Path) -> None:
    before = ("train_gan.pix2pix.method.normalization=batch", "train_gan.pix2pix.l1_weight=50")
    config = load("train_gan.pix2pix.epochs=3", "train_gan.pix2pix.batch_size=18", *before)  # an epoch is one step
    history = train(config, pairs, tmp_path / "a", seed=7).history
    found = [[row[name] for name in ("discriminator_loss", "adversarial_loss", "l1_loss")] for row in history]
    assert found == [pytest.approx(step, abs=2e-5) for step in GOLDEN]
