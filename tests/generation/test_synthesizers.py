"""A synthesizer comes back from its folder as it was written, or not at all."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nephrite.errors import LeakageError, StoreError, TrainingError
from nephrite.evidence import sealed
from nephrite.generation.conditioning import Request
from nephrite.generation.intensities import Intensity
from nephrite.generation.kinds.paint_in import PaintInSettings
from nephrite.generation.kinds.pix2pix import Pix2PixSettings
from nephrite.generation.kinds.randomized import RandomizedSettings
from nephrite.generation.kinds.spade import SpadeSettings
from nephrite.generation.synthesizers import (
    CARD,
    WEIGHTS,
    SynthesizerCard,
    check_training_patients,
    read_synthesizer,
    write_synthesizer,
)
from nephrite.store.slices import UNLABELED, PairStore
from nephrite.training.weights import save_weights
from tests.conftest import SPLITS, finish, hash_again

BLANK = SynthesizerCard(
    id="",
    method=Pix2PixSettings(kind="pix2pix", base_width=4, depth=3, upsampling="resize", dropout=0.5),
    condition="labels",
    tissue_edges=None,
    tissue_smoothing=1.0,
    classes={1: "kidney", 2: "tumor"},
    lesions=(2,),
    intensities=(Intensity(0.2, 0.1, 0.0, 0.4), Intensity(0.6, 0.1, 0.4, 0.8), Intensity(None, None, None, None)),
    size=32,
    training_patients=("a1", "a2"),
    pairs="0" * 64,
    run_id=None,
    version="test",
)
ANATOMY = replace(
    BLANK,
    condition="anatomy",
    tissue_edges=(0.25, 0.5),
    intensities=(BLANK.intensities[0],) * 5,
    method=SpadeSettings(kind="spade", base_width=4, depth=3, hidden_width=4, code_length=4, divergence_weight=0.05),
)
PAINT_IN = replace(
    BLANK, method=PaintInSettings(kind="paint_in", base_width=4, depth=3, upsampling="resize", dropout=0.5, rim=2)
)
RANDOMISED = replace(BLANK, method=RandomizedSettings(kind="randomized", spread=0.1))


@pytest.fixture
def network() -> nn.Module:
    return BLANK.build()


@pytest.fixture
def written(network: nn.Module, tmp_path: Path) -> Path:
    write_synthesizer(tmp_path, BLANK, network)
    return tmp_path


def masks(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, (count, 32, 32)).astype(np.uint8)


@pytest.mark.parametrize("card", [BLANK, ANATOMY, PAINT_IN, RANDOMISED], ids=lambda card: card.method.kind)
def test_every_kind_comes_back_and_paints_as_before(card: SynthesizerCard, tmp_path: Path) -> None:
    network = card.build()
    named = write_synthesizer(tmp_path, card, network)
    read, synthesizer = read_synthesizer(tmp_path)
    images = np.random.default_rng(2).random((4, 32, 32), dtype=np.float32)
    request = card.conditioning.of_real(images, masks())
    assert read == named
    assert (replace(read, id=""), len(read.id)) == (card, 64)
    assert np.array_equal(synthesizer.paint(request, range(4)), card.synthesizer(network).paint(request, range(4)))


def test_equal_weights_have_equal_ids(network: nn.Module, tmp_path: Path) -> None:
    first = write_synthesizer(tmp_path, BLANK, network).id
    network.to(memory_format=torch.channels_last)
    assert write_synthesizer(tmp_path, BLANK, network).id == first


def test_exchanged_weights_are_refused(written: Path) -> None:
    save_weights(written / WEIGHTS, BLANK.build().state_dict())
    with pytest.raises(StoreError, match=r"generator.safetensors: was changed: .*; run 'train_gan' again"):
        read_synthesizer(written)


def test_edited_card_of_what_was_not_trained_is_refused(tmp_path: Path) -> None:
    write_synthesizer(tmp_path, RANDOMISED, RANDOMISED.build())
    assert not (tmp_path / WEIGHTS).exists()
    (tmp_path / CARD).write_text((tmp_path / CARD).read_text().replace('"a2"', '"a3"'))
    with pytest.raises(StoreError, match=f"{CARD}: was changed after .*; run 'train_gan' again"):
        read_synthesizer(tmp_path)


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(StoreError, match=f"{name}: is missing; run 'train_gan'|{name}: is missing; run the stage"):
        read_synthesizer(written)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 1), ("method", {"kind": "magic"}), ("size", "big"), ("method", {})],
)
def test_card_of_another_version_is_refused(written: Path, key: str, value: object) -> None:
    card = json.loads((written / CARD).read_text())
    (written / CARD).write_text(json.dumps({**card, key: value}))
    with pytest.raises(StoreError, match=f"{CARD}: {key}.*; run 'train_gan' again"):
        read_synthesizer(written)


def test_card_of_the_first_format_is_refused(written: Path) -> None:
    card = json.loads((written / CARD).read_text())
    unet = {key: value for key, value in card["method"].items() if key != "kind"}
    kept = {key: card[key] for key in ("id", "classes", "size", "training_patients", "pairs", "run_id", "version")}
    (written / CARD).write_text(json.dumps({**kept, "kind": "pix2pix", "generator": unet, "format": 1}))
    with pytest.raises(StoreError, match=rf"{CARD}: .*; run 'train_gan' again"):
        read_synthesizer(written)


def test_weights_of_another_network_are_refused(written: Path) -> None:
    card = json.loads((written / CARD).read_text())
    card["method"]["base_width"] = 8
    (written / CARD).write_text(json.dumps(sealed(card)))
    with pytest.raises(StoreError, match=f"{WEIGHTS}: does not fit the network"):
        read_synthesizer(written)


def test_condition_follows_from_the_card() -> None:
    assert (ANATOMY.conditioning.edges, ANATOMY.conditioning.channels) == ((0.25, 0.5), 5)
    assert (PAINT_IN.conditioning.rim, PAINT_IN.conditioning.lesions) == (2, (2,))
    assert (BLANK.conditioning.edges, BLANK.conditioning.rim) == (None, None)


def test_synthesizer_moves_to_a_device(network: nn.Module) -> None:
    synthesizer = BLANK.synthesizer(network)
    before = synthesizer.paint(Request(masks()), range(4))
    assert synthesizer.to("cpu") is synthesizer
    assert np.allclose(synthesizer.paint(Request(masks()), range(4)), before, atol=1e-5)


def test_synthesizer_of_training_patients_is_accepted(pairs: Path) -> None:
    check_training_patients(BLANK, PairStore(pairs), ["a1", "a2", "a3"], pairs)


@pytest.mark.parametrize("patient", ["a3", "b1", "c1", "nobody"])
def test_synthesizer_that_knows_labels_of_another_patient_is_refused(pairs: Path, patient: str) -> None:
    card = replace(BLANK, training_patients=("a1", patient))
    with pytest.raises(LeakageError, match=f"knows 1 patients outside the 2 training patients of .*{patient}"):
        check_training_patients(card, PairStore(pairs), ["a1", "a2"], pairs)


@pytest.mark.parametrize(("patient", "refused"), [("a3", False), ("b1", True), ("c1", True)])
def test_synthesizer_may_know_scans_of_the_training_split_alone(pairs: Path, patient: str, refused: bool) -> None:
    card = replace(BLANK, unlabeled_patients=(patient,))
    with pytest.raises(LeakageError, match=patient) if refused else nullcontext():
        check_training_patients(card, PairStore(pairs), ["a1", "a2"], pairs)


def test_synthesizer_may_not_know_another_scan_of_a_test_patient(pairs: Path) -> None:
    splits, card = SPLITS | {"a3": UNLABELED}, replace(BLANK, unlabeled_patients=("a3",))
    check_training_patients(card, finish(pairs, "real", splits, {"a3": "p"}), ["a1", "a2"], pairs)
    with pytest.raises(LeakageError, match="a3"):
        check_training_patients(card, finish(pairs, "real", splits, {"a3": "p", "c1": "p"}), ["a1", "a2"], pairs)


def test_synthesizer_may_know_scans_of_patients_without_any_labels(pairs: Path) -> None:
    splits = json.loads((pairs / "split.json").read_text())
    splits["patients"]["c1"] = UNLABELED
    (pairs / "split.json").write_text(json.dumps(splits))
    hash_again(pairs)
    card = replace(BLANK, unlabeled_patients=("a3", "c1"))
    check_training_patients(card, PairStore(pairs), ["a1", "a2"], pairs)
    with pytest.raises(LeakageError, match="c1"):
        check_training_patients(replace(BLANK, training_patients=("c1",)), PairStore(pairs), ["a1", "a2"], pairs)


@pytest.mark.parametrize("field", ["training_patients", "unlabeled_patients"])
def test_synthesizer_may_know_nobody_of_another_hospital(elsewhere: Path, field: str) -> None:
    known = replace(BLANK, **{field: ("a1", "e1")})  # type: ignore[arg-type]  # a tuple of patients in either field
    with pytest.raises(LeakageError, match="e1"):
        check_training_patients(known, PairStore(elsewhere), ["a1", "a2"], elsewhere)


def test_pixels_that_are_no_numbers_are_not_painted(network: nn.Module) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"paints 1024 pixels that are no numbers; lower 'learning_rate'"):
        BLANK.synthesizer(network).paint(Request(np.ones((1, 32, 32), np.uint8)), [1])
