from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from nephrite.config import IGNORED, Config
from nephrite.errors import ConfigError, LeakageError, NonFiniteLossError, StoreError
from nephrite.files import PARTIAL, read_json
from nephrite.ownership import MARK
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter, read_card
from nephrite.segmentation.fit_task import FitTask
from nephrite.segmentation.in_process import learning as segmentation
from nephrite.segmentation.in_process.family import InProcess
from nephrite.stages.screen import screen
from nephrite.stages.synthesize import synthesize
from nephrite.stages.train_gan import train_gan
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore, Patient, write_patient
from tests.conftest import (
    CAPSTONE,
    SPLITS,
    finish,
    hash_again,
    with_another_window,
    without_first_patient,
    write_pair,
    write_synthetic,
)

Load = Callable[..., Config]
MACHINES = (
    *("compute.devices=1", "compute.strategy=ddp", "train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=2"),
    "train_segmenter.segmenters.light={kind: unet, base_width: 4, depth: 2, padding: same, normalization: none}",
)
BEST = "train_segmenter.weights=best"
REAL, BOTH = "arm=real/light/1.0/0", "arm=real+synthetic/light/1.0/0"


class Kill(SilentRun):
    """A kill that comes after the checkpoint of an epoch was written."""

    def __init__(self, at_step: int) -> None:
        self.at_step = at_step

    def metrics(self, values: object, *, step: int) -> None:
        if step == self.at_step:
            raise KeyError("killed")


def weights(segmenter: Path) -> dict[str, torch.Tensor]:
    return load_file(segmenter / "weights.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_folder_says_what_the_segmenter_is(load: Load, pairs: Path, tmp_path: Path) -> None:
    metrics = train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    card = read_card(tmp_path / "s")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        MARK,
        "history.json",
        "segmenter.json",
        "weights.safetensors",
    ]
    assert (card.arm, card.training_patients, card.synthesizer) == ("real/light/1.0/0", ("a1", "a2", "a3"), None)
    assert metrics["validation_score"] == card.validation_score
    assert metrics["training_slices"] == 18


@pytest.mark.parametrize(("spacing", "known"), [("measured", {"kidney": (1000.0, 1002.0)}), ("nominal", {})])
def test_the_card_knows_the_volumes_of_the_training_patients_unless_sizes_are_made_up(
    load: Load, tmp_path: Path, spacing: str, known: dict[str, tuple[float, float]]
) -> None:
    for number, name in enumerate(SPLITS):  # a1, a2 and a3 are those of training
        volumes = {"kidney": (1000.0 + number, 1.0)}
        write_pair(tmp_path / "p", Patient(name, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), volumes=volumes), number)
    finish(tmp_path / "p", "real", SPLITS)
    config = load(REAL, f"prepare.spacing={spacing}", "train_segmenter.epochs=1")
    train_segmenter(config, SilentRun(), pairs=tmp_path / "p", segmenter=tmp_path / "s")
    assert read_card(tmp_path / "s").volumes == known


def test_kept_weights_are_those_of_the_best_epoch(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, epochs in (("long", 3), ("short", 2)):
        scores = iter([0.2, 0.9, 0.1])
        monkeypatch.setattr(segmentation, "mean_dice", lambda counts, scores=scores: next(scores))
        config = load(REAL, f"train_segmenter.epochs={epochs}", "train_segmenter.schedule=plateau", BEST)
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    card = read_card(tmp_path / "long")
    assert (card.validation_score, card.steps) == (0.9, 6)
    assert same_weights(tmp_path / "long", tmp_path / "short")


@pytest.mark.parametrize("way", ["schedule=polynomial", "schedule=plateau", "window=20"])
@pytest.mark.parametrize("arm", ["real+geometric/light/1.0/0", "real+geometric/fpn/1.0/0"])
def test_killed_training_ends_like_an_undisturbed_one(
    load: Load, pairs: Path, tmp_path: Path, arm: str, way: str
) -> None:
    more = (
        "train_segmenter.segmenters.fpn.weights=none",
        f"train_segmenter.{way}",
        "train_segmenter.plateau_patience=0",
    )
    config = load(f"arm={arm}", *more, "train_segmenter.learning_rate=0.02")
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "a")
    with pytest.raises(KeyError, match="killed"):
        train_segmenter(config, Kill(at_step=3), pairs=pairs, segmenter=tmp_path / "b")
    assert not (tmp_path / "b").exists()
    train_segmenter(config, Kill(at_step=3), pairs=pairs, segmenter=tmp_path / "b")
    rows = [read_json(tmp_path / name / "history.json") for name in "ab"]
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert [{**row, "seconds": 0} for row in rows[0]] == [{**row, "seconds": 0} for row in rows[1]]


