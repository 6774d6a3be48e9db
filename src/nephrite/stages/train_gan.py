"""Paired slices of the training patients to a synthesizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nephrite import __version__
from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.files import write_json
from nephrite.recording import Run, SilentRun

if TYPE_CHECKING:
    from nephrite.imaging.slices import PairStore
    from nephrite.training.gan import Pix2Pix


def train_gan(config: Config, run: Run, *, pairs: Path, synthesizer: Path) -> dict[str, float]:
    """Train pix2pix on the training patients, and on no one else.

    Raises:
        StoreError: the store is missing, broken, or has no training slices.
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
        module = _fit(config, recorded, store, folder)
        if first:
            _write(config, recorded, store, module, folder)
    for name in (CARD, WEIGHTS):
        recorded.artifact(synthesizer / name)
    return {**module.history[-1], "training_slices": float(len(module.pairs))}


def _fit(config: Config, run: Run, store: PairStore, folder: Path) -> Pix2Pix:
    from nephrite.training.data import Pairs, derive_seed
    from nephrite.training.gan import Pix2Pix, fit_pix2pix
    from nephrite.training.samples import SampleSheets

    slices, seed = store.slices("train"), derive_seed(config.trial.seed, "gan")
    if not slices:
        raise StoreError(store.root, "has no slices in the split 'train'", "raise 'prepare.split.train'")
    module = Pix2Pix(
        config.train_gan,
        Pairs((store, slices)),
        classes=list(store.manifest.classes),
        size=store.manifest.size,
        seed=seed,
        workers=config.compute.loader_workers,
        callbacks=[SampleSheets(store, folder, run, every=config.train_gan.sample_every, seed=seed)],
    )
    fit_pix2pix(module, config.compute, folder=folder, run=run)
    return module


def _write(config: Config, run: Run, store: PairStore, module: Pix2Pix, folder: Path) -> None:
    from nephrite.training.synthesizers import HISTORY, SynthesizerCard, save_weights, write_card

    write_json(folder / HISTORY, module.history)
    card = SynthesizerCard(
        id=save_weights(folder, module.painter),
        kind="pix2pix",
        generator=config.train_gan.generator,
        classes=store.manifest.classes,
        size=store.manifest.size,
        training_patients=tuple(sorted(module.pairs.patients)),
        pairs=store.manifest.digest,
        run_id=run.id,
        version=__version__,
    )
    write_card(folder, card)


def _fingerprint(config: Config, store: PairStore) -> dict[str, object]:
    """Everything that the weights depend on."""
    return {
        "settings": config.train_gan.model_dump(mode="json"),
        "seed": config.trial.seed,
        "pairs": store.manifest.digest,
        "version": __version__,
    }
