from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.evidence import sealed
from nephrite.files import read_json, write_json
from nephrite.recording import SilentRun
from nephrite.segmentation.arm_inputs import open_stores
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.stages.train_segmenter import train_segmenter

Load = Callable[..., Config]
SETTINGS = (
    "trial.training_sets.real=[real, real+geometric, real+geometric+self_training, real+standard+self_training]",
    *("trial.label_fractions=[0.34, 0.67, 1.0]", "train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=1"),
)
STUDENT = "arm=real+geometric+self_training/light/0.34/0"


@pytest.fixture
def arm(load: Load, pairs: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Train an arm; gives its folder."""

    def train(name: str) -> Path:
        config, folder = load(*SETTINGS, f"arm={name}"), tmp_path / "arms" / name
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
        return folder

    return train


def test_scans_of_other_training_patients_are_seen_without_labels(load: Load, pairs: Path) -> None:
    inputs = open_stores(load(*SETTINGS, STUDENT), pairs)
    assert (len(inputs.labeled), len(inputs.unlabeled)) == (1, 2)
    assert {*inputs.labeled, *inputs.unlabeled} == {"a1", "a2", "a3"}
    assert (inputs.synthetic, inputs.synthesizer, inputs.teacher) == (None, None, None)


def test_the_arm_without_self_training_is_the_teacher(load: Load, pairs: Path, arm: Callable[[str], Path]) -> None:
    teacher = open_stores(load(*SETTINGS, STUDENT), pairs, teacher=arm("real+geometric/light/0.34/0")).teacher
    assert isinstance(teacher, TrainedNetwork)
    assert not teacher.network.training
    kernel = next(weights for weights in teacher.network.parameters() if weights.ndim == 4 and weights.shape[1] > 1)
    assert kernel.is_contiguous(memory_format=torch.channels_last)  # as its training left it


def test_another_teacher_is_refused(load: Load, pairs: Path, arm: Callable[[str], Path]) -> None:
    other = arm("real+geometric/light/0.67/0")
    with pytest.raises(ConfigError, match=r"0.67/0, and the teacher of .*0.34/0 is real\+geometric/light/0.34/0; name"):
        open_stores(load(*SETTINGS, STUDENT), pairs, teacher=other)
    untaught = load(*SETTINGS, "arm=real+standard+self_training/light/0.34/0")
    with pytest.raises(ConfigError, match=r"and the teacher of real\+standard.* is no arm of the trial; name"):
        open_stores(untaught, pairs, teacher=other)
    with pytest.raises(StoreError, match="is missing"):
        open_stores(load(*SETTINGS, STUDENT), pairs, teacher=other.parent)


def test_a_teacher_of_other_patients_is_refused(load: Load, pairs: Path, arm: Callable[[str], Path]) -> None:
    folder = arm("real+geometric/light/0.34/0")
    card = folder / "segmenter.json"
    write_json(card, sealed(read_json(card) | {"training_patients": ["b1"]}))
    with pytest.raises(
        ConfigError, match=r"learned from other data than real\+geometric\+self_training/light/0.34/0 is"
    ):
        open_stores(load(*SETTINGS, STUDENT), pairs, teacher=folder)


def test_an_arm_without_self_training_takes_no_teacher(load: Load, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="learns from no teacher; leave '--teacher' out"):
        open_stores(load(*SETTINGS, "arm=real/light/0.34/0"), pairs, teacher=tmp_path)


def test_self_training_without_further_scans_says_what_to_do(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(*SETTINGS, "arm=real+geometric+self_training/light/1.0/0")
    with pytest.raises(ConfigError, match=r"there are none; name 'acquire\.unlabeled', or take a label fraction below"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert not [*tmp_path.glob("s*")], "half-written"


FREE = (
    "trial.training_sets.real=[real, real+geometric, real+negatives]",
    "prepare.lesions={kidney: null, tumor: null}",
    "trial.label_fractions=[0.34]",
    "arm=real+negatives/light/0.34/0",
)


def test_lesion_free_scans_come_with_what_is_ignored(load: Load, pairs: Path) -> None:
    inputs = open_stores(load(*FREE, "prepare.lesion_free.training_patients=true"), pairs)
    assert inputs.free is not None
    assert {*inputs.labeled, *inputs.free.labels} == {"a1", "a2", "a3"}
    assert inputs.masked == [*inputs.free.labels]
    assert open_stores(load(*FREE, "arm=real/light/0.34/0"), pairs).masked == []


def test_an_arm_that_needs_lesion_free_scans_says_what_to_do(load: Load, pairs: Path) -> None:
    with pytest.raises(ConfigError, match=r"arm real\+negatives/light/0\.34/0: needs lesion-free scans, and there are"):
        open_stores(load(*FREE), pairs)
