"""A trained segmenter and the patients that it is judged on: what does not belong together is refused."""

from __future__ import annotations

from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.segmentation.artifacts import SegmenterCard, TrainedSegmenter, load_segmenter
from nephrite.segmentation.scoring import formed_regions
from nephrite.store.class_presence import demand_holders
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.training.leakage import check_unseen


def open_judged(config: Config, pairs: Path, segmenter: Path) -> tuple[PairStore, TrainedSegmenter]:
    """Open the store of the judged patients, and the segmenter of the settings' arm.

    Raises:
        StoreError: store or segmenter is missing or broken, or they do not belong together.
        LeakageError: the segmenter was trained on a judged patient, or knows one of another hospital.
        ConfigError: no judged patient has the primary region; or the headline asks for patients of another hospital,
            and there are none, or none who has it.
    """
    store, trained = PairStore(pairs), load_segmenter(segmenter)
    card, split = trained.card, config.trial.judged_on
    _check_together(card, store, segmenter, arm=str(config.this_arm))
    if not store.patients(split):
        raise StoreError(store.root, f"has no patients in the split '{split}'", f"raise 'prepare.split.{split}'")
    _check_region(config, store)
    _check_external(config, store)
    check_unseen(store, store.patients(split), card.training_patients, segmenter)
    check_unseen(store, store.patients(EXTERNAL), [*card.training_patients, *card.masked_patients], segmenter)
    return store, trained


def _check_together(card: SegmenterCard, store: PairStore, segmenter: Path, *, arm: str) -> None:
    """Refuse a segmenter of another arm, of other data, or with other outputs."""
    # the segmenter was trained on this very store
    manifest = store.manifest
    for name, found, expected in (
        ("arm", card.arm, arm),
        ("pairs digest", card.pairs, manifest.digest),
        ("classes", card.classes, manifest.classes),
        ("channels", list(card.channels.items()), list(manifest.channels.items())),  # their order is the outputs' order
    ):
        if found != expected:
            finding = f"has {name} {found}, but {expected} is to be scored (store {store.root})"
            raise StoreError(segmenter, finding, "run 'train_segmenter' again on this store")


def _check_region(config: Config, store: PairStore) -> None:
    """Refuse judged patients without the region: its Dice would be 1 if nothing is found, and 0 otherwise."""
    split, region = config.trial.judged_on, config.trial.primary
    remedy = f"declare another region, or raise 'prepare.split.{split}'"
    values = config.evaluate.regions[region].labels
    demand_holders(store, store.patients(split), values, region=region, who=f"{split} patients", remedy=remedy)


def _check_external(config: Config, store: PairStore) -> None:
    """Refuse patients of another hospital of whom nothing can be scored, or not what the headline asks of them."""
    if config.trial.judged_on != "test":
        return
    patients, asked = store.patients(EXTERNAL), config.trial.asked_where == "external"
    if asked and not patients:
        finding = f"is 'external', and {store.root} has no patients of another hospital"
        raise ConfigError("trial.where", finding, "name their folder, 'acquire.external.path', and run 'acquire' again")
    remedy = "say what their label values are: 'acquire.external.classes'"
    if asked:
        region = config.trial.primary
        values = config.evaluate.regions[region].labels
        demand_holders(store, patients, values, region=region, who="external test patients", remedy=remedy)
    if patients and not formed_regions(config, store, patients):
        finding = f"none of the {len(patients)} external test patients of {store.root} has any of 'evaluate.regions'"
        raise ConfigError("acquire.external", finding, remedy)
