"""Scores a trained segmenter on the patients that are judged: the scores of one arm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError, StoreError
from nephrite.evidence import digest_files, finished_files
from nephrite.files import whole_folder, write_json
from nephrite.metrics.means import mean_scores
from nephrite.recording import Run
from nephrite.segmentation.artifacts import SegmenterCard, load_segmenter
from nephrite.segmentation.native import NativeScans
from nephrite.segmentation.scoring import formed_regions, score_arm
from nephrite.store.class_presence import demand_holders
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.training.leakage import check_unseen

MANIFEST = "manifest.json"


def evaluate(
    config: Config,
    run: Run,
    *,
    pairs: Path,
    segmenter: Path,
    scores: Path,
    raw: Path | None = None,
    predictions: Path | None = None,
) -> dict[str, float]:
    """Score the segmenter of one arm on each judged patient: 3-D Dice, surface Dice, HD95, and per-slice scores.

    Scores are of the grid of `pairs`. With `raw`, the data that it was prepared from, whole scans are scored on their
    own voxels as well, and what was found is kept in `predictions`: <patient>/segmentation.nii.gz and manifest.json.

    Judged are test patients, or with 'trial.judged_on: validation' those of validation, for choosing a recipe. Patients
    of another hospital are scored beside those of test, and never for development.

    Raises:
        StoreError: store or segmenter is missing or broken, or they do not belong together.
        LeakageError: the segmenter was trained on a judged patient, or knows one of another hospital.
        ConfigError: no judged patient has the primary region; or the headline asks for patients of another hospital,
            and there are none, or none who has it; or `predictions` without `raw`.
        SourceError: `raw` is not what `pairs` was made from.
    """
    started = time.monotonic()
    if predictions and not raw:
        finding = f"{predictions} would hold no label map: those of scans need the scans"
        raise ConfigError("--predictions", finding, "name the raw data, '--raw'")
    store, trained = PairStore(pairs), load_segmenter(segmenter)
    split = config.trial.judged_on
    _check_together(trained.card, store, segmenter, arm=str(config.this_arm))
    if not store.patients(split):
        raise StoreError(store.root, f"has no patients in the split '{split}'", f"raise 'prepare.split.{split}'")
    _check_region(config, store)
    _check_external(config, store)
    card = trained.card
    check_unseen(store, store.patients(split), card.training_patients, segmenter)
    check_unseen(store, store.patients(EXTERNAL), [*card.training_patients, *card.masked_patients], segmenter)
    run.dataset(pairs, name="pairs", digest=store.manifest.digest)
    with _kept(predictions, trained.card) as kept:
        native = NativeScans(raw, store, config, kept) if raw else None
        arm_scores = score_arm(config, store, trained, native)
    write_json(scores, arm_scores.to_json())
    run.artifact(scores, folder="scores")
    run.tags({"segmenter_digest": card.digest})
    return mean_scores(config, arm_scores) | {"seconds": time.monotonic() - started}


@contextmanager
def _kept(predictions: Path | None, card: SegmenterCard) -> Iterator[Path | None]:
    """The folder that gets the label maps; with what they are of, once all are there."""
    if predictions is None:
        yield None
        return
    with whole_folder(predictions, "predictions") as root:
        yield root
        files = digest_files(root, finished_files(root))
        write_json(root / MANIFEST, {"format": 1, "arm": card.arm, "segmenter": card.digest, "files": files})


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
