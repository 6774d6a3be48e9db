from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest

from nephrite.commands import resolve_command
from nephrite.config import Config
from nephrite.errors import NephriteError, SourceError, StoreError
from nephrite.preflight import place_patients, preflight, stored_placement
from nephrite.trial_command import plan_command, trial_command
from nephrite_kubeflow.cli import group
from tests.conftest import CAPSTONE, SMALL

Load = Callable[..., Config]
IMAGE = f"registry/nephrite@sha256:{'0' * 64}"
REAL = "trial.training_sets.real=[real, real+geometric"
REFUSED = {
    "a split without a share": ("prepare.split={train: 0.5, validation: 0, test: 0.5}",),
    "confirmation without patients": ("trial.judged_on=confirmation",),
    "a fraction without patients": ("trial.label_fractions=[0.01]",),
    "a split that nobody fills": ("acquire.phantom.patients=2",),
    "self-training without scans": (f"{REAL}, real+geometric+self_training]",),
    "a generator without scans": ("train_gan.pix2pix.condition=anatomy", "train_gan.pix2pix.unlabeled=true"),
    "lesion-free scans that are not there": (f"{REAL}, real+standard+lesion_free]",),
    "a question without a headline": (
        f"{REAL}]",
        "trial.training_sets.synthetic=[]",
        "trial.synthesizers=[]",
        "trial.questions=[{metric: surface_dice}]",
    ),
    "a window larger than the slices": ("train_segmenter.window=64",),
    "probabilities of a segmenter that gives none": (
        "trial.metric=brier",
        "train_segmenter.segmenters.mute={kind: command, command: [perl], probabilities: false}",
        "trial.segmenters=[mute]",
    ),
    "networks deeper than the slices": ("train_gan.pix2pix.discriminator={base_width: 4, layers: 9}",),
}


def commands(folder: Path) -> dict[str, tuple[click.Command, Sequence[str]]]:
    """Every door to a trial that checks no more than the settings; `make demo` goes by 'resolve'."""
    return {
        "plan": (plan_command(), ()),
        "trial": (trial_command(), ("--folder", str(folder / "trial"))),
        "resolve": (resolve_command(), ("--resolved", str(folder / "resolved"))),
        "compile": (group.commands["compile"], ("--image", IMAGE, "--output", str(folder / "compiled.yaml"))),
    }


@pytest.mark.parametrize("name", REFUSED)
def test_all_doors_refuse_the_same_settings_with_the_same_sentence_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = [part for text in (*SMALL, "trial.segmenters=[light]", *REFUSED[name]) for part in ("--set", text)]
    sentences = {}
    for door, (command, options) in commands(tmp_path).items():
        with pytest.raises(NephriteError) as error:
            command.main(["--params", str(CAPSTONE), *chosen, *options], standalone_mode=False)
        sentences[door] = f"{type(error.value).__name__}: {error.value}"
    assert len({*sentences.values()}) == 1, sentences
    assert not list(tmp_path.iterdir())


def test_settings_that_fit_pass(load: Load, tmp_path: Path) -> None:
    placement = preflight(load(), pairs=tmp_path, outputs=[tmp_path / "data"])
    assert placement is not None
    assert sorted(placement.splits) == [f"case_{number:05d}" for number in range(6)]


@pytest.fixture
def others(kits_folder: Path) -> Path:
    """Twelve cases with names of their own."""
    for case in sorted(kits_folder.iterdir()):
        case.rename(case.with_name(f"other_{case.name}"))
    return kits_folder


def test_scans_without_labels_are_enough_for_self_training(load: Load, others: Path) -> None:
    learns = (f"{REAL}, real+geometric+self_training]", "trial.segmenters=[light]")
    assert preflight(load(*learns, "trial.label_fractions=[0.5]")) is not None
    placement = preflight(load(*learns, f"acquire.unlabeled={others}"))
    assert placement is not None
    assert [*placement.splits.values()].count("unlabeled") == 12


def test_only_a_store_tells_of_a_version_on_a_remote(load: Load, pairs: Path) -> None:
    version = ("acquire.source=dvc", f"acquire.dvc={{remote: somewhere, version: {'0' * 32}.dir}}")
    assert preflight(load(*version)) is None
    placement = preflight(load(*version), pairs=pairs)
    assert placement is not None
    assert [*placement.splits.values()].count("train") == 3
    with pytest.raises(NephriteError, match="rounds to none"):
        preflight(load(*version, "trial.label_fractions=[0.01]"), pairs=pairs)


def test_a_folder_of_ones_own_is_counted(load: Load, kits_folder: Path) -> None:
    placement = place_patients(load("acquire.source=folder", f"acquire.folder.path={kits_folder}"))
    assert placement is not None
    assert len(placement.by_person) == 12
    with pytest.raises(SourceError, match="nowhere"):
        place_patients(load("acquire.source=folder", "acquire.folder.path=nowhere"))


@pytest.mark.parametrize("named", ["false", "true"])
def test_patients_with_several_scans_are_counted_once(load: Load, kits_folder: Path, named: str) -> None:
    folder = ("acquire.source=folder", f"acquire.folder.path={kits_folder}", f"acquire.pseudonyms={named}")
    placement = place_patients(load(*folder, r"acquire.patients.rule=case_0000([0-9])"))
    assert placement is not None
    assert len(placement.by_person) == 12  # 0 to 9, and two whose names have one digit more
    placement = place_patients(load(*folder, r"acquire.patients.rule=case_000[01]([0-9])"))
    assert placement is not None
    assert len(placement.by_person) == 10
    assert all(name.startswith("patient-") for name in placement.by_person) == (named == "true")


def test_kits19_is_counted_by_its_cases(load: Load) -> None:
    placement = place_patients(load("acquire.source=kits19", "acquire.kits19.last_case=19"))
    assert placement is not None
    assert sorted(placement.by_person) == [f"case_{number:05d}" for number in range(20)]


def test_patients_of_another_hospital_stand_apart(load: Load, others: Path, elsewhere: Path) -> None:
    placement = place_patients(load(f"acquire.external.path={others}"))
    assert placement is not None
    assert [*placement.by_person.values()].count("external") == 12
    assert len(placement.by_person) == 6 + 12
    assert [*stored_placement(elsewhere).by_person.values()].count("external") == 3


def test_a_patient_who_stands_in_two_groups_is_refused(load: Load, kits_folder: Path) -> None:
    with pytest.raises(SourceError, match="case_00000: is of 'case_00000', who stands among the labeled patients"):
        preflight(load(f"acquire.unlabeled={kits_folder}"))


def test_a_broken_store_is_named(pairs: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(pairs, tmp_path / "broken")
    (broken / "split.json").write_text("{")
    with pytest.raises(StoreError, match=r"split\.json"):
        stored_placement(broken)
