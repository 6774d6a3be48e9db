"""Scores a trained segmenter on the patients that are judged: the scores of one arm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.evidence import digest_files, finished_files
from nephrite.files import whole_folder, write_json
from nephrite.metrics.means import mean_scores
from nephrite.recording import Run
from nephrite.segmentation.artifacts import SegmenterCard
from nephrite.segmentation.judged import open_judged
from nephrite.segmentation.native import NativeScans
from nephrite.segmentation.own_image import answered
from nephrite.segmentation.scoring import score_arm

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
    done: Path | None = None,
) -> dict[str, float]:
    """Score the segmenter of one arm on each judged patient: 3-D Dice, surface Dice, HD95, and per-slice scores.

    Scores are of the grid of `pairs`. With `raw`, the data that it was prepared from, whole scans are scored on their
    own voxels as well, and what was found is kept in `predictions`: <patient>/segmentation.nii.gz and manifest.json.

    Judged are test patients, or with 'trial.judged_on: validation' those of validation, for choosing a recipe. Patients
    of another hospital are scored beside those of test, and never for development.

    `done` is what a program found in an image of its own, by the order that 'order_predict' wrote.

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
    store, trained = open_judged(config, pairs, segmenter)
    if done:
        trained = answered(config, trained, done)
    card = trained.card
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
