from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import Config, MixingStrategy
from nephrite.files import sha256
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import WEIGHTS
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.fit_task import Addition, Cohort, FitTask
from nephrite.segmentation.in_process.family import TrainedNetwork, segmentation_task
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.store.slices import PairStore
from nephrite.training.pseudo_labels import PseudoLabels

Load = Callable[..., Config]
CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}
UNET = UNetBackend(UNetSettings(kind="unet", base_width=4, depth=1, padding="same", normalization="batch"))


def trained(*, threshold: float = 0.5, batch_size: int = 4) -> TrainedNetwork:
    """With random weights, always the same."""
    torch.manual_seed(0)
    network = UNET.build(2).eval()
    return TrainedNetwork(backend=UNET, channels=CHANNELS, threshold=threshold, network=network, batch_size=batch_size)


def task(config: Config, pairs: Path, folder: Path) -> FitTask:
    """Two training patients, one of validation."""
    store = PairStore(pairs)
    folder.mkdir()
    return FitTask(
        training=Cohort(store, ["a1", "a2"]),
        validation=Cohort(store, ["b1"]),
        channels=CHANNELS,
        region=(2,),
        threshold=0.5,
        augmentation="none",
        settings=config.train_segmenter,
        compute=config.compute,
        weights_seed=1,
        order_seed=2,
        folder=folder,
        run=SilentRun(),
        text="test",
    )


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_every_slice_is_predicted_once_and_in_order(pairs: Path, batch_size: int) -> None:
    scan = StoredScan(PairStore(pairs), "c1")
    whole, parts = (UNET.predict(trained(batch_size=size), scan).probabilities for size in (100, batch_size))
    assert whole is not None
    assert parts is not None
    assert parts.shape == (6, 2, 32, 32)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_the_label_map_follows_from_the_threshold(pairs: Path) -> None:
    scan = StoredScan(PairStore(pairs), "c1")
    found = UNET.predict(trained(), scan)
    kidney, tumor = np.moveaxis(found.masks(CHANNELS, 0.5), 1, 0)
    assert np.array_equal(found.labels, np.where(tumor, 2, np.where(kidney, 1, 0)))
    assert UNET.predict(trained(threshold=0), scan).labels.min() == 2
    assert UNET.predict(trained(threshold=1), scan).labels.max() == 0


def test_what_was_fitted_predicts_the_same_once_it_was_loaded(load: Load, pairs: Path, tmp_path: Path) -> None:
    fitted = UNET.fit(task(load(), pairs, tmp_path / "s"))
    scan = StoredScan(PairStore(pairs), "c1")
    loaded = UNET.load(tmp_path / "s", CHANNELS, 0.5, as_fitted=True)
    first, second = (UNET.predict(each, scan).probabilities for each in (fitted, loaded))
    np.testing.assert_array_equal(first, second)
    assert [row["step"] for row in fitted.history] == [3, 6]
    assert UNET.identity(tmp_path / "s") == sha256(tmp_path / "s" / WEIGHTS)


