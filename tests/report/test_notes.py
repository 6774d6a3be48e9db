from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from nephrite.config import Config
from nephrite.report.notes import (
    absence_notes,
    all_rejected,
    doubtful_sets,
    loss_notes,
    seed_notes,
    spacing_notes,
    synthetic_notes,
    synthetic_stores,
)
from nephrite.store.slices import Patient, Provenance
from tests.conftest import SPLITS, finish, write_pair, write_synthetic
from tests.foreign_sets import maisi

Load = Callable[..., Config]


def test_classes_that_all_training_patients_have_need_no_note(load: Load, pairs: Path) -> None:
    assert absence_notes(load(), pairs) == []


def test_what_vanished_on_the_grid_is_said_of_the_judged_patients(load: Load, tmp_path: Path) -> None:
    for number, patient in enumerate(SPLITS):
        volumes = {"tumor": (50.0, 0.0)} if SPLITS[patient] == "validation" else {}
        write_pair(tmp_path, Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), volumes=volumes), number)
    finish(tmp_path, "real", SPLITS)
    counted = "A region of a validation patient that vanished on the grid counts as missed by every arm: Dice 0."
    assert counted in loss_notes(load("trial.judged_on=validation"), tmp_path)
    assert not any("counts as missed" in note for note in loss_notes(load(), tmp_path))


def test_painters_without_a_slice_are_said_and_none_at_all_is_the_headline(load: Load, tmp_path: Path) -> None:
    config = load("trial.cells=[0, 1]")
    first, second = config.trial.painters
    write_synthetic(tmp_path / str(first), source="a1", known=("a1", "a2", "a3"))
    finish(tmp_path / str(second), "synthetic", {})
    assert synthetic_stores(config, tmp_path) == [tmp_path / str(first), tmp_path / str(second)]
    assert synthetic_notes(config, tmp_path)[0].startswith("Screening left 1 of 2 sets of synthetic slices empty")
    finish(tmp_path / "none" / str(first), "synthetic", {})
    finish(tmp_path / "none" / str(second), "synthetic", {})
    assert all_rejected(config, tmp_path) is None
    assert synthetic_notes(config, tmp_path / "none") == []
    told = all_rejected(config, tmp_path / "none")
    assert told is not None
    assert told.startswith("No answer: screening accepted no slice of any of 2 painters, so no arm has seen")


def test_a_segmenter_without_a_seed_is_named(load: Load) -> None:
    mine = "train_segmenter.segmenters.mine={kind: command, command: [perl], seeded: %s}"
    assert seed_notes(load(mine % "true", "trial.segmenters=[light, mine]")) == []
    (note,) = seed_notes(load(mine % "false", "trial.segmenters=[light, mine]"))
    assert note.startswith("Segmenter 'mine' is not seeded: ")


def test_sets_of_doubtful_slices_are_found_in_the_stores(load: Load, tmp_path: Path) -> None:
    config = load(
        maisi(tmp_path),
        "train_gan={maisi: {method: {kind: folder, source: maisi}}, other: {method: {kind: randomized}}}",
        "trial.training_sets.synthetic=[{name: real+a, synthesizer: other}, {name: real+b, synthesizer: maisi}]",
        *("trial.synthesizers=[maisi, other]", "trial.question=null"),
    )
    first, second = config.trial.painters
    write_synthetic(tmp_path / str(second), source="a1", known=("a1",))
    for unverifiable in (False, True):
        known = Provenance(None, (0,) * 6, (None,) * 6, "id", (), brought="maisi", unverifiable=unverifiable)
        shutil.rmtree(tmp_path / str(first), ignore_errors=True)
        fake = Patient("synthetic-x", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=known)
        write_pair(tmp_path / str(first), fake, 1)
        finish(tmp_path / str(first), "synthetic", {"synthetic-x": "train"})
        assert doubtful_sets(config, tmp_path) == (["real+b"] if unverifiable else [])


def test_what_a_nominal_spacing_leaves_out_is_told(load: Load) -> None:
    assert spacing_notes(load()) == []
    (note,) = spacing_notes(load("prepare.spacing=nominal"))
    assert "surface Dice and HD95, which are of millimeters, are left out" in note
