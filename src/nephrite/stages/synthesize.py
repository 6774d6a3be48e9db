"""Synthetic slices: masks of training patients, unchanged or edited, painted into a pair store with provenance.

Beside the store's own files lie the tables of `generation.book`. Slices of other programs are taken as they are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite import __version__
from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.files import digest, scratch_folder, whole_folder
from nephrite.generation.book import EDITS, OVERLAP, Book
from nephrite.generation.brought import BroughtSet, choose_brought, open_brought
from nephrite.generation.composing import ask_composer
from nephrite.generation.conditioning import join_requests
from nephrite.generation.kind import VolumeKind, check_painting
from nephrite.generation.requests import Asked, prepare_asker
from nephrite.generation.source_slices import Share, choose_passes, count_slices
from nephrite.generation.synthesizers import Synthesizer, SynthesizerCard, check_training_patients, read_synthesizer
from nephrite.generation.whole_patients import paint_whole
from nephrite.imaging.intensity import invert_window
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.seeds import derive_seed
from nephrite.segmentation.demands import check_segmenters, shape_of
from nephrite.segmentation.helper_segmenter import fit_helper, label_scans
from nephrite.store.arrays import create_arrays
from nephrite.store.slices import (
    PairStore,
    Provenance,
    finish_synthetic,
    write_patient,
)
from nephrite.store.split import training_subset, unlabeled_patients
from nephrite.store.synthetic_names import synthetic_name
from nephrite.training.devices import pick_device
from nephrite.training.pseudo_labels import found_somewhere
from nephrite.words import counted

logger = logging.getLogger(__name__)
EXPECTED = 4  # slices with a lesion in a run of a scan, for the progress bar
Work: TypeAlias = Callable[[Path, Book], None]
Fakes: TypeAlias = Float32[np.ndarray, "slice height width"]
Made: TypeAlias = tuple[Asked, Fakes]


class LoadedGenerator(NamedTuple):
    """A synthesizer, ready to paint.

    Attributes:
        root: its folder.
        card, synthesizer: as trained.
        labeled: training patients whose labels are known.
        settings: digest of the settings that masks are made with.
        seed: for all random draws; the synthesizers of a cell share it.
        batch_size: slices at a time.
    """

    root: Path
    card: SynthesizerCard
    synthesizer: Synthesizer
    labeled: list[str]
    settings: str
    seed: int
    batch_size: int


def synthesize(config: Config, run: Run, *, pairs: Path, synthesizer: Path, painted: Path) -> dict[str, float]:
    """Paint 'synthesize.ratio' slices per real slice of the training patients whose labels the painter's cell knows.

    Each pass over the slices of a source patient becomes one synthetic patient, with the source's window, spacing and
    orientation, and with its masks, or masks made of them, or new lesions alone in scans without labels. Of a set that
    another program made, no more slices are taken than that.

    Raises:
        StoreError: the store or the synthesizer is missing, broken, or they do not fit each other.
        LeakageError: the synthesizer was trained on a patient outside the cell's training set.
        ConfigError: the settings leave nothing to paint, or ask for what the training patients cannot give.
    """
    # check everything, then plan what to paint
    store = PairStore(pairs)
    generator = _open_generator(config, synthesizer, store)
    brought = open_brought(generator.card.method, store, generator.labeled)
    work = _take(config, store, generator, brought) if brought else _make(config, store, generator, painted)
    run.dataset(pairs, name="pairs", digest=store.manifest.digest)
    started = time.perf_counter()
    # paint and write patient by patient
    with whole_folder(painted, "painted") as root:
        book = Book(store, generator.labeled)
        work(root, book)
        book.write(root)
        inputs = {"pairs": store.manifest.digest, "synthesizer": generator.card.origin}
        tables = (OVERLAP, EDITS)
        manifest = finish_synthetic(
            root, book.patients, store.manifest, version=__version__, inputs=inputs, tables=tables
        )
    # record the result
    run.dataset(painted, name="painted", digest=manifest.digest)
    return {**book.metrics, "slices_per_second": len(book.overlaps) / (time.perf_counter() - started)}


def _make(config: Config, store: PairStore, generator: LoadedGenerator, painted: Path) -> Work:
    """What paints and writes, once all is checked."""
    made, count = _ask(config, store, generator, painted)

    def write(root: Path, book: Book) -> None:
        for asked, fakes in progress_bar(made, "synthesize", count):
            book.enter(_write_patient(root, generator, store, asked, fakes), asked)

    return write


def _take(config: Config, store: PairStore, generator: LoadedGenerator, brought: BroughtSet) -> Work:
    """The same for slices that another program made.

    Raises:
        StoreError: the set is not the one that the synthesizer's card was written for.
    """
    if generator.card.inputs.get("brought") != brought.store.manifest.digest:
        finding = "is not the set that the synthesizer was made of"
        raise StoreError(brought.store.root, finding, "run 'train_gan' again")
    chosen = choose_brought(config, brought, store, generator.labeled)

    def write(root: Path, book: Book) -> None:
        for fake, positions in progress_bar(chosen, "synthesize", len(chosen)):
            book.enter_brought(fake, _write_brought(root, generator, brought.store, fake, positions))

    return write


def _open_generator(config: Config, root: Path, store: PairStore) -> LoadedGenerator:
    # it must paint slices of this store
    card, synthesizer = read_synthesizer(root)
    found, expected = (card.classes, card.size), (store.manifest.classes, store.manifest.size)
    if found != expected:
        finding = f"paints classes {found[0]} at {found[1]} px, but {store.root} has {expected[0]} at {expected[1]} px"
        raise StoreError(root, finding, "run 'train_gan' on this store")
    # leakage guard, before anything is painted
    seed, cell = config.trial.seed, config.this_painter.cell
    labeled = training_subset(store.persons("train"), config.this_painter.fraction, cell=cell, trial=config.trial)
    check_training_patients(card, store, labeled, root)
    return LoadedGenerator(
        root,
        card,
        synthesizer.to(pick_device(config.compute)),
        labeled,
        digest([config.synthesize.model_dump(mode="json", exclude={"batch_size"}), config.prepare.lesions]),
        derive_seed(seed, "synthesize", cell),
        config.synthesize.batch_size,
    )


def _ask(config: Config, store: PairStore, generator: LoadedGenerator, painted: Path) -> tuple[Iterator[Made], int]:
    """What is painted when it is asked for, and roughly how many synthetic patients that makes."""
    if generator.card.method.COMPOSES:
        composed, count = ask_composer(config, store, generator.synthesizer, generator.labeled, generator.seed)
        return _paint(generator, composed), count
    check_painting(config, generator.card.method)
    # how many slices come from masks, how many from scans
    settings, scans = config.synthesize, unlabeled_patients(store.splits, store.persons(), generator.labeled)
    found = _label_scans(config, store, generator, scans, painted)
    share = count_slices(store, generator.labeled, settings.ratio, settings.unlabeled)
    if found is not None and not found_somewhere(found):
        knows, seen = counted(len(generator.labeled), "patient"), counted(len(scans), "scan")
        finding = f"a segmenter of {knows} found no class in {seen} without labels: all slices are painted from masks"
        logger.warning("synthesize %s: %s", config.this_painter, finding)
        share = Share(share.masks + share.scans, 0)
    # requests, made when they are painted
    asker = prepare_asker(
        store,
        generator.labeled,
        scans,
        found=found,
        conditioning=generator.synthesizer.conditioning,
        lesions=config.prepare.lesion_values,
        settings=settings,
        styled=generator.card.method.WEARS_STYLE,
        seed=generator.seed,
    )
    passes = choose_passes(
        store, generator.labeled, share.masks, labeled_only=settings.labeled_only, seed=generator.seed
    )
    if isinstance(kind := generator.synthesizer.kind, VolumeKind):
        return paint_whole(kind, generator.root, asker, passes, seed=generator.seed), len(passes)
    jobs = chain(map(asker.of_masks, passes), asker.of_scans(share.scans))
    return _paint(generator, jobs), len(passes) + share.scans // EXPECTED


def _label_scans(
    config: Config, store: PairStore, generator: LoadedGenerator, scans: Sequence[str], painted: Path
) -> Mapping[str, UInt8[np.ndarray, "slice height width"]] | None:
    """What a helper segmenter of the painter's patients finds in scans without labels; None if none is named."""
    settings = config.synthesize.scan_labeler
    if settings is None or not scans:
        return None
    check_segmenters(config, shape_of(store.manifest), others=[settings.segmenter])
    # a segmenter of the painter's own patients labels the scans
    with scratch_folder(painted) as folder:
        helper = fit_helper(
            config,
            store,
            generator.labeled,
            folder,
            segmenter=settings.segmenter,
            steps=settings.steps,
            seed=derive_seed(config.trial.seed, config.this_painter, "label"),
        )
    return label_scans(helper, store, scans, store.manifest.channels, confidence=settings.confidence).labels