@pytest.mark.parametrize("case", ["1 polynomial", "2 plateau", "3 polynomial", "5 polynomial"])
def test_terminated_pod_goes_on_at_the_same_step_on_another_machine(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    step, schedule = int(case[0]), case[2:]
    falls = f"train_segmenter.schedule={schedule}"
    config = load("arm=real+geometric/light/1.0/0", falls, "train_segmenter.plateau_patience=0")
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "undisturbed")
    monkeypatch.setenv("NEPHRITE_CHECKPOINTS", str(tmp_path / "volume"))
    steps: list[int] = []

    def counted(name: str, loss: torch.Tensor, number: int) -> None:
        if name.startswith("training"):
            steps.append(number)
            os.kill(os.getpid(), signal.SIGTERM) if len(steps) == step else None

    monkeypatch.setattr(segmentation, "check_finite", counted)
    with pytest.raises(SystemExit, match="143"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "first" / "s")
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "second" / "s")
    again = 0 if step == 3 else step  # there is no way back into the validation that follows an epoch's last step
    assert steps == [*range(step), *range(again, 6)]
    assert same_weights(tmp_path / "undisturbed", tmp_path / "second" / "s")
    rows = [read_json(tmp_path / name / "history.json") for name in ("undisturbed", "second/s")]
    assert [{**row, "seconds": 0} for row in rows[0]] == [{**row, "seconds": 0} for row in rows[1]]
    assert not (tmp_path / "first").exists()
    assert not list((tmp_path / "volume").iterdir())


@pytest.mark.parametrize("last", [0.9, 0.505])
def test_a_training_whose_validation_still_rises_says_so(
    load: Load, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, last: float
) -> None:
    scores = iter([0.5, last])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "mean_dice", lambda counts: next(scores))
        train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert read_card(tmp_path / "s").late_gain == pytest.approx(last - 0.5)
    assert ("validation Dice still rose at the end" in caplog.text) == (last == 0.9)


@pytest.mark.parametrize("asks", [BEST, "train_segmenter.schedule=plateau", "train_segmenter.early_stopping=5"])
def test_a_label_fraction_holds_for_validation_patients_whose_labels_choose(
    load: Load, pairs: Path, tmp_path: Path, asks: str
) -> None:
    half = ("trial.label_fractions=[0.5]", "arm=real/light/0.5/0")
    for name, more in (("fixed", ()), ("chosen", (asks,))):
        metrics = train_segmenter(load(*half, *more), SilentRun(), pairs=pairs, segmenter=tmp_path / name)
        card = read_card(tmp_path / name)
        assert len(card.training_patients) == 2
        assert len(card.choosing_patients) == (1 if more else 0)
        assert {*card.choosing_patients} <= {"b1", "b2"}
        assert metrics["labels_used"] == (3 if more else 2)


