"""The stage paints as many slices as asked for, from training patients alone, each with its provenance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import Config, PaintInSettings, Pix2PixSettings, RandomisedSettings, SpadeSettings
from nephrite.errors import ConfigError, LeakageError, StoreError
from nephrite.files import read_json
from nephrite.imaging.slices import PairStore
from nephrite.recording import SilentRun
from nephrite.stages.synthesize import choose_slices, synthesize
from nephrite.training.intensities import Intensity
from nephrite.training.leakage import check_synthetic
from nephrite.training.synthesizers import SynthesizerCard
from nephrite.training.synthesizers import write_synthesizer as write_whole

Load = Callable[..., Config]
CARD = SynthesizerCard(
    id="",
    method=Pix2PixSettings(kind="pix2pix", base_width=4, depth=3, upsampling="resize", dropout=0.5),
    condition="labels",
    tissue_edges=None,
    tissue_smoothing=0.0,
    classes={1: "kidney", 2: "tumor"},
    lesions=(2,),
    intensities=tuple(Intensity(mean, 0.05, mean - 0.1, mean + 0.1) for mean in (0.3, 0.5, 0.7)),
    size=32,
    training_patients=("a1", "a2", "a3"),
    pairs="0" * 64,
    run_id=None,
    version="test",
)


OTHERS = {
    "spade": replace(
        CARD,
        condition="anatomy",
        tissue_edges=(0.3, 0.5),
        intensities=CARD.intensities[:1] * 5,
        method=SpadeSettings(
            kind="spade", base_width=4, depth=3, hidden_width=4, code_length=4, divergence_weight=0.05
        ),
    ),
    "paint_in": replace(
        CARD, method=PaintInSettings(kind="paint_in", base_width=4, depth=3, upsampling="resize", dropout=0.5, rim=2)
    ),
    "randomised": replace(CARD, method=RandomisedSettings(kind="randomised", spread=0.1)),
}


@pytest.fixture
def synthesizer(tmp_path: Path) -> Path:
    """A generator with random weights, large enough to paint something."""
    return write_synthesizer(tmp_path / "synthesizer", CARD)


def write_synthesizer(root: Path, card: SynthesizerCard) -> Path:
    root.mkdir()
    torch.manual_seed(0)
    generator = card.build()
    for weights in generator.parameters():
        weights.detach().mul_(8)
    write_whole(root, card, generator)
    return root


def painted(config: Config, pairs: Path, synthesizer: Path, target: Path) -> PairStore:
    synthesize(config, SilentRun(), pairs=pairs, synthesizer=synthesizer, synthetic=target)
    return PairStore(target)


def images(store: PairStore) -> np.ndarray:
    return np.concatenate([store.image(patient) for patient in store.patients()])


@pytest.mark.parametrize(("ratio", "expected"), [(0.3, 5), (1.0, 18), (1.5, 27)])
def test_ratio_of_the_training_slices_is_painted(
    load: Load, pairs: Path, synthesizer: Path, ratio: float, expected: int
) -> None:
    config, out = load(f"synthesize.ratio={ratio}"), pairs.with_name("out")
    metrics = synthesize(config, SilentRun(), pairs=pairs, synthesizer=synthesizer, synthetic=out)
    assert len(PairStore(out).slices("train")) == metrics["slices"] == expected
    assert metrics["slices_per_second"] > 0


@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.5, 2.4])
def test_no_slice_comes_again_before_all_others_came(load: Load, pairs: Path, ratio: float) -> None:
    chosen = choose_slices(PairStore(pairs), load(f"synthesize.ratio={ratio}").synthesize, seed=1)
    counts = Counter(chosen)
    assert {ref.patient for ref in chosen} <= {"a1", "a2", "a3"}
    assert max(counts.values()) == math.ceil(ratio)
    assert ratio < 1 or min(counts.values()) == math.floor(ratio)


def test_choice_follows_from_the_seed(load: Load, pairs: Path) -> None:
    store, settings = PairStore(pairs), load().synthesize
    assert choose_slices(store, settings, seed=1) == choose_slices(store, settings, seed=1)
    assert choose_slices(store, settings, seed=1) != choose_slices(store, settings, seed=2)


def test_labelled_only_leaves_empty_masks_out_but_counts_all_slices(load: Load, pairs: Path) -> None:
    settings = load("synthesize.labelled_only=true", "synthesize.ratio=1.0").synthesize
    chosen = choose_slices(PairStore(pairs), settings, seed=1)
    assert len(chosen) == 18
    assert all(ref.position < 5 for ref in chosen)  # the last slice of each patient is empty


def test_provenance_is_complete_and_labels_are_the_sources(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    real, store = PairStore(pairs), painted(load("synthesize.ratio=1.5"), pairs, synthesizer, tmp_path / "out")
    assert store.patients() == ["synthetic-a1", "synthetic-a2", "synthetic-a3"]
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert patient == f"synthetic-{provenance.source_patient}"
        assert np.array_equal(
            store.label(patient), real.label(provenance.source_patient)[list(provenance.source_slices)]
        )
        assert provenance.deformation_seeds == (None,) * len(store.image(patient))
        assert provenance.training_patients == CARD.training_patients


def test_store_passes_the_guard_of_the_segmenters(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    store = painted(load(), pairs, synthesizer, tmp_path / "out")
    assert check_synthetic(store, PairStore(pairs)) == read_json(synthesizer / "synthesizer.json")["id"]


def test_store_is_synthetic_and_all_train_with_classes_and_channels_of_the_real_one(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    real, store = PairStore(pairs).manifest, painted(load(), pairs, synthesizer, tmp_path / "out")
    assert set(store.splits.values()) == {"train"}
    assert store.manifest.kind == "synthetic"
    assert (store.manifest.classes, store.manifest.channels, store.manifest.size) == (
        real.classes,
        real.channels,
        real.size,
    )


def test_slices_lie_in_the_window_of_their_source(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    meta = pairs / "patients" / "a2" / "meta.json"
    meta.write_text(meta.read_text().replace("-200.0", "1000.0").replace(" 200.0", " 1100.0"))
    store = painted(load("synthesize.ratio=1.0"), pairs, synthesizer, tmp_path / "out")
    shifted, usual = store.image("synthetic-a2"), store.image("synthetic-a1")
    assert 1000 <= shifted.min() < shifted.max() <= 1100
    assert -200 <= usual.min() < -50 < 50 < usual.max() <= 200
    assert store.patient("synthetic-a2").window == (1000, 1100)


def test_a_mask_that_is_painted_twice_comes_out_different(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    store = painted(load("synthesize.ratio=2.0"), pairs, synthesizer, tmp_path / "out")
    first, second = store.image("synthetic-a1")[0], store.image("synthetic-a1")[1]
    assert np.array_equal(store.label("synthetic-a1")[0], store.label("synthetic-a1")[1])
    assert not np.array_equal(first, second)


def test_same_settings_paint_the_same_store(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    first = painted(load(), pairs, synthesizer, tmp_path / "first")
    again = painted(load(), pairs, synthesizer, tmp_path / "again")
    assert np.array_equal(images(first), images(again))
    assert first.manifest.digest == again.manifest.digest


def test_batch_size_does_not_change_the_slices(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    large = painted(load("synthesize.ratio=1.0"), pairs, synthesizer, tmp_path / "large")
    small = painted(load("synthesize.ratio=1.0", "synthesize.batch_size=4"), pairs, synthesizer, tmp_path / "small")
    assert np.abs(images(large).astype(int) - images(small)).max() <= 1  # rounding


@pytest.mark.parametrize("kind", OTHERS)
def test_every_kind_paints_a_store_that_no_batch_size_changes(
    load: Load, pairs: Path, tmp_path: Path, kind: str
) -> None:
    root = write_synthesizer(tmp_path / kind, OTHERS[kind])
    large = painted(load("synthesize.ratio=1.0"), pairs, root, tmp_path / "large")
    small = painted(load("synthesize.ratio=1.0", "synthesize.batch_size=4"), pairs, root, tmp_path / "small")
    assert np.abs(images(large).astype(int) - images(small)).max() <= 1  # rounding
    assert images(large).std() > 0


def test_synthesizer_that_knows_another_patient_is_refused(load: Load, pairs: Path, tmp_path: Path) -> None:
    leaky = write_synthesizer(tmp_path / "leaky", replace(CARD, training_patients=("a1", "b1")))
    with pytest.raises(LeakageError, match=r"knows 1 patients outside the training split of .*, e\.g\. b1"):
        painted(load(), pairs, leaky, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("change", [{"size": 64}, {"classes": {1: "liver"}}])
def test_synthesizer_of_other_classes_or_size_is_refused(
    load: Load, pairs: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    other = write_synthesizer(tmp_path / "other", replace(CARD, **change))  # type: ignore[arg-type] # by parameter
    with pytest.raises(StoreError, match=r"paints classes .* px, but .* has .* at 32 px"):
        painted(load(), pairs, other, tmp_path / "out")


def test_ratio_that_rounds_to_nothing_is_refused(load: Load, pairs: Path) -> None:
    with pytest.raises(ConfigError, match=r"synthesize.ratio: 0.01 of 18 training slices rounds to none"):
        choose_slices(PairStore(pairs), load("synthesize.ratio=0.01").synthesize, seed=1)


def test_labelled_only_without_labelled_slices_is_refused(load: Load, pairs: Path) -> None:
    index = pairs / "index.csv"
    rows = [line.split(",") for line in index.read_text().splitlines()]
    index.write_text("\n".join(",".join([*row[:3], *("0" if x.isdigit() else x for x in row[3:])]) for row in rows))
    with pytest.raises(ConfigError, match=r"synthesize.labelled_only: true leaves no slice"):
        choose_slices(PairStore(pairs), load("synthesize.labelled_only=true").synthesize, seed=1)