def _paint(generator: LoadedGenerator, jobs: Iterable[Asked]) -> Iterator[Made]:
    """Paint small synthetic patients together if their requests have the same parts."""
    group: list[Asked] = []
    for asked in jobs:
        # requests of one batch have the same parts
        if group and [part is None for part in asked.request] != [part is None for part in group[0].request]:
            yield from _paint_group(generator, group)
            group = []
        # paint once a batch is full
        group.append(asked)
        if sum(len(one.request.label) for one in group) >= generator.batch_size:
            yield from _paint_group(generator, group)
            group = []
    if group:
        yield from _paint_group(generator, group)


def _paint_group(generator: LoadedGenerator, group: Sequence[Asked]) -> Iterator[Made]:
    # one seed per slice: the batch size changes nothing
    whole = join_requests([asked.request for asked in group])
    seeds = [
        derive_seed(generator.seed, "noise", *asked.source[:2], row)
        for asked in group
        for row in range(len(asked.request.label))
    ]
    fakes = [
        generator.synthesizer.paint(whole.take(batch), seeds[batch])
        for batch in (
            slice(start, start + generator.batch_size) for start in range(0, len(seeds), generator.batch_size)
        )
    ]
    # back to one array per request
    ends = np.cumsum([len(asked.request.label) for asked in group])[:-1]
    yield from zip(group, np.split(np.concatenate(fakes), ends), strict=True)