@pytest.mark.parametrize(("weights", "steps"), [("best", 3), ("last", 6)])
def test_weights_are_those_of_the_best_epoch_or_of_the_last(
    load: Load, pairs: Path, tmp_path: Path, weights: str, steps: int
) -> None:
    scores = iter([0.9, 0.1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nephrite.segmentation.in_process.learning.mean_dice", lambda _: next(scores))
        fitted = UNET.fit(task(load(f"train_segmenter.weights={weights}"), pairs, tmp_path / "s"))
    state = fitted.network.state_dict()
    assert {int(value) for name, value in state.items() if name.endswith("num_batches_tracked")} == {steps}


def test_first_weights_follow_from_their_seed_and_leave_other_draws_alone(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    still = load("train_segmenter.learning_rate=1e-30")
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(hash(name) % 100)
        states.append(UNET.fit(replace(task(still, pairs, tmp_path / name), weights_seed=seed)).network.state_dict())
    one, same, other = (state["network.output.weight"] for state in states)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_task_in_slices_has_a_group_for_what_is_mixed_in(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load("train_segmenter.batch_size=4", "train_segmenter.foreground=null")
    more = Cohort(PairStore(pairs), ["a3"])
    cases: list[tuple[MixingStrategy, list[int], list[int]]] = [
        ("mix", [12, 6], [2, 2]),
        ("append", [18], [4]),
    ]
    for way, groups, counts in cases:
        whole = task(config, pairs, tmp_path / way)
        made = segmentation_task(replace(whole, additions=(Addition(more, way, 0.5),)))
        assert ([*map(len, made.mixture.groups)], len(made.training), len(made.validation)) == (groups, 18, 6)
        assert made.mixture.counts.tolist() == [counts] * 6


def test_features_come_with_the_outputs_of_the_same_slices(pairs: Path) -> None:
    scan = StoredScan(PairStore(pairs), "c1")
    outputs, features = UNET.examine(trained(), scan.windowed(range(6)))
    predicted = UNET.predict(trained(batch_size=6), scan).probabilities
    assert predicted is not None
    np.testing.assert_allclose(outputs, predicted, atol=1e-6)
    assert features.shape == (6, 8)


def test_a_segmenter_that_is_ready_takes_so_many_slices_at_a_time(load: Load, pairs: Path) -> None:
    known = UNET.ready(trained(), load().compute, batch_size=5)
    seen: list[int] = []
    known.network.register_forward_hook(lambda _, __, logits: seen.append(len(logits)))
    UNET.predict(known, StoredScan(PairStore(pairs), "c1"))
    assert seen == [5, 1]


def test_the_registry_gets_the_network_in_its_frame() -> None:
    known = trained()
    exported = UNET.exported(known, 32)
    assert (exported.network, exported.size) == (known.network, 32)


def test_a_segmenter_of_windows_predicts_by_windows_and_is_registered_for_them(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    config = load("train_segmenter.window=16", "train_segmenter.epochs=1")
    fitted = UNET.fit(task(config, pairs, tmp_path / "s"))
    scan, sizes = StoredScan(PairStore(pairs), "c1"), list[tuple[int, ...]]()
    fitted.network.register_forward_hook(lambda _, given, __: sizes.append(tuple(given[0].shape[-2:])))
    found = UNET.predict(fitted, scan).probabilities
    assert found is not None
    assert (found.shape, {*sizes}) == ((6, 2, 32, 32), {(16, 16)})
    assert [UNET.exported(known, 32).size for known in (fitted, trained())] == [16, 32]


def test_predictions_of_a_segmenter_that_is_made_ready_for_it_are_means_over_mirrored_slices(
    load: Load, pairs: Path
) -> None:
    scan = StoredScan(PairStore(pairs), "c1")
    plain, mean = (UNET.ready(trained(), load().compute, batch_size=4, mirroring=on) for on in (False, True))
    one, four = (UNET.predict(known, scan).probabilities for known in (plain, mean))
    assert one is not None
    assert four is not None
    assert np.abs(one - four).max() > 1e-4
    planes = torch.from_numpy(scan.windowed(range(6)))[:, None]
    with torch.inference_mode():
        turned = plain.network(planes.flip(-1)).flip(-1) + plain.network(planes.flip(-2)).flip(-2)
        whole = (turned + plain.network(planes) + plain.network(planes.flip(-2, -1)).flip(-2, -1)) / 4
    np.testing.assert_allclose(four, whole.sigmoid().numpy(), atol=1e-5)


def test_an_arm_that_sees_foreground_more_often_than_the_reference_is_told(
    load: Load, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, maps = PairStore(pairs), np.zeros((6, 32, 32), np.uint8)
    maps[:2] = 1
    real = PseudoLabels(store, {"a1": maps, "a2": maps})
    found = PseudoLabels(store, {"a3": np.ones_like(maps)})
    for share, told in ((0.25, False), (0.75, True)):
        whole = replace(task(load(), pairs, tmp_path / str(share)), training=Cohort(real, ["a1", "a2"]))
        added = Addition(Cohort(found, ["a3"]), "mix", share)
        made = segmentation_task(replace(whole, additions=(added,))).mixture
        assert ("hold foreground" in caplog.text) == told == (abs(made.foreground - made.target) > 0.02)
