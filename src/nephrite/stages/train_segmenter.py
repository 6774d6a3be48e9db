"""Real and maybe synthetic slices to the trained segmenter of one arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nephrite import __version__
from nephrite.config import Arm, Config
from nephrite.errors import ConfigError, StoreError
from nephrite.recording import Run, SilentRun

if TYPE_CHECKING:
    from nephrite.imaging.slices import PairStore
    from nephrite.models.segmenters import Segmenter
    from nephrite.training.artifacts import SegmenterCard
    from nephrite.training.segmentation import SegmentationTask


class Stores(NamedTuple):
    """What an arm sees: real slices, and synthetic ones with the id of their synthesizer."""

    real: PairStore
    synthetic: PairStore | None
    synthesizer: str | None


def train_segmenter(
    config: Config, run: Run, *, pairs: Path, segmenter: Path, synthetic: Path | None = None
) -> dict[str, float]:
    """Train the segmenter of one arm and keep the weights that are best on validation.

    All arms take the same number of optimizer steps; within a cell they share initialization and seeds.

    Raises:
        LeakageError: synthetic slices know patients outside the training split.
        StoreError: a store is missing, broken, or does not fit the other one.
        ConfigError: the arm needs synthetic slices and got none, or the other way round.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    from nephrite.training.devices import process_rank

    stores = _open_stores(config.this_arm, pairs, synthetic)
    task = _task(config, stores)
    recorded = run if process_rank() == 0 else SilentRun()
    for name, store in (("pairs", stores.real), ("synthetic", stores.synthetic)):
        if store:
            recorded.dataset(store.root, name=name, digest=store.manifest.digest)
    card = _train(config, recorded, stores, task, segmenter)
    return {
        "validation_score": card.validation_score,
        "best_step": float(card.steps),
        "seconds": card.seconds,
        "training_slices": float(len(task.training)),
    }


def _train(config: Config, run: Run, stores: Stores, task: SegmentationTask, segmenter: Path) -> SegmenterCard:
    from nephrite.training.artifacts import write_card
    from nephrite.training.data import derive_seed
    from nephrite.training.devices import process_rank
    from nephrite.training.segmentation import SegmentationModule
    from nephrite.training.trainer import fit, resumable_folder

    settings, arm = config.train_segmenter, config.this_arm
    with resumable_folder(segmenter, _fingerprint(config, stores)) as folder:
        seed = derive_seed(config.trial.seed, arm.cell, "order")
        network = _initialized(config, channels=len(task.channels))
        module = SegmentationModule(network, task, settings, seed=seed, folder=folder)
        fit(module, config.compute, folder=folder, epochs=settings.epochs, run=run, text=str(arm))
        card = _card(config, run, stores, module.history)
        if process_rank() == 0:
            write_card(folder, card, module.history)
    run.artifact(segmenter, folder="segmenter")
    return card


def _open_stores(arm: Arm, pairs: Path, synthetic: Path | None) -> Stores:
    """Open what the arm sees; the leakage guard stands here, before anything is trained."""
    from nephrite.imaging.slices import PairStore
    from nephrite.training.leakage import check_synthetic

    _check_arm(arm, synthetic)
    real = PairStore(pairs)
    if synthetic is None:
        return Stores(real, None, None)
    painted = PairStore(synthetic)
    return Stores(real, painted, check_synthetic(painted, real))


def _check_arm(arm: Arm, synthetic: Path | None) -> None:
    if arm.synthetic and synthetic is None:
        raise ConfigError(f"arm {arm}", "needs synthetic slices, and none were given", "add '--synthetic FOLDER'")
    if synthetic is not None and not arm.synthetic:
        raise ConfigError(f"arm {arm}", "takes no synthetic slices, and some were given", "leave '--synthetic' out")


def _task(config: Config, stores: Stores) -> SegmentationTask:
    from nephrite.training.data import Pairs
    from nephrite.training.segmentation import SegmentationTask

    real, painted = stores.real, stores.synthetic
    slices = {split: real.slices(split) for split in ("train", "validation")}
    for split, refs in slices.items():
        if not refs:
            raise StoreError(real.root, f"has no slices in the split '{split}'", f"raise 'prepare.split.{split}'")
    extra = [(painted, painted.slices())] if painted else []
    return SegmentationTask(
        training=Pairs((real, slices["train"]), *extra),
        validation=Pairs((real, slices["validation"])),
        channels=real.manifest.channels,
        region=config.evaluate.regions[config.trial.primary].labels,
        threshold=config.evaluate.threshold,
        geometric=config.this_arm.geometric,
        workers=config.compute.loader_workers,
    )


def _initialized(config: Config, *, channels: int) -> Segmenter:
    """The network of the arm; its first weights follow from the trial's seed and the cell alone."""
    import torch

    from nephrite.models.segmenters import build_segmenter
    from nephrite.training.data import derive_seed

    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(config.trial.seed, config.this_arm.cell, "weights"))
        return build_segmenter(config.train_segmenter.segmenters[config.this_arm.segmenter], channels=channels)


def _fingerprint(config: Config, stores: Stores) -> dict[str, object]:
    """Everything that the weights depend on."""
    return {
        "arm": str(config.this_arm),
        "seed": config.trial.seed,
        "settings": config.train_segmenter.model_dump(mode="json", exclude={"segmenters"}),
        "network": config.train_segmenter.segmenters[config.this_arm.segmenter].model_dump(mode="json"),
        "region": config.evaluate.regions[config.trial.primary].labels,
        "threshold": config.evaluate.threshold,
        "pairs": stores.real.manifest.digest,
        "synthetic": stores.synthetic.manifest.digest if stores.synthetic else None,
        "version": __version__,
    }


def _card(config: Config, run: Run, stores: Stores, history: list[dict[str, float]]) -> SegmenterCard:
    from nephrite.training.artifacts import SegmenterCard
    from nephrite.training.segmentation import best_epoch

    best = history[best_epoch(history)]
    return SegmenterCard(
        arm=str(config.this_arm),
        settings=config.train_segmenter.segmenters[config.this_arm.segmenter],
        classes=stores.real.manifest.classes,
        channels=stores.real.manifest.channels,
        intensity=config.prepare.intensity,
        in_plane=config.prepare.in_plane,
        training_patients=tuple(stores.real.patients("train")),
        synthesizer=stores.synthesizer,
        pairs=stores.real.manifest.digest,
        validation_score=best["validation_dice"],
        region=config.trial.primary,
        threshold=config.evaluate.threshold,
        steps=int(best["step"]),
        seconds=sum(row["seconds"] for row in history),
        run_id=run.id,
        version=__version__,
    )
