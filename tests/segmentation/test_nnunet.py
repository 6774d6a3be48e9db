"""Settings and refusals; with nnU-Net itself (`make test-nnunet`) a training, its predictions and its seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from safetensors.torch import load_file

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.backend import SliceShape, StoredScan, backend_of
from nephrite.segmentation.demands import check_trial
from nephrite.segmentation.nnunet import ENVIRONMENT, NnunetBackend, NnunetSettings
from nephrite.segmentation.programs.nnunet.told import SETTINGS, WEIGHTS
from nephrite.stages.prepare import prepare
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore
from tests.conftest import ROOT, SIZE

Load = Callable[..., Config]
PYTHON = ROOT / ENVIRONMENT
TINY = f"kind: nnunet, python: {PYTHON}, patch: 32, widths: [4, 8, 8], batch: 2, mirroring: false"
ARMS = (
    "trial.training_sets={real: [real+standard], synthetic: [{name: real+synthetic+standard, synthesizer: pix2pix, "
    "way: mix, share: 0.25}]}",
    *("trial.reference=real+standard", "trial.segmenters=[theirs]", "trial.cells=[0]", "trial.question=null"),
)


def settings(load: Load, more: str = "", *overrides: str) -> Config:
    return load(*ARMS, f"train_segmenter.segmenters.theirs={{{TINY}{more}}}", "screen.filter=all", *overrides)


def test_it_is_a_program_that_is_told_its_size(load: Load) -> None:
    own = settings(load).train_segmenter.segmenters["theirs"]
    assert isinstance(own, NnunetSettings)
    command = own.as_command()
    assert command.command == (str(PYTHON), "-m", "nnunet")
    told = json.loads(command.environment[SETTINGS])
    assert told == {
        "configuration": "2d",
        "patch": 32,
        "widths": [4, 8, 8],
        "batch": 2,
        "mirroring": False,
        "device": "cpu",
    }
    assert command.plans
    assert command.intake == own.intake
    assert isinstance(backend_of(own), NnunetBackend)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", configuration: 3d_fullres", "set 'patch' to null"),
        (", patch: 33", "'patch' is 33, which cannot be halved 2 times"),
    ],
)
def test_a_patch_that_no_network_can_have_is_refused(load: Load, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(
            f"train_segmenter.segmenters.theirs={{kind: nnunet, widths: [4, 8, 8], patch: 32{more}}}".replace(
                "patch: 32, patch", "patch"
            )
        )


def test_without_nnunet_the_remedy_is_named(load: Load) -> None:
    config = load(
        *ARMS, "train_segmenter.segmenters.theirs={kind: nnunet, python: /nowhere/python}", "screen.filter=all"
    )
    with pytest.raises(ConfigError, match=r"/nowhere/python is not there; make env-nnunet"):
        check_trial(config)


def test_an_augmentation_that_is_not_its_own_is_refused(load: Load, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    named = f"train_segmenter.segmenters.theirs={{kind: nnunet, python: {python}}}"
    sets = ("trial.training_sets={real: [real+geometric], synthetic: []}", "trial.reference=real+geometric")
    config = load(*ARMS, *sets, "trial.synthesizers=[]", named, "screen.filter=all")
    with pytest.raises(ConfigError, match="'real\\+geometric' asks for 'geometric'; name the set with 'standard'"):
        backend_of(config.train_segmenter.segmenters["theirs"]).check(config, SliceShape(SIZE, 2))


def test_on_a_gpu_chance_has_to_be_shown(load: Load) -> None:
    with pytest.raises(ConfigError, match="has no A/A arm, and segmenter 'theirs' is not seeded"):
        check_trial(settings(load, ", device: cuda"))


@pytest.mark.nnunet
def test_the_real_nnunet_learns_and_is_asked_through_its_folder(load: Load, pairs: Path, tmp_path: Path) -> None:
    more = ("train_segmenter.epochs=2", "train_segmenter.steps_per_epoch=6", "arm=real+standard/theirs/1.0/0")
    config, folders = settings(load, "", *more), [tmp_path / name for name in ("one", "again")]
    for folder in folders:
        metrics = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
        assert 0 <= metrics["validation_score"] <= 1
    # the same seed gives the same weights
    weights = [(folder / "model" / WEIGHTS).read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    record = json.loads((folders[0] / "model" / "model.json").read_text(encoding="utf-8"))
    assert (record["steps"], record["cases"]) == (12, 3)
    assert record["version"].startswith("nnunetv2 2.")
    # no pickle is left
    names = {path.name for path in (folders[0] / "model").iterdir()}
    assert names == {"model.json", "progress.jsonl", "plans.json", "dataset.json", "arm.json", "weights.safetensors"}
    # predictions lie on the store's grid
    trained, store = load_segmenter(folders[0]).trained, PairStore(pairs)
    found = trained.backend.predict(trained, StoredScan(store, "c1"))
    assert found.labels.shape == store.label("c1").shape
    assert found.probabilities is not None
    assert found.probabilities.shape == (len(found.labels), 2, SIZE, SIZE)
    assert np.isfinite(found.probabilities).all()


@pytest.mark.nnunet
def test_the_real_nnunet_learns_from_volumes_and_finds_in_them(load: Load, pairs: Path, tmp_path: Path) -> None:
    entry = f"{{kind: nnunet, python: {PYTHON}, configuration: 3d_fullres, patch: null, batch: 2, mirroring: false}}"
    few = ("train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=2", "arm=real+standard/theirs/1.0/0")
    config = load(*ARMS, f"train_segmenter.segmenters.theirs={entry}", "screen.filter=all", *few)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    trained, store = load_segmenter(tmp_path / "segmenter").trained, PairStore(pairs)
    plans = json.loads((tmp_path / "segmenter" / "model" / "plans.json").read_text(encoding="utf-8"))
    assert len(plans["configurations"]["3d_fullres"]["patch_size"]) == 3
    for found in trained.backend.predict_all(trained, [StoredScan(store, name) for name in ("c1", "c2")]):
        assert found.labels.shape == store.label("c1").shape
        assert found.probabilities is not None
        assert np.isfinite(found.probabilities).all()


@pytest.mark.nnunet
def test_the_real_nnunet_learns_from_all_channels(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    for number, case in enumerate(sorted(kits_folder.iterdir())):
        first = nib.Nifti1Image.from_filename(case / "imaging.nii.gz")
        noise = np.random.default_rng(number).normal(0, 1, first.shape).astype(np.float32)
        nib.save(nib.Nifti1Image(noise, first.affine), case / "imaging_0001.nii.gz")
        (case / "imaging.nii.gz").rename(case / "imaging_0000.nii.gz")
    (kits_folder / "channels.json").write_text('{"channels": ["T2", "ADC"]}')
    more = ("train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=4", "arm=real+standard/theirs/1.0/0")
    config = settings(load, "", "prepare.intensity={kind: percentile, low: 0, high: 100}", *more)
    prepare(config, SilentRun(), raw=kits_folder, pairs=tmp_path / "pairs")
    train_segmenter(config, SilentRun(), pairs=tmp_path / "pairs", segmenter=tmp_path / "segmenter")
    model = tmp_path / "segmenter" / "model"
    assert json.loads((model / "dataset.json").read_text(encoding="utf-8"))["channel_names"] == {"0": "T2", "1": "ADC"}
    weights = load_file(model / WEIGHTS)
    assert {weights[name].shape[1] for name in weights if name.endswith("stages.0.0.convs.0.conv.weight")} == {2}
    # what the second channel shows counts
    trained, store = load_segmenter(tmp_path / "segmenter").trained, PairStore(tmp_path / "pairs")
    patient = store.patients("test")[0]
    found = trained.backend.predict(trained, scan := StoredScan(store, patient))
    swapped = trained.backend.predict(trained, Turned(scan))
    assert found.probabilities is not None
    assert swapped.probabilities is not None
    assert not np.allclose(found.probabilities, swapped.probabilities, atol=1e-4)


@dataclass(frozen=True)
class Turned:
    """A scan whose second channel is upside down."""

    scan: StoredScan
    turned: bool = False

    @property
    def patient(self) -> str:
        return self.scan.patient

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.scan.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        return self.scan.spacing

    @property
    def intensity_window(self) -> tuple[float, float]:
        return self.scan.intensity_window

    @property
    def channel_names(self) -> Sequence[str]:
        return self.scan.channel_names

    @property
    def channels(self) -> list[Turned]:
        return [Turned(channel, number == 1) for number, channel in enumerate(self.scan.channels)]

    def windowed(self, part: range) -> np.ndarray:
        planes = self.scan.windowed(part)
        return planes[:, ::-1] if self.turned else planes
