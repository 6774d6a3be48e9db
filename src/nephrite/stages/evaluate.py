"""Scores a trained segmenter on the test patients: the scores of one arm."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.files import write_json
from nephrite.imaging.masks import split_channels
from nephrite.metrics.scores import ArmScores, PatientScore, mean_over_slices, score_regions, score_slices
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.segmentation.artifacts import SegmenterCard, TrainedSegmenter, load_segmenter
from nephrite.segmentation.backend import StoredScan, Trained
from nephrite.store.class_presence import demand_holders
from nephrite.store.grid_loss import vanished_volume
from nephrite.store.slices import PairStore
from nephrite.training.leakage import check_unseen


def evaluate(config: Config, run: Run, *, pairs: Path, segmenter: Path, scores: Path) -> dict[str, float]:
    """Score the segmenter of one arm on each test patient: 3-D Dice, surface Dice, HD95, and per-slice scores.

    Raises:
        StoreError: store or segmenter is missing or broken, or they do not belong together.
        LeakageError: the segmenter was trained on a test patient.
        ConfigError: no test patient has the primary region.
    """
    started = time.monotonic()
    store, trained = PairStore(pairs), load_segmenter(segmenter)
    _check_together(trained.card, store, segmenter, arm=str(config.this_arm))
    _check_region(config, store)
    check_unseen(store.patients("test"), trained.card.training_patients, segmenter)
    run.dataset(pairs, name="pairs", digest=store.manifest.digest)
    arm_scores = _score(config, store, trained)
    write_json(scores, arm_scores.to_json())
    run.artifact(scores, folder="scores")
    return _summary(arm_scores) | {"seconds": time.monotonic() - started}


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
    if not store.patients("test"):
        raise StoreError(store.root, "has no patients in the split 'test'", "raise 'prepare.split.test'")


def _check_region(config: Config, store: PairStore) -> None:
    """Refuse test patients without the region: its Dice would be 1 if nothing is found, and 0 otherwise."""
    region, remedy = config.trial.primary, "declare another region, or raise 'prepare.split.test'"
    values = config.evaluate.regions[region].labels
    demand_holders(store, store.patients("test"), values, region=region, who="test patients", remedy=remedy)


def _score(config: Config, store: PairStore, segmenter: TrainedSegmenter) -> ArmScores:
    # ready to predict, on its device
    card, trained = segmenter.card, segmenter.trained
    trained = trained.backend.ready(trained, config.compute, batch_size=config.evaluate.batch_size)
    patients = store.patients("test")
    found = (_score_patient(config, store, trained, patient) for patient in patients)
    return ArmScores(
        arm=config.this_arm,
        patients=tuple(progress_bar(found, f"evaluate {card.arm}", len(patients))),
        validation_score=card.validation_score,
        steps=card.steps,
        seconds=card.seconds,
        training_patients=len(card.training_patients),
        history=tuple(trained.history),
    )


def _score_patient(config: Config, store: PairStore, trained: Trained, patient: str) -> PatientScore:
    # predict on the scan's voxels
    settings, channels = config.evaluate, trained.channels
    prediction = trained.backend.predict(trained, StoredScan(store, patient))
    predicted = prediction.masks(channels, settings.threshold)
    label = np.asarray(store.label(patient))
    truth = split_channels(label, channels)
    # score volumes by region, slices by channel
    regions = {name: region.labels for name, region in settings.regions.items()}
    patient_record, classes = store.patient(patient), store.manifest.classes
    scores = score_regions(
        {name: region_mask(predicted, channels, labels) for name, labels in regions.items()},
        {name: np.isin(label, labels) for name, labels in regions.items()},
        spacing=patient_record.spacing,
        tolerances={name: region.tolerance for name, region in settings.regions.items()},
        vanished={name: vanished_volume(patient_record, classes, labels) for name, labels in regions.items()},
    )
    return PatientScore(patient, scores, score_slices(predicted, truth, channels=list(channels)))


def region_mask(
    masks: Bool[np.ndarray, "slice channel height width"],
    channels: Mapping[str, tuple[int, ...]],
    labels: tuple[int, ...],
) -> Bool[np.ndarray, "slice height width"]:
    """The region found: union of the channels whose label values all belong to it."""
    inside = [set(values) <= set(labels) for values in channels.values()]
    union: Bool[np.ndarray, "slice height width"] = np.logical_or.reduce(masks[:, inside], axis=1)
    return union


def _summary(scores: ArmScores) -> dict[str, float]:
    """Means over the test patients; a region's HD95 is left out where any patient has none."""
    pooled = mean_over_slices([score.slices for score in scores.patients])
    summary = {"capstone_iou": pooled.capstone_iou, "predict_nothing": pooled.predict_nothing}
    for region in scores.patients[0].regions:
        results = [score.regions[region] for score in scores.patients]
        summary[f"{region}_dice"] = sum(result.dice for result in results) / len(results)
        summary[f"{region}_surface_dice"] = sum(result.surface_dice for result in results) / len(results)
        distances = [result.hd95 for result in results if result.hd95 is not None]
        if len(distances) == len(results):
            summary[f"{region}_hd95"] = sum(distances) / len(distances)
    return summary
