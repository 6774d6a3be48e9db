"""Scores of a trained segmenter on the patients that are judged: for `evaluate`, and once more for `promote`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from nephrite.config import Config
from nephrite.imaging.masks import split_channels
from nephrite.metrics.scores import ArmScores, PatientScore, score_regions, score_slices
from nephrite.progress import progress_bar
from nephrite.segmentation.artifacts import TrainedSegmenter
from nephrite.segmentation.backend import StoredScan, Trained
from nephrite.store.grid_loss import vanished_volume
from nephrite.store.slices import PairStore


def score_arm(config: Config, store: PairStore, segmenter: TrainedSegmenter) -> ArmScores:
    """Score a segmenter on the judged patients of the store that it was trained on; `config` names its arm."""
    card = segmenter.card
    return ArmScores(
        arm=config.this_arm,
        patients=score_patients(config, store, segmenter),
        validation_score=card.validation_score,
        steps=card.steps,
        seconds=card.seconds,
        training_patients=len(card.training_patients),
        history=tuple(segmenter.trained.history),
        inputs={"pairs": store.manifest.digest, "segmenter": card.digest},
    )


def score_patients(config: Config, store: PairStore, segmenter: TrainedSegmenter) -> tuple[PatientScore, ...]:
    """Let a segmenter find the regions of 'evaluate' in every patient of 'trial.judged_on', and score what it finds."""
    trained = segmenter.trained
    trained = trained.backend.ready(trained, config.compute, batch_size=config.evaluate.batch_size)
    patients = store.patients(config.trial.judged_on)
    found = (_score_patient(config, store, trained, patient) for patient in patients)
    return tuple(progress_bar(found, f"evaluate {segmenter.card.arm}", len(patients)))


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