def test_validation_labels_change_no_weights_of_a_fixed_schedule(load: Load, pairs: Path, tmp_path: Path) -> None:
    train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "mean_dice", lambda counts: 0.0)
        train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_same_settings_give_the_same_weights_and_another_cell_others(load: Load, pairs: Path, tmp_path: Path) -> None:
    for name, arm in (("a", "real/light/1.0/0"), ("b", "real/light/1.0/0"), ("c", "real/light/1.0/1")):
        train_segmenter(load("trial.cells=[0, 1]", f"arm={arm}"), SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_a_null_arm_has_the_patients_of_its_cell_and_weights_of_its_own(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    for name, arm in (("set", "real"), ("null", "real+null"), ("again", "real+null")):
        config = load(f"arm={arm}/light/1.0/0", "trial.training_sets.real=[real, real+geometric, real+null]")
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    card, null = (read_card(tmp_path / name) for name in ("set", "null"))
    assert card.training_patients == null.training_patients
    assert not same_weights(tmp_path / "set", tmp_path / "null")
    assert same_weights(tmp_path / "null", tmp_path / "again")


def learned(segmenter: Path) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """Weights and history, without its times."""
    history = [{**row, "seconds": 0} for row in read_json(segmenter / "history.json")]
    return {name: value.flatten().tolist() for name, value in weights(segmenter).items()}, history


OTHER_NETWORK = "{kind: unet, base_width: 4, depth: 2, padding: same, normalization: none}"
EVERY_ARM = (
    "trial.cells=[0, 1]",
    "trial.training_sets.real=[real, real+geometric]",
    "trial.label_fractions=[0.67, 1.0]",
)


@pytest.mark.parametrize(
    "other",
    [
        ("trial.seed=99",),
        ("train_segmenter.learning_rate=0.02",),
        ("train_segmenter.loss=dice_and_cross_entropy",),
        ("train_segmenter.batch_size=3",),
        (f"train_segmenter.segmenters.light={OTHER_NETWORK}",),
        ("trial.primary=kidney_and_tumor",),
        ("evaluate.threshold=0.1",),
        ("arm=real/light/1.0/1",),
        ("arm=real+geometric/light/1.0/0",),
        ("arm=real/light/0.67/0",),
    ],
    ids=lambda overrides: overrides[0].partition("{")[0],
)
def test_what_an_attempt_with_other_settings_left_is_not_taken_up(
    load: Load, pairs: Path, tmp_path: Path, other: tuple[str, ...]
) -> None:
    config = load(*EVERY_ARM, REAL)
    with pytest.raises(KeyError, match="killed"):
        train_segmenter(load(*EVERY_ARM, REAL, *other), Kill(at_step=3), pairs=pairs, segmenter=tmp_path / "s")
    for name in ("s", "whole"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    assert learned(tmp_path / "s") == learned(tmp_path / "whole")


@pytest.mark.parametrize("change", [without_first_patient, with_another_window])
def test_what_an_attempt_on_other_patients_or_slices_left_is_not_taken_up(
    load: Load, pairs: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with pytest.raises(KeyError, match="killed"):
        train_segmenter(load(REAL), Kill(at_step=3), pairs=pairs, segmenter=tmp_path / "s")
    change(pairs)
    for name in ("s", "whole"):
        train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    assert learned(tmp_path / "s") == learned(tmp_path / "whole")


MIXED = "trial.training_sets.synthetic=[{{name: real+synthetic, synthesizer: pix2pix, way: mix, share: {}}}]"


def test_what_an_attempt_with_other_synthetic_slices_left_is_not_taken_up(
    load: Load, pairs: Path, synthetic: Path, tmp_path: Path
) -> None:
    other = write_synthetic(tmp_path / "other", source="a2", known=("a1", "a2", "a3"))
    image = np.load(other / "patients" / "synthetic-a2" / "image.npy", mmap_mode="r+")
    image[:] = image[:, ::-1]
    hash_again(other)
    for name, overrides, slices in (("share", MIXED.format(0.75), synthetic), ("slices", MIXED.format(0.25), other)):
        with pytest.raises(KeyError, match="killed"):
            train_segmenter(load(BOTH, overrides), Kill(3), pairs=pairs, synthetic=slices, segmenter=tmp_path / name)
    for name in ("share", "slices", "whole"):
        config = load(BOTH, MIXED.format(0.25))
        train_segmenter(config, SilentRun(), pairs=pairs, synthetic=synthetic, segmenter=tmp_path / name)
    assert learned(tmp_path / "share") == learned(tmp_path / "whole")
    assert learned(tmp_path / "slices") == learned(tmp_path / "whole")


def test_synthetic_slices_join_the_training(load: Load, pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    run, target = SilentRun(), tmp_path / "s"
    metrics = train_segmenter(load(BOTH), run, pairs=pairs, synthetic=synthetic, segmenter=target)
    assert metrics["training_slices"] == 24
    assert read_card(target).synthesizer == "synthesizer-1"
    assert read_card(target).steps <= 6  # as many steps as without them


def test_arm_whose_slices_were_all_rejected_learns_as_without_them(
    load: Load, pairs: Path, synthetic: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finish(synthetic, "synthetic", {})
    for name, arm, slices in (("none", BOTH, synthetic), ("real", REAL, None)):
        train_segmenter(load(arm), SilentRun(), pairs=pairs, synthetic=slices, segmenter=tmp_path / name)
    assert same_weights(tmp_path / "none", tmp_path / "real")
    assert read_card(tmp_path / "none").synthesizer is None
    assert "screening accepted no synthetic slice" in caplog.text


def test_leak_stops_before_anything_is_written(load: Load, pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    meta = synthetic / "patients" / "synthetic-a1" / "meta.json"
    meta.write_text(meta.read_text().replace('"a2"', '"c1"'))
    hash_again(synthetic)
    with pytest.raises(LeakageError, match="patient c1"):
        train_segmenter(load(BOTH), SilentRun(), pairs=pairs, synthetic=synthetic, segmenter=tmp_path / "s")
    assert not list(tmp_path.glob("s*.partial"))


def test_arm_and_synthetic_slices_must_agree(load: Load, pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs synthetic slices"):
        train_segmenter(load(BOTH), SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    with pytest.raises(ConfigError, match="takes no synthetic slices"):
        train_segmenter(load(REAL), SilentRun(), pairs=pairs, synthetic=synthetic, segmenter=tmp_path / "s")


def test_validation_patients_whose_region_vanished_are_told_to_the_backend(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = PairStore(pairs).patients("validation")[0]
    meta = pairs / "patients" / patient / "meta.json"
    meta.write_text(json.dumps(read_json(meta) | {"volumes": {"tumor": [90.0, 0.0], "kidney": [90.0, 0.0]}}))
    hash_again(pairs)
    told: list[frozenset[str]] = []

    def fit(backend: object, task: FitTask) -> None:
        told.append(task.vanished)
        raise KeyboardInterrupt

    monkeypatch.setattr(InProcess, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    assert told == [{patient}]


def test_store_without_validation_patients_is_refused(load: Load, pairs: Path, tmp_path: Path) -> None:
    finish(pairs, "real", {name: "test" if split == "validation" else split for name, split in SPLITS.items()})
    with pytest.raises(StoreError, match="has no slices in the split 'validation'"):
        train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "s")


def test_loss_that_is_not_finite_leaves_nothing(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(REAL)
    steep = config.train_segmenter.model_copy(update={"learning_rate": 1e20})
    config = config.model_copy(update={"train_segmenter": steep})
    with pytest.raises(NonFiniteLossError, match=r"loss \(dice\): is nan at optimizer step"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert not list(tmp_path.glob("s*"))


SCRIPT = """
import sys
from pathlib import Path
from nephrite.config import load_config
from nephrite.recording import SilentRun
from nephrite.stages.train_segmenter import train_segmenter

params, pairs, segmenter = map(Path, sys.argv[1:4])
print(train_segmenter(load_config(params, sys.argv[4:]), SilentRun(), pairs=pairs, segmenter=segmenter))
"""


@pytest.mark.slow
def test_two_processes_train_one_segmenter(load: Load, pairs: Path, root: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    overrides = [
        *(REAL, "compute.accelerator=cpu", "compute.precision=32-true", "compute.devices=2", "compute.strategy=ddp"),
        *("train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=2", "train_segmenter.batch_size=4"),
        "train_segmenter.segmenters.light={kind: unet, base_width: 4, depth: 2, padding: same, normalization: none}",
    ]
    command = [sys.executable, str(script), str(CAPSTONE), str(pairs), str(tmp_path / "s"), *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert done.stdout.count("validation_score") == 2  # both processes came to the end
    assert done.stderr == ""
    assert not (tmp_path / f"s{PARTIAL}").exists()
    assert len(load_segmenter(tmp_path / "s").trained.history) == 1


@pytest.mark.slow
def test_two_machines_of_torchrun_train_one_segmenter_in_one_run(
    record: str, load: Load, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(load(*MACHINES).model_dump(mode="json")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stage = [
        "-m",
        "nephrite",
        "train-segmenter",
        "--set",
        REAL,
        "--pairs",
        str(pairs),
        "--segmenter",
        "s",
        "--run-id",
        "id",
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    machines = [
        subprocess.Popen([*torchrun, f"--node-rank={rank}", *stage], env=environment, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    told = [machine.communicate(timeout=150)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert [text.count("validation_score") for text in told] == [1, 0]
    card = read_card(tmp_path / "s")
    assert card.run_id == (tmp_path / "id").read_text()


SETS = "trial.training_sets.real=[real, real+geometric, real+standard+copy_paste, real+standard+self_training]"


def test_a_label_fraction_knows_fewer_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load("arm=real/light/0.34/1", "trial.label_fractions=[0.34, 1.0]", "trial.cells=[0, 1]")
    metrics = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert (len(read_card(tmp_path / "s").training_patients), metrics["training_slices"]) == (1, 6)


def test_slices_painted_for_all_patients_are_refused_by_a_smaller_fraction(
    load: Load, pairs: Path, synthetic: Path, tmp_path: Path
) -> None:
    config = load("arm=real+synthetic/light/0.34/0", "trial.label_fractions=[0.34, 1.0]")
    with pytest.raises(LeakageError, match="outside the 1 training patients of the arm"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s", synthetic=synthetic)


def test_copy_paste_changes_the_training(load: Load, pairs: Path, tmp_path: Path) -> None:
    for path in pairs.rglob("label.npy"):  # kidney everywhere: room for a second tumor
        label = np.load(path, mmap_mode="r+")
        label[label == 0] = 1
    hash_again(pairs)
    for name, chance in (("never", 0.0), ("always", 1.0)):
        arm = ("arm=real+standard+copy_paste/light/1.0/0", f"train_segmenter.copy_paste.probability={chance}")
        config = load(SETS, *arm)
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    assert not same_weights(tmp_path / "never", tmp_path / "always")


def test_a_region_that_no_one_has_is_refused_before_training(
    load: Load, pairs: Path, take_away: Callable[[str, int], None], tmp_path: Path
) -> None:
    for split, who in (("validation", "2 validation patients"), ("train", "3 training patients of cell 0 at label")):
        take_away(split, 2)
        with pytest.raises(ConfigError, match=rf"trial.primary: 'tumor' with labels \[2\] is in none of the {who}"):
            train_segmenter(load(REAL), SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs"]


def test_one_patient_has_no_other_one_to_paste_from(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(SETS, "trial.label_fractions=[0.34]", "arm=real+standard+copy_paste/light/0.34/0")
    with pytest.raises(ConfigError, match=r"arm real\+standard\+copy_paste/light/0.34/0: pastes \['tumor'\] of other"):
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")


def test_self_training_learns_from_the_rest_of_the_training_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    fraction = ("trial.label_fractions=[0.34, 1.0]", "train_segmenter.self_training.confidence=0.51")
    config = load(SETS, "arm=real+standard+self_training/light/0.34/0", *fraction)
    metrics = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s")
    assert metrics["training_slices"] == 18
    assert len(read_card(tmp_path / "s").training_patients) == 1
    assert not (tmp_path / "s" / "teacher").exists()


def test_scans_of_which_the_teacher_is_unsure_everywhere_teach_nothing(load: Load, pairs: Path, tmp_path: Path) -> None:
    settings = (
        "trial.label_fractions=[0.34, 1.0]",
        "train_segmenter.self_training.confidence=0.9999",
        "train_segmenter.loss=dice_and_cross_entropy",
        "train_segmenter.segmenters.light={kind: unet, base_width: 4, depth: 2, padding: same, normalization: none}",
    )
    sets = "trial.training_sets.real=[real, real+geometric, real+self_training]"
    config = load(sets, "arm=real+self_training/light/0.34/0", *settings)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "once")
    (known,) = read_card(tmp_path / "once").training_patients
    for patient in {"a1", "a2", "a3"} - {known}:
        image = np.load(pairs / "patients" / patient / "image.npy", mmap_mode="r+")
        image[:] = image[:, ::-1] + 30
    hash_again(pairs)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "again")
    assert same_weights(tmp_path / "once", tmp_path / "again")


def test_a_teacher_from_its_own_arm_is_the_one_that_self_training_would_train(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    sets = "trial.training_sets.real=[real, real+geometric, real+standard, real+standard+self_training]"
    settings = (sets, "trial.label_fractions=[0.34, 1.0]", "train_segmenter.self_training.confidence=0.51")
    student = load(*settings, "arm=real+standard+self_training/light/0.34/0")
    arm = load(*settings, "arm=real+standard/light/0.34/0")
    train_segmenter(arm, SilentRun(), pairs=pairs, segmenter=tmp_path / "arm")
    train_segmenter(student, SilentRun(), pairs=pairs, segmenter=tmp_path / "own")
    train_segmenter(student, SilentRun(), pairs=pairs, segmenter=tmp_path / "given", teacher=tmp_path / "arm")
    assert same_weights(tmp_path / "own", tmp_path / "given")
    assert not same_weights(tmp_path / "arm", tmp_path / "given")


@pytest.mark.parametrize("way", ["mix", "pretrain", "schedule"])
def test_ways_to_use_synthetic_slices_are_different_trainings(
    load: Load, pairs: Path, synthetic: Path, tmp_path: Path, way: str
) -> None:
    for name in ("append", way):
        fakes = (
            f"trial.training_sets.synthetic=[{{name: real+synthetic, synthesizer: pix2pix, way: {name}, share: 0.5}}]"
        )
        config = load(BOTH, fakes)
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name, synthetic=synthetic)
    assert not same_weights(tmp_path / "append", tmp_path / way)


FREE = (
    "trial.training_sets.real=[real, real+geometric, real+negatives, real+paste_free]",
    "prepare.lesions={kidney: null, tumor: null}",
    *("prepare.lesion_free.training_patients=true", "prepare.lesion_free.margin=1"),
    *("trial.label_fractions=[0.34]", "train_segmenter.loss=dice_and_cross_entropy"),
    "train_segmenter.segmenters.light={kind: unet, base_width: 4, depth: 2, padding: same, normalization: none}",
)


@pytest.mark.parametrize("kind", ["negatives", "paste_free"])
def test_lesion_free_scans_are_a_share_of_the_training(load: Load, pairs: Path, tmp_path: Path, kind: str) -> None:
    for name, more in (("some", "share=0.5"), ("few", "share=0.25")):
        config = load(*FREE, f"arm=real+{kind}/light/0.34/0", f"train_segmenter.lesion_free.{more}")
        metrics = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name)
        assert (metrics["training_slices"], metrics["masked_patients"]) == (18, 2)
    card = read_card(tmp_path / "some")
    assert (len(card.training_patients), len(card.masked_patients)) == (1, 2)
    assert not {*card.training_patients} & {*card.masked_patients}
    assert not same_weights(tmp_path / "some", tmp_path / "few")


def test_pasting_onto_lesion_free_scans_is_more_than_seeing_them(load: Load, pairs: Path, tmp_path: Path) -> None:
    for name, chance in (("never", 0), ("always", 1)):
        config = load(*FREE, "arm=real+paste_free/light/0.34/0", f"train_segmenter.lesion_free.pasted={chance}")
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / name)
    train_segmenter(
        load(*FREE, "arm=real+negatives/light/0.34/0"), SilentRun(), pairs=pairs, segmenter=tmp_path / "plain"
    )
    assert same_weights(tmp_path / "never", tmp_path / "plain")
    assert not same_weights(tmp_path / "always", tmp_path / "plain")


def test_of_lesion_free_scans_what_is_ignored_teaches_nothing(load: Load, pairs: Path, tmp_path: Path) -> None:
    far = ("arm=real+negatives/light/0.34/0", "prepare.lesion_free.margin=6")
    train_segmenter(load(*FREE, *far), SilentRun(), pairs=pairs, segmenter=tmp_path / "once")
    (known,) = read_card(tmp_path / "once").training_patients
    for patient in {"a1", "a2", "a3"} - {known}:  # another class for what is ignored anyway
        label = np.load(pairs / "patients" / patient / "label.npy", mmap_mode="r+")
        label[label == 1] = 2
        label.flush()
    finish(pairs, "real", SPLITS)
    train_segmenter(load(*FREE, *far), SilentRun(), pairs=pairs, segmenter=tmp_path / "again")
    assert same_weights(tmp_path / "once", tmp_path / "again")


WITHOUT = (
    "prepare.lesions={kidney: null, tumor: null}",
    *("prepare.lesion_free={training_patients: true, margin: 1}", "screen.filter=all", "synthesize.ratio=2"),
    "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 1.0, slices: apart, host: bright, "
    "sizes: [{radius: [1.5, 2.5]}]}",
    *(
        "trial.without_labels=[{name: real+synthetic, synthesizer: pix2pix, way: append}]",
        "trial.label_fractions=[0.34]",
    ),
)


def test_without_any_label_an_arm_learns_from_painted_lesions_alone(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(*WITHOUT, "arm=real+synthetic/light/0.0/0", "painter=pix2pix/0.0/0")
    folders = {name: tmp_path / name for name in ("synthesizer", "painted", "synthetic")}
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=folders["synthesizer"])
    assert (folders["synthesizer"] / "samples" / "drawn.png").is_file()
    synthesize(config, SilentRun(), pairs=pairs, synthesizer=folders["synthesizer"], painted=folders["painted"])
    screen(config, SilentRun(), pairs=pairs, painted=folders["painted"], synthetic=folders["synthetic"])
    store = PairStore(folders["synthetic"])
    assert len(store.slices()) == 12  # twice the slices of one patient, as at the smallest label fraction
    provenances = [store.patient(patient).provenance for patient in store.patients()]
    assert all(known and not known.training_patients and known.lesion_free for known in provenances)
    metrics = train_segmenter(
        config, SilentRun(), pairs=pairs, synthetic=folders["synthetic"], segmenter=tmp_path / "s"
    )
    card = read_card(tmp_path / "s")
    assert card.training_patients == ()
    assert set(card.masked_patients) <= {"a1", "a2", "a3"}
    assert metrics["training_slices"] == 12


def test_the_backend_is_told_where_labels_are_to_be_ignored(
    load: Load, pairs: Path, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def fit(backend: object, task: FitTask) -> None:
        told.append(task.unsure)
        raise KeyboardInterrupt

    monkeypatch.setattr(InProcess, "fit", fit)
    (name,) = PairStore(synthetic).patients()
    arms = ["real+negatives/light/0.34/0", "real/light/0.34/0", *["real+synthetic/light/1.0/0"] * 2]
    for arm, ignored in zip(arms, (False, False, False, True), strict=True):
        if ignored:  # painted on a lesion-free scan
            known = PairStore(synthetic).patient(name)
            assert known.provenance is not None
            write_patient(synthetic, replace(known, provenance=replace(known.provenance, lesion_free=True)))
            label = np.load(synthetic / "patients" / name / "label.npy", mmap_mode="r+")
            label[0, 0, 0] = IGNORED
            label.flush()
            finish(synthetic, "synthetic", {name: "train"})
        config = load(*FREE, "trial.label_fractions=[0.34, 1.0]", f"arm={arm}")
        painted = {"synthetic": synthetic} if "synthetic" in arm else {}
        with pytest.raises(KeyboardInterrupt):
            train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "s", **painted)
    assert told == [True, False, False, True]
