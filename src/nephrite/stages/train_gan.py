"""Paired slices of the training patients to a synthesizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nephrite import __version__
from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.files import write_json
from nephrite.recording import Run, SilentRun

if TYPE_CHECKING:
    from nephrite.imaging.slices import PairStore
    from nephrite.training.generation import GenerationModule
    from nephrite.training.synthesizers import SynthesizerCard


def train_gan(config: Config, run: Run, *, pairs: Path, synthesizer: Path) -> dict[str, float]:
    """Train a synthesizer on the training patients, and on no one else.

    Raises:
        StoreError: the store is missing, broken, or has no training slices.
        ConfigError: the settings do not fit the store.
        NonFiniteLossError: a loss became NaN or infinite; nothing is kept.
    """
    from nephrite.imaging.slices import PairStore
    from nephrite.training.devices import process_rank
    from nephrite.training.synthesizers import CARD, WEIGHTS
    from nephrite.training.trainer import resumable_folder

    store, first = PairStore(pairs), process_rank() == 0
    recorded = run if first else SilentRun()
    recorded.dataset(pairs, name="pairs", digest=store.manifest.digest)
    with resumable_folder(synthesizer, _fingerprint(config, store)) as folder:
        card = _describe(config, store, run)
        metrics = (
            _train(config, recorded, store, card, folder) if card.trained else _draw(recorded, store, card, folder)
        )
    for name in (CARD, WEIGHTS) if card.trained else (CARD,):
        recorded.artifact(synthesizer / name)
    return {**metrics, "training_slices": float(len(store.slices("train")))}


def _describe(config: Config, store: PairStore, run: Run) -> SynthesizerCard:
    """All that is known of the synthesizer before it is trained; it has no id yet."""
    from nephrite.training.intensities import fit_intensities, fit_tissue
    from nephrite.training.scenes import Conditioning
    from nephrite.training.synthesizers import SynthesizerCard

    slices, settings, classes = store.slices("train"), config.train_gan, store.manifest.classes
    if not slices:
        raise StoreError(store.root, "has no slices in the split 'train'", "raise 'prepare.split.train'")
    lesions = tuple(value for value, name in classes.items() if name in config.prepare.lesions)
    if settings.method.kind == "paint_in" and not lesions:
        finding = "is 'paint_in', but no class is a lesion"
        raise ConfigError("train_gan.method.kind", finding, "name the lesion's class in 'prepare.lesions'")
    edges = fit_tissue(store, slices, settings.tissue) if settings.condition == "anatomy" else None
    conditioning = Conditioning(tuple(classes), edges, settings.tissue.smoothing)
    return SynthesizerCard(
        id="",
        method=settings.method,
        condition=settings.condition,
        tissue_edges=edges,
        tissue_smoothing=settings.tissue.smoothing,
        classes=classes,
        lesions=lesions,
        intensities=fit_intensities(store, slices, conditioning),
        size=store.manifest.size,
        training_patients=tuple(sorted({ref.patient for ref in slices})),
        pairs=store.manifest.digest,
        run_id=run.id,
        version=__version__,
    )


def _train(config: Config, run: Run, store: PairStore, card: SynthesizerCard, folder: Path) -> dict[str, float]:
    from nephrite.training.devices import process_rank
    from nephrite.training.gan import fit_generator
    from nephrite.training.synthesizers import HISTORY, write_synthesizer

    module = _module(config, run, store, card, folder)
    fit_generator(module, config.compute, folder=folder, run=run)
    if process_rank() == 0:
        write_json(folder / HISTORY, module.history)
        write_synthesizer(folder, card, module.painter)
    return module.history[-1]


def _module(config: Config, run: Run, store: PairStore, card: SynthesizerCard, folder: Path) -> GenerationModule:
    from nephrite.training.data import Pairs, derive_seed
    from nephrite.training.denoising import DiffusionModule
    from nephrite.training.gan import AdversarialModule
    from nephrite.training.samples import SampleSheets

    seed, kind = (
        derive_seed(config.trial.seed, "gan"),
        DiffusionModule if card.kind == "diffusion" else AdversarialModule,
    )
    return kind(
        config.train_gan,
        Pairs((store, store.slices("train"))),
        conditioning=card.conditioning,
        size=card.size,
        seed=seed,
        workers=config.compute.loader_workers,
        callbacks=[SampleSheets(store, folder, run, every=config.train_gan.sample_every, seed=seed)],
    )


def _draw(run: Run, store: PairStore, card: SynthesizerCard, folder: Path) -> dict[str, float]:
    """Nothing is trained: a card, and a sheet of what it paints."""
    from nephrite.training.samples import SampleSheets
    from nephrite.training.synthesizers import write_synthesizer

    network = card.build()
    SampleSheets(store, folder, run, every=1, seed=0).write(card.synthesizer(network), "drawn.png")
    write_synthesizer(folder, card, network)
    return {}


def _fingerprint(config: Config, store: PairStore) -> dict[str, object]:
    """Everything that the weights depend on."""
    return {
        "settings": config.train_gan.model_dump(mode="json"),
        "lesions": sorted(config.prepare.lesions),
        "seed": config.trial.seed,
        "pairs": store.manifest.digest,
        "version": __version__,
    }
