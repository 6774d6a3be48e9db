"""A synthesizer comes back from its folder as it was written, or not at all; painting follows from mask and seed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import GeneratorSettings
from nephrite.errors import LeakageError, StoreError
from nephrite.imaging.slices import PairStore
from nephrite.models.generators import Generator
from nephrite.training.synthesizers import (
    CARD,
    WEIGHTS,
    SynthesizerCard,
    check_training_patients,
    one_hot,
    paint_slices,
    read_synthesizer,
    save_weights,
    slice_noise,
    write_card,
)

BLANK = SynthesizerCard(
    id="",
    kind="pix2pix",
    generator=GeneratorSettings(base_width=4, depth=3, upsampling="resize", dropout=0.5),
    classes={1: "kidney", 2: "tumor"},
    size=32,
    training_patients=("a1", "a2"),
    pairs="0" * 64,
    run_id=None,
    version="test",
)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    generator = BLANK.build()
    generator.train()
    generator(one_hot(torch.from_numpy(masks()), [1, 2]))  # running statistics other than the first ones
    return generator


@pytest.fixture
def written(generator: Generator, tmp_path: Path) -> Path:
    write_card(tmp_path, replace(BLANK, id=save_weights(tmp_path, generator)))
    return tmp_path


def masks(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, (count, 32, 32)).astype(np.uint8)


def test_card_and_weights_come_back(written: Path, generator: Generator) -> None:
    card, read = read_synthesizer(written)
    assert replace(card, id="") == BLANK
    assert all(torch.equal(value, generator.state_dict()[name]) for name, value in read.state_dict().items())


def test_equal_weights_have_equal_ids(generator: Generator, tmp_path: Path) -> None:
    first = save_weights(tmp_path, generator)
    generator.to(memory_format=torch.channels_last)
    assert save_weights(tmp_path, generator) == first


def test_exchanged_weights_are_refused(written: Path) -> None:
    save_weights(written, BLANK.build())
    with pytest.raises(StoreError, match=r"generator.safetensors: is not the file that synthesizer.json"):
        read_synthesizer(written)


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(StoreError, match=f"{name}: is missing; run 'train_gan'|{name}: is missing; run the stage"):
        read_synthesizer(written)


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("kind", "spade"), ("size", "big"), ("generator", {})])
def test_card_of_another_version_is_refused(written: Path, key: str, value: object) -> None:
    card = json.loads((written / CARD).read_text())
    (written / CARD).write_text(json.dumps({**card, key: value}))
    with pytest.raises(StoreError, match=f"{CARD}: {key}"):
        read_synthesizer(written)


def test_weights_of_another_network_are_refused(written: Path) -> None:
    card = json.loads((written / CARD).read_text())
    card["generator"]["base_width"] = 8
    (written / CARD).write_text(json.dumps(card))
    with pytest.raises(StoreError, match=f"{WEIGHTS}: does not fit the network"):
        read_synthesizer(written)


def test_condition_has_background_first_and_sums_to_one() -> None:
    condition = one_hot(torch.tensor([[[0, 2, 5, 9]]], dtype=torch.uint8), [2, 5])
    assert condition[0, :, 0].tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_painting_is_repeated_by_its_seeds_and_changed_by_others(generator: Generator) -> None:
    first, again, other = (
        paint_slices(generator, masks(), [1, 2], seeds=seeds) for seeds in ([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 5])
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first[:3], other[:3])
    assert not np.array_equal(first[3], other[3])


def test_painted_slice_does_not_depend_on_its_batch(generator: Generator) -> None:
    together = paint_slices(generator, masks(), [1, 2], seeds=[1, 2, 3, 4])
    alone = paint_slices(generator, masks()[2:3], [1, 2], seeds=[3])
    assert np.allclose(together[2], alone[0], atol=1e-5)


def test_painting_leaves_generator_and_random_numbers_as_they_were(generator: Generator) -> None:
    before, state = [value.clone() for value in generator.state_dict().values()], torch.get_rng_state()
    paint_slices(generator, masks(), [1, 2], seeds=range(4))
    assert generator.training
    assert all(map(torch.equal, before, generator.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_drops_the_share_that_was_set_and_keeps_the_mean(generator: Generator) -> None:
    layer = next(module for module in generator.modules() if isinstance(module, torch.nn.Dropout))
    generator.eval()
    with slice_noise(generator, [1, 2]):
        dropped = layer(torch.ones(2, 8, 64, 64))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(layer(torch.ones(1)), torch.ones(1))


def test_synthesizer_of_training_patients_is_accepted(pairs: Path) -> None:
    check_training_patients(BLANK, PairStore(pairs), pairs)


@pytest.mark.parametrize("patient", ["b1", "c1", "nobody"])
def test_synthesizer_that_knows_another_patient_is_refused(pairs: Path, patient: str) -> None:
    with pytest.raises(LeakageError, match=f"knows 1 patients outside the training split of .*{patient}"):
        check_training_patients(replace(BLANK, training_patients=("a1", patient)), PairStore(pairs), pairs)
