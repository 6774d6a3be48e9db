"""A set goes through the leakage guard and becomes a painter's slices, as they are."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError, LeakageError, StoreError
from nephrite.files import write_json
from nephrite.generation.book import OVERLAP
from nephrite.generation.brought import brought_samples, choose_brought, open_brought
from nephrite.generation.kinds.folder import FolderSettings
from nephrite.generation.synthesizers import CARD, read_synthesizer_card
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import read_card
from nephrite.stages.screen import screen
from nephrite.stages.synthesize import synthesize
from nephrite.stages.train_gan import train_gan
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.brought.origin import FILE, ForeignRecord
from nephrite.store.brought.sets import set_folder
from nephrite.store.slices import PairStore, Patient, Provenance, finish_synthetic, write_patient
from tests.conftest import write_pair
from tests.foreign_sets import ARMS, maisi

Load = Callable[..., Config]
LABELED = ["a1", "a2", "a3"]
METHOD = FolderSettings(kind="folder", source="maisi")
ROOM = "screen={segmenter: light, steps: 2, filter: report}"


def write_set(pairs: Path, *, fakes: int = 3, unverifiable: bool = False, **provenance: object) -> PairStore:
    """The store of a set, as `prepare` writes it."""
    root, names = set_folder(pairs, "maisi"), [f"synthetic-maisi.{number}" for number in range(fakes)]
    for number, name in enumerate(names):
        told = {"source_patient": None, "training_patients": (), **provenance}
        known = Provenance(
            source_slices=tuple(range(6)), deformation_seeds=(None,) * 6, synthesizer="brought",
            brought="maisi", unverifiable=unverifiable, **told,  # type: ignore[arg-type] # by name
        )  # fmt: skip
        write_pair(root, Patient(name, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=known), 60 + number)
    standing = "unverifiable" if unverifiable else "clean"
    record = ForeignRecord("maisi", "ellipses", "1", "CC0", standing, (), (), (), {})  # type: ignore[arg-type] # one of three
    write_json(root / FILE, record.__dict__)
    finish_synthetic(root, names, PairStore(pairs).manifest, version="test", inputs={}, tables=[FILE])
    return PairStore(root)


def settings(load: Load, pairs: Path, *overrides: str) -> Config:
    small = (
        "train_segmenter.epochs=1",
        "train_segmenter.steps_per_epoch=2",
        "synthesize.labeled_only=true",
        "synthesize.ratio=4",
    )
    return load(maisi(pairs), *ARMS, ROOM, *small, *overrides)


def test_a_painter_that_paints_has_no_set(load: Load, pairs: Path) -> None:
    assert open_brought(load().train_gan["pix2pix"].method, PairStore(pairs), LABELED) is None


def test_a_set_that_was_not_prepared_is_told(pairs: Path) -> None:
    with pytest.raises(StoreError, match="run 'acquire' and 'prepare' again"):
        open_brought(METHOD, PairStore(pairs), LABELED)


def test_a_cell_that_does_not_know_whom_a_set_derives_from_is_refused(pairs: Path) -> None:
    write_set(pairs, training_patients=("a2",))
    store = PairStore(pairs)
    found = open_brought(METHOD, store, LABELED)
    assert found is not None
    assert (found.patients, found.scans) == (("a2",), ())
    with pytest.raises(LeakageError, match=r"know patient a2 outside .* leave fakes that know them out of"):
        open_brought(METHOD, store, ["a1", "a3"])


def test_a_source_whose_labels_the_cell_does_not_know_is_refused(pairs: Path) -> None:
    write_set(pairs, source_patient="a3", training_patients=("a3",))
    with pytest.raises(LeakageError, match="know patient a3"):
        open_brought(METHOD, PairStore(pairs), ["a1", "a2"])


def test_doubts_are_warned_of_and_facts_told(pairs: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_set(pairs, unverifiable=True)
    with caplog.at_level(logging.WARNING):
        found = open_brought(METHOD, PairStore(pairs), LABELED)
    assert found is not None
    assert "provenance is unverifiable" in caplog.text
    told = {"provenance": "unverifiable", "generator": "ellipses", "generator_version": "1", "license": "CC0"}
    assert found.facts == told


def test_the_ratio_is_the_most_that_is_taken_and_every_cell_gets_the_same(load: Load, pairs: Path) -> None:
    write_set(pairs)
    store = PairStore(pairs)

    def chosen(*overrides: str) -> list[tuple[str, list[int]]]:
        config = settings(load, pairs, *overrides)
        found = open_brought(METHOD, store, LABELED)
        assert found is not None
        return choose_brought(config, found, store, LABELED)

    everything = [(f"synthetic-maisi.{number}", [0, 1, 2, 3, 4]) for number in range(3)]  # the last slice has no class
    assert chosen("synthesize.ratio=4") == everything
    assert chosen("synthesize.ratio=4", "synthesize.labeled_only=false")[0][1] == [0, 1, 2, 3, 4, 5]
    some = chosen("synthesize.ratio=0.4", "trial.cells=[0, 1]", "painter=maisi/1.0/0")
    assert sum(len(positions) for _, positions in some) == 7
    assert some == chosen("synthesize.ratio=0.4", "trial.cells=[0, 1]", "painter=maisi/1.0/1")


def test_a_set_without_any_class_is_refused(load: Load, pairs: Path) -> None:
    store = write_set(pairs)
    for fake in store.patients():
        np.load(store.root / "patients" / fake / "label.npy", mmap_mode="r+")[:] = 0
    manifest = PairStore(pairs).manifest
    finish_synthetic(store.root, store.patients(), manifest, version="test", inputs={}, tables=[FILE])
    config, real = settings(load, pairs), PairStore(pairs)
    found = open_brought(METHOD, real, LABELED)
    assert found is not None
    assert len(brought_samples(found, real, LABELED)) == 8
    with pytest.raises(ConfigError, match="leaves no slice of the set 'maisi'"):
        choose_brought(config, found, real, LABELED)


@pytest.mark.parametrize("unverifiable", [False, True])
def test_a_set_goes_through_all_stages_as_any_painters_slices(
    load: Load, pairs: Path, tmp_path: Path, *, unverifiable: bool
) -> None:
    fakes = write_set(pairs, unverifiable=unverifiable, training_patients=("a1",))
    config = settings(load, pairs, "arm=real+maisi/light/1.0/0")
    places = {name: tmp_path / name for name in ("synthesizer", "painted", "synthetic", "segmenter")}
    metrics = train_gan(config, SilentRun(), pairs=pairs, synthesizer=places["synthesizer"])
    assert (metrics["fakes"], metrics["fakes_that_show_patients"]) == (3, 0)
    card = read_synthesizer_card(places["synthesizer"])
    assert (card.training_patients, card.unlabeled_patients, card.intensities) == (("a1",), (), ())
    assert card.inputs["brought"] == fakes.manifest.digest
    assert len(list((places["synthesizer"] / "samples").glob("*.png"))) == 1
    # synthesize: as they are
    synthesize(config, SilentRun(), pairs=pairs, synthesizer=places["synthesizer"], painted=places["painted"])
    painted = PairStore(places["painted"])
    assert painted.patients() == fakes.patients()
    for name in painted.patients():
        assert np.array_equal(painted.image(name), fakes.image(name)[:5])
        assert np.array_equal(painted.label(name), fakes.label(name)[:5])
    known = painted.patient(painted.patients()[0]).provenance
    assert known is not None
    assert (known.synthesizer, known.source_slices, known.brought) == (card.id, (0, 1, 2, 3, 4), "maisi")
    with (places["painted"] / OVERLAP).open() as file:
        assert {row["nearest_patient"] for row in csv.DictReader(file)} <= set(LABELED)
    # screen and train
    screen(config, SilentRun(), pairs=pairs, painted=places["painted"], synthetic=places["synthetic"])
    paths = {"pairs": pairs, "segmenter": places["segmenter"], "synthetic": places["synthetic"]}
    assert train_segmenter(config, SilentRun(), **paths)["training_slices"] == 18 + 15
    trained = read_card(places["segmenter"])
    assert trained.unverifiable == (("maisi",) if unverifiable else ())
    assert (trained.objection is None) is not unverifiable


def test_a_set_that_was_prepared_anew_needs_a_new_card(load: Load, pairs: Path, tmp_path: Path) -> None:
    store = write_set(pairs)
    config = settings(load, pairs)
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / "synthesizer")
    write_patient(store.root, Patient("synthetic-maisi.0", (5.0, 2.0, 2.0), "IPL", (-200.0, 200.0),
                                      provenance=store.patient("synthetic-maisi.0").provenance))  # fmt: skip
    manifest = PairStore(pairs).manifest
    finish_synthetic(store.root, store.patients(), manifest, version="test", inputs={}, tables=[FILE])
    with pytest.raises(StoreError, match="is not the set that the synthesizer was made of; run 'train_gan' again"):
        synthesize(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / "synthesizer", painted=tmp_path / "painted")
    assert (tmp_path / "synthesizer" / CARD).is_file()
    assert not (tmp_path / "painted").exists()


def test_copies_of_a_training_patient_are_found_by_the_memorization_gate(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    store = write_set(pairs, source_patient="a1", training_patients=("a1",))
    real = PairStore(pairs)
    for fake in store.patients()[:1]:
        np.load(store.root / "patients" / fake / "image.npy", mmap_mode="r+")[:] = real.image("a1")
    finish_synthetic(store.root, store.patients(), real.manifest, version="test", inputs={}, tables=[FILE])
    config = settings(load, pairs)
    places = {name: tmp_path / name for name in ("synthesizer", "painted", "synthetic")}
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=places["synthesizer"])
    synthesize(config, SilentRun(), pairs=pairs, synthesizer=places["synthesizer"], painted=places["painted"])
    metrics = screen(config, SilentRun(), pairs=pairs, painted=places["painted"], synthetic=places["synthetic"])
    assert metrics["memorized_share"] == pytest.approx(5 / 15, abs=0.14)  # validation slices allow a few more
    with (places["synthetic"] / "screening.csv").open() as file:
        copied = {(row["patient"], row["nearest_patient"]) for row in csv.DictReader(file)}
    assert ("synthetic-maisi.0", "a1") in copied