def _write_patient(root: Path, generator: LoadedGenerator, store: PairStore, asked: Asked, fakes: Fakes) -> str:
    """Write one synthetic patient and return its id."""
    name, real = synthetic_name(asked.source.source, asked.source.number), store.patient(asked.source.source)
    image, label = create_arrays(root, name, fakes.shape)
    image[:], label[:] = invert_window(fakes, *real.window), asked.request.label
    provenance = _provenance(generator, asked)
    write_patient(root, replace(real, patient=name, version=__version__, provenance=provenance))
    return name


def _write_brought(
    root: Path, generator: LoadedGenerator, fakes: PairStore, fake: str, positions: Sequence[int]
) -> UInt8[np.ndarray, "slice height width"]:
    """Write some slices of a fake that another program made, as they are; gives their label maps."""
    known, chosen = fakes.patient(fake), list(positions)
    assert known.provenance is not None, "the guard has seen it"
    provenance = replace(known.provenance.take(chosen), synthesizer=generator.card.id, settings=generator.settings)
    labels = np.array(fakes.label(fake)[chosen])
    image, label = create_arrays(root, fake, labels.shape)
    image[:], label[:] = fakes.image(fake)[chosen], labels
    write_patient(root, replace(known, version=__version__, provenance=provenance))
    return labels


def _provenance(generator: LoadedGenerator, asked: Asked) -> Provenance:
    # patients whose scans were used without labels
    known = {*generator.labeled}
    seen = {asked.style.patient} if asked.style else set()
    seen |= {asked.source.source}
    return Provenance(
        source_patient=asked.source.source,
        source_slices=asked.source.positions,
        deformation_seeds=(asked.seed,) * len(asked.source.positions),
        synthesizer=generator.card.id,
        training_patients=tuple(sorted({*generator.card.training_patients, *generator.labeled})),
        unlabeled_patients=tuple(sorted({*generator.card.unlabeled_patients} | seen - known)),
        source_labels=asked.labeled,
        lesion_free=asked.lesion_free,
        style_patient=asked.style.patient if asked.style else None,
        style_slices=asked.style.positions if asked.style else (),
        settings=generator.settings,
    )
