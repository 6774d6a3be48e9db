"""The stage paints as many slices as asked for, from training patients alone, each with its provenance."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite.config import IGNORED, Config
from nephrite.errors import ConfigError, LeakageError, StoreError
from nephrite.files import read_json
from nephrite.generation.book import EDITS, OVERLAP
from nephrite.generation.conditioning import Request
from nephrite.generation.intensities import Intensity
from nephrite.generation.kinds.paint_in import PaintInSettings
from nephrite.generation.kinds.pix2pix import Pix2PixSettings
from nephrite.generation.kinds.randomized import RandomizedSettings
from nephrite.generation.kinds.spade import SpadeSettings
from nephrite.generation.requests import Asked, Style
from nephrite.generation.source_slices import Pass
from nephrite.generation.synthesizers import SynthesizerCard, read_synthesizer
from nephrite.generation.synthesizers import write_synthesizer as write_whole
from nephrite.recording import SilentRun
from nephrite.segmentation.in_process.family import TrainedNetwork
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.stages.synthesize import LoadedGenerator, _provenance, synthesize
from nephrite.stages.train_gan import train_gan
from nephrite.store.persons import alone
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.split import training_subset
from nephrite.store.synthetic_names import source_of
from nephrite.training.leakage import check_synthetic
from tests.conftest import CHANNELS, hash_again

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
    "randomized": replace(CARD, method=RandomizedSettings(kind="randomized", spread=0.1)),
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
    synthesize(config, SilentRun(), pairs=pairs, synthesizer=synthesizer, painted=target)
    return PairStore(target)


def images(store: PairStore) -> np.ndarray:
    return np.concatenate([store.image(patient) for patient in store.patients()])


@pytest.mark.parametrize(("ratio", "expected"), [(0.3, 5), (1.0, 18), (1.5, 27)])
def test_ratio_of_the_training_slices_is_painted(
    load: Load, pairs: Path, synthesizer: Path, ratio: float, expected: int
) -> None:
    config, out = load(f"synthesize.ratio={ratio}"), pairs.with_name("out")
    metrics = synthesize(config, SilentRun(), pairs=pairs, synthesizer=synthesizer, painted=out)
    assert len(PairStore(out).slices("train")) == metrics["slices"] == expected
    assert metrics["slices_per_second"] > 0


def test_provenance_is_complete_and_labels_are_the_sources(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    real, store = PairStore(pairs), painted(load("synthesize.ratio=1.5"), pairs, synthesizer, tmp_path / "out")
    sources = Counter(source_of(patient) for patient in store.patients())
    assert sources == {"a1": 2, "a2": 2, "a3": 2}
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert source_of(patient) == provenance.source_patient
        assert np.array_equal(
            store.label(patient), real.label(provenance.source_patient)[list(provenance.source_slices)]
        )
        assert provenance.deformation_seeds == (None,) * len(store.image(patient))
        assert provenance.training_patients == CARD.training_patients


def test_provenance_names_patients_whose_labels_the_painter_knows_though_none_of_their_masks_is_painted(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    few = write_synthesizer(tmp_path / "few", replace(CARD, training_patients=("a1",)))
    store = painted(load("synthesize.ratio=0.3"), pairs, few, tmp_path / "out")
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert provenance.training_patients == ("a1", "a2", "a3")  # new masks may be fitted to all of them
        assert provenance.unlabeled_patients == ()


def test_provenance_names_scans_that_the_synthesizer_knows_though_none_is_painted(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    config = load("trial.label_fractions=[0.67]", "synthesize.unlabeled=0")
    known = training_subset(alone(["a1", "a2", "a3"]), 0.67, cell=0, trial=config.trial)
    (unknown,) = {"a1", "a2", "a3"} - set(known)
    card = replace(CARD, training_patients=tuple(known), unlabeled_patients=(unknown,))
    store = painted(config, pairs, write_synthesizer(tmp_path / "few", card), tmp_path / "out")
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert (provenance.training_patients, provenance.unlabeled_patients) == (tuple(known), (unknown,))


def test_provenance_names_patients_of_the_synthesizer_that_its_cell_would_not_know(tmp_path: Path) -> None:
    card, synthesizer = read_synthesizer(
        write_synthesizer(tmp_path / "s", replace(CARD, training_patients=("a1", "z"), unlabeled_patients=("y",)))
    )
    painter = LoadedGenerator(tmp_path / "s", card, synthesizer, ["a1", "a2"], settings="", seed=0, batch_size=4)
    label = np.zeros((2, 32, 32), np.uint8)
    found = _provenance(painter, Asked(Pass("a2", 1, (0, 3)), Request(label), style=Style("x", (1, 1))))
    assert (found.training_patients, found.unlabeled_patients) == (("a1", "a2", "z"), ("x", "y"))
    assert found.patients == {"a1", "a2", "z"}
    scan = _provenance(painter, Asked(Pass("w", 1, (0, 3)), Request(label), seed=5, labeled=False))
    assert (scan.training_patients, scan.unlabeled_patients) == (("a1", "a2", "z"), ("w", "y"))
    assert scan.patients == {"a1", "a2", "z"}


def test_store_passes_the_guard_of_the_segmenters(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    store = painted(load(), pairs, synthesizer, tmp_path / "out")
    assert (
        check_synthetic(store, PairStore(pairs), CARD.training_patients)
        == read_json(synthesizer / "synthesizer.json")["id"]
    )


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
    hash_again(pairs)
    store = painted(load("synthesize.ratio=1.0"), pairs, synthesizer, tmp_path / "out")
    shifted, usual = store.image("synthetic-a2"), store.image("synthetic-a1")
    assert 1000 <= shifted.min() < shifted.max() <= 1100
    assert -200 <= usual.min() < -50 < 50 < usual.max() <= 200
    assert store.patient("synthetic-a2").window == (1000, 1100)


def test_a_mask_that_is_painted_twice_comes_out_different(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    store = painted(load("synthesize.ratio=2.0"), pairs, synthesizer, tmp_path / "out")
    first, second = ("synthetic-a1", "synthetic-a1~2")
    assert np.array_equal(store.label(first), store.label(second))
    assert not np.array_equal(store.image(first), store.image(second))


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
    with pytest.raises(LeakageError, match=r"knows 1 patients outside the 3 training patients of .*, e\.g\. b1"):
        painted(load(), pairs, leaky, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("change", [{"size": 64}, {"classes": {1: "liver"}}])
def test_synthesizer_of_other_classes_or_size_is_refused(
    load: Load, pairs: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    other = write_synthesizer(tmp_path / "other", replace(CARD, **change))  # type: ignore[arg-type] # by parameter
    with pytest.raises(StoreError, match=r"paints classes .* px, but .* has .* at 32 px"):
        painted(load(), pairs, other, tmp_path / "out")


NEW = ("synthesize.masks=new", "synthesize.ratio=1.0", "synthesize.edits.added=2")


def table(store: PairStore, name: str) -> list[dict[str, str]]:
    with (store.root / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_masks_as_they_are_overlap_wholly_with_their_own_source(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    store = painted(load("synthesize.ratio=1.5"), pairs, synthesizer, tmp_path / "out")
    rows = table(store, OVERLAP)
    assert len(rows) == 27
    assert all(float(row["dice"]) == 1 and row["nearest_patient"] == source_of(row["patient"]) for row in rows)
    assert table(store, EDITS) == []


def test_new_masks_are_unlike_any_training_mask_and_say_how_they_were_made(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    store, real = painted(load(*NEW), pairs, synthesizer, tmp_path / "out"), PairStore(pairs)
    provenance = store.patient("synthetic-a1").provenance
    assert provenance is not None
    assert len(set(provenance.deformation_seeds)) == 1
    assert None not in provenance.deformation_seeds
    assert not np.array_equal(store.label("synthetic-a1"), real.label("a1"))
    dice = [float(row["dice"]) for row in table(store, OVERLAP)]
    assert len(dice) == 18
    assert 0 < min(dice) < 0.95
    edits = table(store, EDITS)
    assert {row["class"] for row in edits} == {"tumor"}
    assert "added" in {row["action"] for row in edits}


def test_two_passes_over_a_patient_make_two_new_patients(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    store = painted(load(*NEW, "synthesize.ratio=2"), pairs, synthesizer, tmp_path / "out")
    assert not np.array_equal(store.label("synthetic-a1"), store.label("synthetic-a1~2"))
    assert check_synthetic(store, PairStore(pairs), CARD.training_patients)


def test_another_cell_paints_other_slices_of_its_own_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    several = ("trial.cells=[0, 1]", "trial.label_fractions=[0.67]")
    for cell in (0, 1):
        config = load(*NEW, *several, f"painter=pix2pix/0.67/{cell}")
        known = training_subset(alone(["a1", "a2", "a3"]), 0.67, cell=cell, trial=config.trial)
        root = write_synthesizer(tmp_path / f"synthesizer{cell}", replace(CARD, training_patients=tuple(known)))
        store = painted(config, pairs, root, tmp_path / f"out{cell}")
        assert {source_of(patient) for patient in store.patients()} == set(known)
    first, second = (images(PairStore(tmp_path / f"out{cell}")) for cell in (0, 1))
    assert not np.array_equal(first, second)


def test_synthesizer_of_a_larger_fraction_is_refused(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    config = load("trial.label_fractions=[0.67]")
    with pytest.raises(LeakageError, match="outside the 2 training patients"):
        painted(config, pairs, synthesizer, tmp_path / "out")


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("style", ["own", "other"])
def test_every_kind_paints_new_masks_in_any_style(
    load: Load, pairs: Path, tmp_path: Path, kind: str, style: str
) -> None:
    root = write_synthesizer(tmp_path / kind, OTHERS[kind])
    store = painted(load(*NEW, f"synthesize.style={style}"), pairs, root, tmp_path / "out")
    provenance = store.patient("synthetic-a1").provenance
    assert provenance is not None
    assert (provenance.style_patient in ("a2", "a3")) == (kind == "spade" and style == "other")
    assert len(provenance.style_slices) == (6 if provenance.style_patient else 0)


def test_paint_in_keeps_the_deformed_background(load: Load, pairs: Path, tmp_path: Path) -> None:
    root = write_synthesizer(tmp_path / "paint_in", OTHERS["paint_in"])
    store = painted(load(*NEW), pairs, root, tmp_path / "out")
    image, label = store.image("synthetic-a1"), store.label("synthetic-a1")
    assert image[label == 0].mean() == pytest.approx(-50, abs=15)  # as in the source
    assert image[label == 1].mean() > 0


def test_changed_settings_change_the_store_even_where_the_seeds_are_the_same(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    first = painted(load(*NEW), pairs, synthesizer, tmp_path / "first")
    other = painted(load(*NEW, "synthesize.deformation.strength=0.05"), pairs, synthesizer, tmp_path / "other")
    assert first.manifest.digest != other.manifest.digest


def test_new_masks_do_not_depend_on_the_batch_size(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    large = painted(load(*NEW), pairs, synthesizer, tmp_path / "large")
    small = painted(load(*NEW, "synthesize.batch_size=4"), pairs, synthesizer, tmp_path / "small")
    assert all(np.array_equal(large.label(patient), small.label(patient)) for patient in large.patients())
    assert np.abs(images(large).astype(int) - images(small)).max() <= 1  # rounding
    assert large.manifest.digest == small.manifest.digest


ALONE = (  # one class, which lies anywhere; two of three training patients are known
    "prepare.classes={1: nodule}",
    "prepare.channels={nodule: [1]}",
    "prepare.lesions={nodule: null}",
    "evaluate.regions={nodule: {labels: [1], tolerance: 1}}",
    "trial.primary=nodule",
    "trial.label_fractions=[0.67]",
    "synthesize.unlabeled=0.5",
    "synthesize.ratio=2",
    "synthesize.edits.sizes={tiny: 1, small: 1}",
)


LABELER = "synthesize.labeler={segmenter: light, steps: 2}"


class Bright(Segmenter):
    """A segmenter for which bright pixels are kidney, and nothing is a tumor."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Identity(), int)
        self.sure = torch.nn.Parameter(torch.tensor(100.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        kidney = torch.where(image > 0.5, self.sure, -self.sure)
        return torch.cat([kidney, -self.sure.expand_as(image)], dim=1)


def knowing(network: Segmenter) -> TrainedNetwork:
    """As if it had been trained."""
    unet = UNetSettings(kind="unet", base_width=4, depth=1, padding="same", normalization="batch")
    return TrainedNetwork(backend=UNetBackend(unet), channels=CHANNELS, threshold=0.5, network=network.eval())


@pytest.fixture
def nodules(pairs: Path) -> Path:
    """The same store, of which every labeled pixel is a nodule."""
    for path in pairs.glob("patients/*/label.npy"):
        np.save(path, (np.load(path) > 0).astype(np.uint8))
    manifest = pairs / "store.json"
    content = json.loads(manifest.read_text()) | {"classes": {"1": "nodule"}, "channels": {"nodule": [1]}}
    manifest.write_text(json.dumps(content))
    lines = [line.rsplit(",", 1)[0] for line in (pairs / "index.csv").read_text().splitlines()]
    (pairs / "index.csv").write_text("\n".join(lines).replace("kidney", "nodule"))
    hash_again(pairs)
    return pairs


def write_nodule_synthesizer(config: Config, root: Path, card: SynthesizerCard = CARD) -> tuple[str, Path]:
    """That of the two known patients, and the name of the third."""
    known = training_subset(alone(["a1", "a2", "a3"]), 0.67, cell=0, trial=config.trial)
    (unknown,) = {"a1", "a2", "a3"} - set(known)
    few = {"classes": {1: "nodule"}, "lesions": (1,), "training_patients": tuple(known)}
    return unknown, write_synthesizer(root, replace(card, **few, intensities=card.intensities[:-1]))  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("masks", ["as_they_are", "new"])
@pytest.mark.parametrize("kind", ["pix2pix", "paint_in", "spade"])
def test_lesions_are_put_into_scans_whose_labels_are_never_read(
    load: Load, nodules: Path, tmp_path: Path, kind: str, masks: str
) -> None:
    config = load(*ALONE, f"synthesize.masks={masks}", "synthesize.style=other")
    unknown, root = write_nodule_synthesizer(config, tmp_path / kind, ({"pix2pix": CARD} | OTHERS)[kind])
    (nodules / "patients" / unknown / "label.npy").write_bytes(b"not read")
    hash_again(nodules)
    store = painted(config, nodules, root, tmp_path / "out")
    assert len(store.slices()) == 24
    alone = [patient for patient in store.patients() if source_of(patient) == unknown]
    assert sum(len(store.image(patient)) for patient in alone) == 12
    assert all(store.label(patient).any((1, 2)).all() for patient in alone)
    for patient in alone:
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert not provenance.source_labels
        assert provenance.unlabeled_patients == (unknown,)
        assert unknown not in provenance.patients
    known = {"a1", "a2", "a3"} - {unknown}
    assert check_synthetic(store, PairStore(nodules), known)


def test_labeler_knows_the_painters_patients_alone_and_its_labels_are_painted(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: set[str] = set()

    def fit(config: Config, store: PairStore, patients: list[str], folder: Path, **_: object) -> TrainedNetwork:
        taught.update(patients)
        return knowing(Bright())

    monkeypatch.setattr("nephrite.stages.synthesize.fit_helper", fit)
    config = load("synthesize.unlabeled=0.5", "trial.label_fractions=[0.67]", LABELER)
    known = training_subset(alone(["a1", "a2", "a3"]), 0.67, cell=0, trial=config.trial)
    (unknown,) = {"a1", "a2", "a3"} - set(known)
    root = write_synthesizer(tmp_path / "few", replace(CARD, training_patients=tuple(known)))
    (pairs / "patients" / unknown / "label.npy").write_bytes(b"not read")
    hash_again(pairs)
    store, real = painted(config, pairs, root, tmp_path / "out"), PairStore(pairs)
    (patient,) = (patient for patient in store.patients() if source_of(patient) == unknown)
    provenance = store.patient(patient).provenance
    assert provenance is not None
    assert not provenance.source_labels
    bright = np.stack([real.windowed(SliceRef(unknown, place)) > 0.5 for place in provenance.source_slices])
    assert np.array_equal(store.label(patient) == 1, bright)
    assert taught == set(known)


def test_labeler_that_finds_nothing_leaves_the_masks_to_be_painted(
    load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nephrite.stages.synthesize.fit_helper", lambda *_args, **_named: knowing(Bright()))
    monkeypatch.setattr(Bright, "forward", lambda self, image: -self.sure.abs().expand(len(image), 2, *image.shape[2:]))
    config = load("synthesize.unlabeled=0.5", "trial.label_fractions=[0.67]", LABELER)
    known = training_subset(alone(["a1", "a2", "a3"]), 0.67, cell=0, trial=config.trial)
    root = write_synthesizer(tmp_path / "few", replace(CARD, training_patients=tuple(known)))
    store = painted(config, pairs, root, tmp_path / "out")
    assert {source_of(patient) for patient in store.patients()} == set(known)
    assert len(store.slices()) == round(config.synthesize.ratio * 12)
    assert "a segmenter of 2 patients found no class in 1 scan without labels" in caplog.text


def test_scans_without_labels_need_lesions_of_any_place(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    root = write_synthesizer(tmp_path / "few", replace(CARD, training_patients=()))
    with pytest.raises(ConfigError, match=r"synthesize\.unlabeled: is above 0, but a scan's own 'kidney' is not known"):
        painted(load("synthesize.unlabeled=0.5", "trial.label_fractions=[0.67]"), pairs, root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ratio_that_rounds_to_nothing_is_refused(load: Load, pairs: Path, synthesizer: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"synthesize.ratio: 0.01 of 18 training slices rounds to none"):
        painted(load("synthesize.ratio=0.01"), pairs, synthesizer, tmp_path / "out")


def test_one_slice_patients_and_empty_masks_are_painted(
    load: Load, pairs: Path, synthesizer: Path, tmp_path: Path
) -> None:
    for name in ("image", "label"):
        path = pairs / "patients" / "a3" / f"{name}.npy"
        np.save(path, np.load(path)[-1:])  # the empty one
    rows = (pairs / "index.csv").read_text().splitlines()
    rows = [row for row in rows if not row.startswith("a3")] + ["a3,0,train,0,0"]
    (pairs / "index.csv").write_text("\n".join(rows))
    hash_again(pairs)
    store = painted(load(*NEW), pairs, synthesizer, tmp_path / "out")
    assert store.image("synthetic-a3").shape == (1, 32, 32)
    assert len(store.slices()) == 13


PAINTER = (
    "train_gan.pix2pix.method={kind: lesion_painter, slices: apart, sizes: [{radius: [1.5, 2.5]}], host: bright%s}"
)
ANYWHERE = ("prepare.lesions={kidney: null, tumor: null}", "prepare.lesion_free={training_patients: true, margin: 1}")


def composed(config: Config, pairs: Path, target: Path) -> PairStore:
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=target / "synthesizer")
    return painted(config, pairs, target / "synthesizer", target / "out")


def test_lesion_painter_puts_lesions_into_slices_of_labeled_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(PAINTER % ", outgrowth: 0.6, step_of: window", "synthesize.ratio=2")
    store, real = composed(config, pairs, tmp_path), PairStore(pairs)
    assert len(store.slices()) == 36
    assert (tmp_path / "synthesizer" / "samples" / "drawn.png").is_file()
    new = 0
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert (provenance.source_labels, provenance.lesion_free, provenance.unlabeled_patients) == (True, False, ())
        assert None not in provenance.deformation_seeds
        truth = real.label(source_of(patient))[list(provenance.source_slices)]
        new += int((store.label(patient) != truth).sum())
        changed = store.image(patient) != real.image(source_of(patient))[list(provenance.source_slices)]
        assert changed.mean() < 0.5
    assert new > 50
    with (tmp_path / "out" / EDITS).open() as file:
        assert {row["action"] for row in csv.DictReader(file)} == {"added"}


def test_lesion_painter_paints_on_the_scans_of_other_training_patients(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(PAINTER % ", lesion_free: 1.0", *ANYWHERE, "trial.label_fractions=[0.34]", "synthesize.ratio=2")
    store, real = composed(config, pairs, tmp_path), PairStore(pairs)
    known = training_subset(alone(["a1", "a2", "a3"]), 0.34, cell=0, trial=config.trial)
    assert len(store.slices()) == 12
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        assert provenance.source_patient not in known
        assert provenance.unlabeled_patients == (provenance.source_patient,)
        assert provenance.lesion_free
        truth = real.label(source_of(patient))[list(provenance.source_slices)]
        assert (store.label(patient)[truth > 0] == IGNORED).all()
        assert np.isin(store.label(patient), [1, 2]).any((1, 2)).all()
    assert check_synthetic(store, real, known)  # an arm of the same cell may see them


def test_lesion_painter_without_lesion_free_scans_says_what_to_do(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load(PAINTER % ", lesion_free: 0.5")
    with pytest.raises(ConfigError, match=r"painter pix2pix/1\.0/0: needs lesion-free scans, and there are none; name"):
        composed(config, pairs, tmp_path)
    assert not (tmp_path / "synthesizer").exists()


def test_recontrast_keeps_labels_and_changes_all_slices_of_a_patient(load: Load, pairs: Path, tmp_path: Path) -> None:
    store = composed(load("train_gan.pix2pix.method={kind: recontrast}", "synthesize.ratio=1"), pairs, tmp_path)
    real = PairStore(pairs)
    for patient in store.patients():
        provenance = store.patient(patient).provenance
        assert provenance is not None
        source, slices = source_of(patient), list(provenance.source_slices)
        assert np.array_equal(store.label(patient), real.label(source)[slices])
        assert np.corrcoef(store.image(patient).ravel(), real.image(source)[slices].ravel())[0, 1] > 0.5
        assert not np.array_equal(store.image(patient), real.image(source)[slices])
