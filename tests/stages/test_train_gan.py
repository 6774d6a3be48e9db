"""The stage writes a whole synthesizer that knows training patients alone, resumes, and leaves nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.config import Config
from nephrite.errors import ConfigError, NonFiniteLossError, StoreError
from nephrite.files import PARTIAL, read_json, write_json
from nephrite.generation.synthesizers import SynthesizerCard, read_synthesizer
from nephrite.ownership import MARK
from nephrite.recording import SilentRun
from nephrite.stages.train_gan import train_gan
from tests.conftest import CAPSTONE, finish, hash_again, with_another_window, with_weight, without_first_patient

Load = Callable[..., Config]
SCRIPT = """
import sys
from pathlib import Path
from nephrite.config import load_config
from nephrite.recording import SilentRun
from nephrite.stages.train_gan import train_gan

if __name__ == "__main__":
    params, pairs, target, *overrides = sys.argv[1:]
    config = load_config(Path(params), overrides)
    print(train_gan(config, SilentRun(), pairs=Path(pairs), synthesizer=Path(target)))
"""


class Recorder(SilentRun):
    """Remembers what it is told; fails at a step, as if the process had been killed there."""

    def __init__(self, killed_at: int = 0) -> None:
        self.killed_at, self.steps, self.artifacts = killed_at, list[int](), list[str]()
        self.told = dict[str, str]()

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        self.steps.append(step)
        if step == self.killed_at:
            raise ConnectionAbortedError

    def tags(self, values: Mapping[str, str]) -> None:
        self.told |= values

    def artifact(self, path: Path, *, folder: str = "") -> None:
        assert path.exists()
        self.artifacts.append(f"{folder}/{path.name}")


def trained(config: Config, pairs: Path, target: Path) -> SynthesizerCard:
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=target)
    return read_synthesizer(target)[0]


OTHERS = {
    "spade": (
        "train_gan.pix2pix.method={kind: spade, base_width: 4, depth: 3, hidden_width: 4, code_length: 4, "
        "divergence_weight: 0.05}",
        "train_gan.pix2pix.condition=anatomy",
        "train_gan.pix2pix.differentiable_augmentation=[translation, cutout]",
    ),
    "paint_in": (
        "train_gan.pix2pix.method={kind: paint_in, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5, rim: 2}",
    ),
}
RANDOMISED = "train_gan.pix2pix.method={kind: randomized, spread: 0.1}"


def poison(pairs: Path, *patients: str) -> None:
    for patient in patients:
        image = np.load(pairs / "patients" / patient / "image.npy", mmap_mode="r+")
        image[:] = 1000
    hash_again(pairs)


def test_folder_holds_card_weights_history_and_samples_only(load: Load, pairs: Path, tmp_path: Path) -> None:
    trained(load(), pairs, tmp_path / "s")
    found = sorted(str(path.relative_to(tmp_path / "s")) for path in (tmp_path / "s").rglob("*.*"))
    assert found == [
        MARK,
        "generator.safetensors",
        "history.json",
        "samples/epoch_0001.png",
        "samples/epoch_0002.png",
        "synthesizer.json",
    ]
    assert not (tmp_path / f"s{PARTIAL}").exists()


def test_card_names_data_classes_and_training_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    card = trained(load(), pairs, tmp_path / "s")
    assert card.training_patients == ("a1", "a2", "a3")
    assert card.pairs == read_json(pairs / "store.json")["digest"]
    assert (card.method.kind, card.classes, card.size, card.run_id) == ("pix2pix", {1: "kidney", 2: "tumor"}, 32, None)


def test_images_of_other_patients_have_no_influence(load: Load, pairs: Path, tmp_path: Path) -> None:
    clean = trained(load(), pairs, tmp_path / "clean")
    poison(pairs, "b1", "b2", "c1", "c2")
    assert trained(load(), pairs, tmp_path / "poisoned").id == clean.id
    poison(pairs, "a1")
    assert trained(load(), pairs, tmp_path / "training").id != clean.id


def test_seed_decides_the_synthesizer(load: Load, pairs: Path, tmp_path: Path) -> None:
    ids = [trained(load(f"trial.seed={seed}"), pairs, tmp_path / f"{n}").id for n, seed in enumerate((1, 1, 2))]
    assert ids[0] == ids[1] != ids[2]


def test_kept_weights_are_those_of_the_moving_average(load: Load, pairs: Path, tmp_path: Path) -> None:
    raw = trained(load(), pairs, tmp_path / "raw")
    assert trained(load("train_gan.pix2pix.ema_decay=0.9"), pairs, tmp_path / "average").id != raw.id


def test_record_gets_each_epoch_each_sheet_and_the_synthesizer(load: Load, pairs: Path, tmp_path: Path) -> None:
    run = Recorder()
    config = load("train_gan.pix2pix.epochs=3", "train_gan.pix2pix.sample_every=2")
    metrics = train_gan(config, run, pairs=pairs, synthesizer=tmp_path / "s")
    assert run.steps == [3, 6, 9]
    assert run.artifacts[:2] == ["samples/epoch_0002.png", "samples/epoch_0003.png"]
    assert run.artifacts[2:] == ["/synthesizer.json", "/generator.safetensors"]
    assert metrics["training_slices"] == 18
    assert run.told["mlflow.note.content"].startswith("* `samples/`: label map, synthetic slice, real slice")


def test_sheet_shows_eight_samples_in_two_columns(load: Load, pairs: Path, tmp_path: Path) -> None:
    trained(load("train_gan.pix2pix.epochs=1"), pairs, tmp_path / "s")
    with Image.open(tmp_path / "s" / "samples" / "epoch_0001.png") as sheet:
        assert sheet.size == (6 * 128 + 5 * 2, 4 * 128 + 3 * 2)


def test_killed_stage_resumes_to_the_synthesizer_of_an_undisturbed_one(load: Load, pairs: Path, tmp_path: Path) -> None:
    whole, again = trained(load(), pairs, tmp_path / "whole"), Recorder()
    with pytest.raises(ConnectionAbortedError):
        train_gan(load(), Recorder(killed_at=3), pairs=pairs, synthesizer=tmp_path / "s")
    assert not (tmp_path / "s").exists()
    train_gan(load(), again, pairs=pairs, synthesizer=tmp_path / "s")
    assert read_synthesizer(tmp_path / "s")[0].id == whole.id
    assert again.steps == [6]  # the first epoch was not trained again


@pytest.mark.parametrize("kind", OTHERS)
def test_every_kind_resumes_and_knows_training_patients_alone(
    load: Load, pairs: Path, tmp_path: Path, kind: str
) -> None:
    config = load(*OTHERS[kind])
    whole = trained(config, pairs, tmp_path / "whole")
    poison(pairs, "b1", "b2", "c1", "c2")
    with pytest.raises(ConnectionAbortedError):
        train_gan(config, Recorder(killed_at=3), pairs=pairs, synthesizer=tmp_path / "s")
    assert trained(config, pairs, tmp_path / "s").id == whole.id
    assert (whole.method.kind, whole.lesions) == (kind, (2,))


def test_tissue_borders_and_intensities_are_on_the_card(load: Load, pairs: Path, tmp_path: Path) -> None:
    card = trained(load(*OTHERS["spade"], "train_gan.pix2pix.epochs=1"), pairs, tmp_path / "s")
    assert card.tissue_edges == tuple(sorted(card.tissue_edges or ()))
    assert len(card.intensities) == len(card.tissue_edges) + 3
    tumor, kidney = card.intensities[-1].mean, card.intensities[-2].mean
    assert tumor is not None
    assert kidney is not None
    assert tumor > kidney + 0.1


def test_what_needs_no_training_is_a_card_and_a_sheet(load: Load, pairs: Path, tmp_path: Path) -> None:
    run = Recorder()
    metrics = train_gan(load(RANDOMISED), run, pairs=pairs, synthesizer=tmp_path / "s")
    found = sorted(str(path.relative_to(tmp_path / "s")) for path in (tmp_path / "s").rglob("*.*"))
    assert found == [MARK, "samples/drawn.png", "synthesizer.json"]
    assert (metrics, run.steps) == ({"training_slices": 18, "unlabeled_scans": 0}, [])
    assert run.artifacts == ["samples/drawn.png", "/synthesizer.json"]


def test_painting_in_without_a_lesion_is_refused(load: Load, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is 'paint_in', but no class is a lesion; name .* 'prepare.lesions'"):
        trained(load(*OTHERS["paint_in"], "prepare.lesions={}"), pairs, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_painting_in_what_no_training_patient_has_is_refused(
    load: Load, pairs: Path, take_away: Callable[[str, int], None], tmp_path: Path
) -> None:
    take_away("train", 2)
    with pytest.raises(ConfigError, match="is 'paint_in', and none of the 3 training patients has a lesion"):
        trained(load(*OTHERS["paint_in"]), pairs, tmp_path / "s")


@pytest.mark.parametrize(
    "other",
    [
        "trial.seed=99",
        "train_gan.pix2pix.learning_rate=0.1",
        "train_gan.pix2pix.l1_weight=7",
        "painter=pix2pix/1.0/1",
        "painter=pix2pix/0.67/0",
    ],
)
def test_what_other_settings_left_is_discarded(load: Load, pairs: Path, tmp_path: Path, other: str) -> None:
    every = ("trial.cells=[0, 1]", "trial.label_fractions=[0.67, 1.0]", "painter=pix2pix/1.0/0")
    killed_at = 2 if "0.67" in other else 3
    with pytest.raises(ConnectionAbortedError):
        train_gan(load(*every, other), Recorder(killed_at), pairs=pairs, synthesizer=tmp_path / "s")
    assert trained(load(*every), pairs, tmp_path / "s") == trained(load(*every), pairs, tmp_path / "whole")


@pytest.mark.parametrize("change", [without_first_patient, with_another_window])
def test_what_was_left_of_other_patients_or_slices_is_discarded(
    load: Load, pairs: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with pytest.raises(ConnectionAbortedError):
        train_gan(load(), Recorder(killed_at=3), pairs=pairs, synthesizer=tmp_path / "s")
    change(pairs)
    assert trained(load(), pairs, tmp_path / "s") == trained(load(), pairs, tmp_path / "whole")


def test_what_was_left_of_other_lesions_is_discarded(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, other = load(*OTHERS["paint_in"]), load(*OTHERS["paint_in"], "prepare.lesions={kidney: null}")
    with pytest.raises(ConnectionAbortedError):
        train_gan(other, Recorder(killed_at=3), pairs=pairs, synthesizer=tmp_path / "s")
    assert trained(config, pairs, tmp_path / "s") == trained(config, pairs, tmp_path / "whole")


def test_non_finite_loss_leaves_nothing(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = with_weight(load(), 1e39)
    with pytest.raises(NonFiniteLossError, match=r"generator_loss: is inf at optimizer step 1;"):
        trained(config, pairs, tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs"]


def test_store_without_training_slices_is_refused(load: Load, pairs: Path, tmp_path: Path) -> None:
    index = pairs / "index.csv"
    index.write_text("".join(line for line in index.read_text().splitlines(keepends=True) if ",train," not in line))
    hash_again(pairs)
    with pytest.raises(StoreError, match="has no slices in the split 'train'"):
        trained(load(), pairs, tmp_path / "s")


def test_missing_store_is_refused_before_anything_is_written(load: Load, tmp_path: Path) -> None:
    write_json(tmp_path / "pairs" / "split.json", {"patients": {}})
    with pytest.raises(StoreError, match=r"store.json: is missing"):
        trained(load(), tmp_path / "pairs", tmp_path / "s")
    assert not (tmp_path / f"s{PARTIAL}").exists()


@pytest.mark.slow
def test_two_processes_train_one_synthesizer(pairs: Path, root: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    overrides = [
        *("compute.accelerator=cpu", "compute.precision=32-true", "compute.devices=2", "compute.strategy=auto"),
        *(
            "train_gan.pix2pix.epochs=2",
            "train_gan.pix2pix.sample_every=2",
            "train_gan.pix2pix.batch_size=6",
            "train_gan.pix2pix.ema_decay=0.9",
        ),
        "train_gan.pix2pix.method={kind: pix2pix, base_width: 4, depth: 3, upsampling: resize, dropout: 0.5}",
    ]
    command = [sys.executable, str(script), str(CAPSTONE), str(pairs), str(tmp_path / "s"), *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert done.stdout.count("'l1_loss'") == 2  # both processes came to the end
    assert read_synthesizer(tmp_path / "s")[0].training_patients == ("a1", "a2", "a3")
    assert [row["step"] for row in read_json(tmp_path / "s" / "history.json")] == [3, 6]


def test_a_label_fraction_trains_on_fewer_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load("painter=pix2pix/0.67/1", "trial.label_fractions=[0.67, 1.0]", "trial.cells=[0, 1]")
    metrics = train_gan(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / "s")
    card, _ = read_synthesizer(tmp_path / "s")
    assert (len(card.training_patients), metrics["training_slices"]) == (2, 12)


UNLABELED = ("train_gan.pix2pix.condition=anatomy", "train_gan.pix2pix.unlabeled=true")
QUANTILES = "train_gan.pix2pix.tissue={kind: quantiles, classes: 3, smoothing: 1.0}"


def test_the_other_training_patients_are_seen_without_labels(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(*UNLABELED, QUANTILES, "painter=pix2pix/0.67/0", "trial.label_fractions=[0.67, 1.0]")
    for path in ("once", "again"):
        train_gan(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / path)
        known, _ = read_synthesizer(tmp_path / path)
        label = np.load(pairs / "patients" / known.unlabeled_patients[0] / "label.npy", mmap_mode="r+")
        label[:] = 2  # what nobody reads cannot matter
        hash_again(pairs)
    assert {*known.training_patients, *known.unlabeled_patients} == {"a1", "a2", "a3"}
    assert read_synthesizer(tmp_path / "once")[0].id == known.id


def test_what_was_left_of_other_scans_without_labels_is_discarded(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(*UNLABELED, QUANTILES, "painter=pix2pix/0.67/0", "trial.label_fractions=[0.67, 1.0]")
    with pytest.raises(ConnectionAbortedError):
        train_gan(config, Recorder(killed_at=3), pairs=pairs, synthesizer=tmp_path / "s")
    content = read_json(pairs / "split.json")
    content["patients"]["c1"] = "unlabeled"
    finish(pairs, "real", content["patients"])
    again, whole = (trained(config, pairs, tmp_path / name) for name in ("s", "whole"))
    assert "c1" in whole.unlabeled_patients
    assert again == whole


def test_scans_without_labels_must_be_there(load: Load, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train_gan\.pix2pix\.unlabeled: needs scans without labels, and there are"):
        train_gan(load(*UNLABELED, QUANTILES), SilentRun(), pairs=pairs, synthesizer=tmp_path / "s")


def test_a_lesion_painter_needs_lesions_and_their_organ(
    load: Load, pairs: Path, tmp_path: Path, take_away: Callable[[str, int], None]
) -> None:
    painter = "train_gan.pix2pix.method={kind: lesion_painter, slices: apart, sizes: [{radius: [1.5, 2]}]}"
    with pytest.raises(ConfigError, match=r"method\.kind: is 'lesion_painter', but no class is a lesion"):
        trained(load(painter, "prepare.lesions={}"), pairs, tmp_path / "s")
    take_away("train", 2)  # it paints a class that no patient has
    card = trained(load(painter), pairs, tmp_path / "s")
    assert not card.trained
    assert card.method.kind == "lesion_painter"
    take_away("train", 1)
    with pytest.raises(ConfigError, match=r"and no patient that it may see has 'kidney'; take a larger label fraction"):
        trained(load(painter), pairs, tmp_path / "again")
