"""Trains a synthesizer on paired slices of the training patients."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nephrite import __version__
from nephrite.config import Config
from nephrite.dependencies import facts
from nephrite.errors import ConfigError, StoreError
from nephrite.files import write_json
from nephrite.generation.brought import BroughtSet, brought_samples, open_brought
from nephrite.generation.composing import composed_samples
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.demands import check_generators
from nephrite.generation.fitting import GenerationModule, fit_generator, training_of
from nephrite.generation.intensities import fit_intensities, fit_tissue
from nephrite.generation.kind import VolumeKind
from nephrite.generation.samples import FOLDER as SAMPLES
from nephrite.generation.samples import SampleSheets
from nephrite.generation.synthesizers import CARD, HISTORY, MODEL, WEIGHTS, SynthesizerCard, write_synthesizer
from nephrite.generation.whole_patients import fit_whole
from nephrite.imaging.sheet import Sample, write_sheet
from nephrite.programs.settings import program_digest
from nephrite.recording import Run, SilentRun, captions
from nephrite.seeds import derive_seed
from nephrite.store.class_presence import holders
from nephrite.store.lesion_free import demand_lesion_free
from nephrite.store.slices import LESION_FREE, PairStore, SliceRef
from nephrite.store.split import demand_unlabeled, training_subset, unlabeled_patients
from nephrite.training.checkpoints import resumable_folder
from nephrite.training.data import Pairs
from nephrite.training.devices import process_rank
from nephrite.training.pseudo_labels import blank_labels

SHEET = "drawn.png"  # of a kind that is not trained


class TrainingData(NamedTuple):
    """What a synthesizer learns from: slices of patients with labels, and patients whose scans it sees without."""

    store: PairStore
    labeled: list[str]
    slices: list[SliceRef]
    unlabeled: list[str]

    def pairs(self) -> Pairs:
        """Slices with their labels, then scans without; labels that the store may have of these are not read."""
        alone = blank_labels(self.store, self.unlabeled)
        return Pairs((self.store, self.slices), (alone, alone.slices()))


def train_gan(config: Config, run: Run, *, pairs: Path, synthesizer: Path) -> dict[str, float]:
    """Train a synthesizer on the training patients whose labels its cell knows, and on no one else's labels.

    Raises:
        StoreError: the store is missing, broken, or has no training slices.
        ConfigError: the settings do not fit the store; the label fraction leaves too few patients; or scans without
            labels are wanted, and there are none.
        NonFiniteLossError: a loss became NaN or infinite; nothing is kept.
    """
    seen, first = look(config, PairStore(pairs)), process_rank() == 0
    made, method = seen.store.manifest, config.train_gan[config.this_painter.synthesizer].method
    brought = open_brought(method, seen.store, seen.labeled)
    check_generators(config, [config.this_painter.synthesizer], made.size, made.classes)
    recorded = run if first else SilentRun()
    recorded.dataset(pairs, name="pairs", digest=seen.store.manifest.digest)
    with resumable_folder(synthesizer, "synthesizer", _fingerprint(config, seen, brought)) as folder:
        card = _describe(config, seen, run)
        if brought:
            recorded.tags(brought.facts)
            metrics = _show(recorded, seen, _of_set(card, brought), brought, folder)
        else:
            untrained = _learn if method.PAINTS_VOLUMES else _draw
            fit = _train if card.trained else untrained
            metrics = fit(config, recorded, seen, card, folder)
    for name in (CARD, WEIGHTS, MODEL):
        if (synthesizer / name).exists():
            recorded.artifact(synthesizer / name, folder=MODEL if name == MODEL else "")
    if (synthesizer / SAMPLES).is_dir():
        recorded.tags(captions({f"{SAMPLES}/": "label map, synthetic slice, real slice; twice in each row"}))
    counts = {"training_slices": len(seen.slices), "unlabeled_scans": len(seen.unlabeled)}
    return {**metrics, **{name: float(count) for name, count in counts.items()}}


def look(config: Config, store: PairStore) -> TrainingData:
    """The slices of the painter's patients, and whose scans it may see without labels.

    Raises:
        StoreError: there are no training slices.
        ConfigError: the label fraction leaves no patient; or scans without labels, or lesion-free ones, are wanted, and
            there are none.
    """
    # the labeled patients of this cell
    painter = config.this_painter
    labeled = training_subset(store.persons("train"), painter.fraction, cell=painter.cell, trial=config.trial)
    slices = store.slices_of(labeled)
    if not slices and painter.fraction:
        raise StoreError(store.root, "has no slices in the split 'train'", "raise 'prepare.split.train'")
    if config.train_gan[painter.synthesizer].method.lesion_free_share:
        demand_lesion_free(store, labeled, config.prepare.lesion_free, asker=f"painter {painter}")
    if not config.train_gan[painter.synthesizer].unlabeled:
        return TrainingData(store, labeled, slices, [])
    # scans without labels, if the generator wants them
    others = unlabeled_patients(store.splits, store.persons(), labeled)
    demand_unlabeled(others, f"train_gan.{painter.synthesizer}.unlabeled")
    return TrainingData(store, labeled, slices, others)


def _describe(config: Config, seen: TrainingData, run: Run) -> SynthesizerCard:
    """All that is known of the synthesizer before it is trained; it has no id yet."""
    # a generator of regions needs lesions
    name, classes = config.this_painter.synthesizer, seen.store.manifest.classes
    settings = config.train_gan[name]
    lesions = tuple(value for value, name in classes.items() if name in config.prepare.lesions)
    if settings.method.region_rim is not None:
        _check_lesions(f"train_gan.{name}.method.kind", settings.method.kind, seen, lesions)
    if settings.method.ADDS_LESIONS:
        _check_hosts(f"train_gan.{name}.method.kind", settings.method.kind, seen, config.prepare.lesion_values)
    # what is measured on training slices alone
    edges = fit_tissue(seen.store, seen.slices, settings.tissue) if settings.condition == "anatomy" else None
    conditioning = Conditioning(tuple(classes), edges, settings.tissue.smoothing)
    own = settings.method.programs
    return SynthesizerCard(
        id="",
        method=settings.method,
        condition=settings.condition,
        tissue_edges=edges,
        tissue_smoothing=settings.tissue.smoothing,
        classes=classes,
        lesions=lesions,
        intensities=fit_intensities(seen.store, seen.slices, conditioning),
        size=seen.store.manifest.size,
        training_patients=tuple(seen.labeled),
        unlabeled_patients=tuple(seen.unlabeled),
        pairs=seen.store.manifest.digest,
        run_id=run.id,
        version=__version__,
        inputs={"pairs": seen.store.manifest.digest, **({"program": program_digest(own)} if own else {})},
    )


def _check_lesions(place: str, kind: str, seen: TrainingData, lesions: Sequence[int]) -> None:
    """Refuse a generator that paints lesions alone where there are none to learn from."""
    if not lesions:
        finding = f"is '{kind}', but no class is a lesion"
        raise ConfigError(place, finding, "name the lesion's class in 'prepare.lesions'")
    if not holders(seen.store, seen.labeled, lesions):
        finding = f"is '{kind}', and none of the {len(seen.labeled)} training patients has a lesion to learn from"
        raise ConfigError(place, finding, "take a larger label fraction, or another method")


def _check_hosts(place: str, kind: str, seen: TrainingData, lesions: Mapping[int, int | None]) -> None:
    """Refuse a generator that puts lesions into slices where no class is a lesion, or no organ is there to hold one."""
    if not lesions:
        finding = f"is '{kind}', but no class is a lesion"
        raise ConfigError(place, finding, "name the lesion's class in 'prepare.lesions'")
    for organ in filter(None, lesions.values()):
        if not holders(seen.store, [*seen.labeled, *seen.store.patients(LESION_FREE)], [organ]):
            finding = f"is '{kind}', and no patient that it may see has '{seen.store.manifest.classes[organ]}'"
            raise ConfigError(place, finding, "take a larger label fraction, or another organ in 'prepare.lesions'")


def _train(config: Config, run: Run, seen: TrainingData, card: SynthesizerCard, folder: Path) -> dict[str, float]:
    module = _module(config, run, seen, card, folder)
    fit_generator(module, config.compute, folder=folder, run=run)
    if process_rank() == 0:
        write_json(folder / HISTORY, module.history)
        write_synthesizer(folder, card, module.painter)
    return module.history[-1]


def _module(config: Config, run: Run, seen: TrainingData, card: SynthesizerCard, folder: Path) -> GenerationModule:
    # one seed per painter
    painter = config.this_painter
    settings, seed = config.train_gan[painter.synthesizer], derive_seed(config.trial.seed, "gan", painter)
    training = training_of(card.method)
    assert training is not None
    return training(
        settings,
        seen.pairs(),
        conditioning=card.conditioning,
        size=card.size,
        seed=seed,
        workers=config.compute.loader_workers,
        callbacks=[SampleSheets(seen.store, seen.slices, folder, run, every=settings.sample_every, seed=seed)],
    )


def _draw(config: Config, run: Run, seen: TrainingData, card: SynthesizerCard, folder: Path) -> dict[str, float]:
    """For a kind that is not trained: write the card, and a sheet of samples."""
    network = card.build()
    synthesizer = card.synthesizer(network)
    if card.method.COMPOSES:
        _write_samples(run, folder, composed_samples(config, seen.store, synthesizer, seen.labeled))
    else:
        SampleSheets(seen.store, seen.slices, folder, run, every=1, seed=0).write(synthesizer, SHEET)
    write_synthesizer(folder, card, network)
    return {}


def _learn(config: Config, run: Run, seen: TrainingData, card: SynthesizerCard, folder: Path) -> dict[str, float]:
    """For a kind that learns from whole patients by its own means: its model, the card, and a sheet of samples."""
    network = card.build()
    kind, seed = card.synthesizer(network).kind, derive_seed(config.trial.seed, "gan", config.this_painter)
    assert isinstance(kind, VolumeKind)
    started = time.perf_counter()
    samples = fit_whole(kind, seen.store, seen.labeled, folder, seed=seed)
    _write_samples(run, folder, samples)
    write_synthesizer(folder, card, network)
    return {"seconds": time.perf_counter() - started}


def _write_samples(run: Run, folder: Path, samples: Sequence[Sample]) -> None:
    (folder / SAMPLES).mkdir(exist_ok=True)
    write_sheet(folder / SAMPLES / SHEET, samples, across=2)
    run.artifact(folder / SAMPLES / SHEET, folder=SAMPLES)


def _of_set(card: SynthesizerCard, brought: BroughtSet) -> SynthesizerCard:
    """The card of a set that another program made: it knows whom that set derives from, and nobody else."""
    inputs = {**card.inputs, "brought": brought.store.manifest.digest}
    card = replace(card, training_patients=brought.patients, unlabeled_patients=brought.scans, inputs=inputs)
    return replace(card, intensities=(), condition="labels", tissue_edges=None)


def _show(run: Run, seen: TrainingData, card: SynthesizerCard, brought: BroughtSet, folder: Path) -> dict[str, float]:
    """For slices that another program made: write the card, and a sheet of samples."""
    _write_samples(run, folder, brought_samples(brought, seen.store, seen.labeled))
    write_synthesizer(folder, card, card.build())
    counts = {"fakes": len(brought.store.patients()), "fakes_that_show_patients": len(brought.record.shows)}
    return {name: float(count) for name, count in counts.items()}


def _fingerprint(config: Config, seen: TrainingData, brought: BroughtSet | None) -> dict[str, object]:
    """Everything that the weights depend on."""
    return {
        **({"brought": brought.store.manifest.digest} if brought else {}),
        **facts(config, "train_gan"),
        "patients": [seen.labeled, seen.unlabeled],
        "pairs": seen.store.manifest.digest,
    }
