"""Label maps of training patients, painted by the synthesizer: a pair store of synthetic slices with provenance."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nephrite import __version__
from nephrite.config import Config, SynthesizeSettings
from nephrite.errors import ConfigError, StoreError
from nephrite.files import whole_folder
from nephrite.imaging.intensity import invert_window
from nephrite.imaging.slices import PairStore, Provenance, SliceRef, create_arrays, finish_store, write_patient
from nephrite.recording import Run
from nephrite.stages.progress import progress_bar

if TYPE_CHECKING:
    from nephrite.imaging.slices import Manifest
    from nephrite.training.synthesizers import Synthesizer, SynthesizerCard

PREFIX = "synthetic-"


class Painter(NamedTuple):
    """A synthesizer, ready to paint."""

    card: SynthesizerCard
    synthesizer: Synthesizer


def synthesize(config: Config, run: Run, *, pairs: Path, synthesizer: Path, synthetic: Path) -> dict[str, float]:
    """Paint 'synthesize.ratio' slices per real training slice, from label maps of training patients alone.

    Each source patient becomes one synthetic patient, with the source's label maps, window, spacing and orientation.

    Raises:
        StoreError: the store or the synthesizer is missing, broken, or they do not fit each other.
        LeakageError: the synthesizer knows patients outside the training split.
        ConfigError: the settings leave no slice to paint.
    """
    store = PairStore(pairs)
    painter = _open_synthesizer(config, synthesizer, store)
    chosen = choose_slices(store, config.synthesize, seed=config.trial.seed)
    run.dataset(pairs, name="pairs", digest=store.manifest.digest)
    started = time.perf_counter()
    sources = {patient: list(refs) for patient, refs in groupby(chosen, key=lambda ref: ref.patient)}
    with whole_folder(synthetic) as root:
        for refs in progress_bar(sources.values(), "synthesize", len(sources)):
            _paint_patient(root, painter, store, refs, seed=config.trial.seed, batch_size=config.synthesize.batch_size)
        manifest = _finish(root, store, list(sources))
    seconds = time.perf_counter() - started
    run.dataset(synthetic, name="synthetic", digest=manifest.digest)
    return {
        "slices": float(len(chosen)),
        "patients": float(len(sources)),
        "slices_per_second": len(chosen) / seconds,
    }


def choose_slices(store: PairStore, settings: SynthesizeSettings, *, seed: int) -> list[SliceRef]:
    """Training slices to paint, by patient and position; a slice comes again only when all others have come as often.

    Raises:
        ConfigError: the settings leave no slice to paint.
    """
    slices = store.slices("train", labelled_only=settings.labelled_only)
    real = len(store.slices("train"))
    wanted = round(settings.ratio * real)
    if not slices:
        finding = f"{str(settings.labelled_only).lower()} leaves no slice of the training patients of {store.root}"
        raise ConfigError("synthesize.labelled_only", finding, "set it to false, or check the labels")
    if wanted == 0:
        finding = f"{settings.ratio:g} of {real} training slices rounds to none"
        raise ConfigError("synthesize.ratio", finding, "raise it")
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(len(slices)) for _ in range(-(-wanted // len(slices)))]
    return sorted(slices[number] for number in np.concatenate(rounds)[:wanted])


def _open_synthesizer(config: Config, root: Path, store: PairStore) -> Painter:
    from nephrite.training.devices import pick_device
    from nephrite.training.synthesizers import check_training_patients, read_synthesizer

    card, synthesizer = read_synthesizer(root)
    found, expected = (card.classes, card.size), (store.manifest.classes, store.manifest.size)
    if found != expected:
        finding = f"paints classes {found[0]} at {found[1]} px, but {store.root} has {expected[0]} at {expected[1]} px"
        raise StoreError(root, finding, "run 'train_gan' on this store")
    check_training_patients(card, store, root)
    return Painter(card, synthesizer.to(pick_device(config.compute)))


def _paint_patient(
    root: Path, painter: Painter, store: PairStore, refs: list[SliceRef], *, seed: int, batch_size: int
) -> None:
    """Write one synthetic patient, one batch at a time."""
    from nephrite.training.data import derive_seed

    source, positions = refs[0].patient, [ref.position for ref in refs]
    real, labels = store.patient(source), store.label(source)
    image, label = create_arrays(root, PREFIX + source, (len(refs), *labels.shape[1:]))
    seeds = [derive_seed(seed, "noise", source, row) for row in range(len(refs))]
    for start in range(0, len(refs), batch_size):
        batch = slice(start, start + batch_size)
        masks = labels[positions[batch]]
        label[batch] = masks
        reals = np.stack([store.windowed(SliceRef(source, position)) for position in positions[batch]])
        request = painter.synthesizer.conditioning.of_real(reals, masks)
        fakes = painter.synthesizer.paint(request, seeds[batch])
        image[batch] = invert_window(fakes, *real.window)
    unchanged = (None,) * len(refs)
    provenance = Provenance(source, tuple(positions), unchanged, painter.card.id, painter.card.training_patients)
    write_patient(root, replace(real, patient=PREFIX + source, version=__version__, provenance=provenance))


def _finish(root: Path, store: PairStore, sources: list[str]) -> Manifest:
    return finish_store(
        root,
        kind="synthetic",
        splits={PREFIX + source: "train" for source in sources},
        split_settings={},
        classes=store.manifest.classes,
        channels=store.manifest.channels,
        size=store.manifest.size,
        version=__version__,
    )
