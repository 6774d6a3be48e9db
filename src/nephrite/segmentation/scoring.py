"""Scores of a trained segmenter on the patients that are judged: for `evaluate`, and once more for `promote`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from nephrite.config import Config
from nephrite.imaging.masks import split_channels
from nephrite.metrics.calibration import calibrate
from nephrite.metrics.lesions import LesionFindings, find_lesions, pooled
from nephrite.metrics.overlap import volume_recall
from nephrite.metrics.scores import ArmScores, PatientScore, score_regions, score_slices
from nephrite.metrics.windows import stack_apart, windows_of
from nephrite.progress import progress_bar
from nephrite.segmentation.artifacts import TrainedSegmenter
from nephrite.segmentation.backend import Prediction, StoredScan, Trained
from nephrite.segmentation.native import NativeScans
from nephrite.store.class_presence import held
from nephrite.store.grid_loss import vanished_volume
from nephrite.store.persons import count_persons
from nephrite.store.slices import EXTERNAL, PairStore


def score_arm(
    config: Config, store: PairStore, segmenter: TrainedSegmenter, native: NativeScans | None = None
) -> ArmScores:
    """Score a segmenter on the judged patients of the store that it was trained on; `config` names its arm.

    Where the judged are those of test, patients of another hospital are scored after them. With their scans as they lie
    in raw data, whole scans are scored on their own voxels as well.
    """
    card = segmenter.card
    patients = score_patients(config, store, segmenter, native)
    external = score_external(config, store, segmenter, native) if config.trial.judged_on == "test" else ()
    return ArmScores(
        arm=config.this_arm,
        patients=patients,
        validation_score=card.validation_score,
        steps=card.steps,
        seconds=card.seconds,
        training_patients=count_persons(store.persons(), card.training_patients),
        choosing_patients=count_persons(store.persons(), card.choosing_patients),
        masked_patients=count_persons(store.persons(), card.masked_patients),
        history=tuple(segmenter.trained.history),
        inputs={"pairs": store.manifest.digest, "segmenter": card.digest},
        external=external,
    )


def judged_scans(config: Config, store: PairStore) -> list[StoredScan]:
    """All that `score_arm` asks a segmenter for, in its order, without labels."""
    splits = [config.trial.judged_on, *([EXTERNAL] if config.trial.judged_on == "test" else [])]
    patients = [patient for split in splits for patient in store.patients(split)]
    return [scan for patient in patients for scan in _views(config, store, patient)]


def score_patients(
    config: Config, store: PairStore, segmenter: TrainedSegmenter, native: NativeScans | None = None
) -> tuple[PatientScore, ...]:
    """Let a segmenter find the regions of 'evaluate' in every patient of 'trial.judged_on', and score what it finds."""
    return _score(config, store, segmenter, config.trial.judged_on, [*config.evaluate.regions], native=native)


def score_external(
    config: Config, store: PairStore, segmenter: TrainedSegmenter, native: NativeScans | None = None
) -> tuple[PatientScore, ...]:
    """The same in every patient of another hospital, of the regions that their label maps can form."""
    patients = store.patients(EXTERNAL)
    regions = formed_regions(config, store, patients)
    return _score(config, store, segmenter, EXTERNAL, regions, native=native) if patients else ()


def formed_regions(config: Config, store: PairStore, patients: Sequence[str]) -> list[str]:
    """Regions that some of these patients have; of the others a score would say only whether something was found."""
    regions = config.evaluate.regions.items()
    return [name for name, region in regions if held(store, patients, region.labels)]


def _score(
    config: Config,
    store: PairStore,
    segmenter: TrainedSegmenter,
    split: str,
    regions: Collection[str],
    *,
    native: NativeScans | None,
) -> tuple[PatientScore, ...]:
    trained = segmenter.trained
    size, mirroring = config.evaluate.batch_size, config.evaluate.mirroring
    trained = trained.backend.ready(trained, config.compute, batch_size=size, mirroring=mirroring)
    patients = store.patients(split)
    views = {patient: _views(config, store, patient) for patient in patients}
    predictions = trained.backend.predict_all(trained, [scan for scans in views.values() for scan in scans])
    found = (
        _score_patient(config, store, trained, [(scan, next(predictions)) for scan in scans], regions, native=native)
        for scans in views.values()
    )
    where = f"{segmenter.card.arm}, {EXTERNAL}" if split == EXTERNAL else segmenter.card.arm
    return tuple(progress_bar(found, f"evaluate {where}", len(patients)))


def _views(config: Config, store: PairStore, patient: str) -> list[StoredScan]:
    """What is predicted of a patient: the windows of 'evaluate.windows', or whole slices."""
    windows = windows_of(config, patient, np.asarray(store.label(patient)))
    return [StoredScan(store, patient, window) for window in windows] or [StoredScan(store, patient)]


def _score_patient(
    config: Config,
    store: PairStore,
    trained: Trained,
    seen: Sequence[tuple[StoredScan, Prediction]],
    chosen: Collection[str],
    *,
    native: NativeScans | None,
) -> PatientScore:
    # what was found, and what is marked, on the scan's voxels or in its windows
    patient, predictions = seen[0][0].patient, [prediction for _, prediction in seen]
    settings, channels, label = config.evaluate, trained.channels, np.asarray(store.label(patient))
    windows = [scan.window for scan, _ in seen if scan.window]
    found = [prediction.masks(channels, settings.threshold) for prediction in predictions]
    marked = [window.cut(label) for window in windows] or [label]
    # score volumes by region, slices by channel
    regions = {name: region.labels for name, region in settings.regions.items() if name in chosen}
    in_found = {name: [region_mask(part, channels, labels) for part in found] for name, labels in regions.items()}
    in_truth = {name: [np.isin(part, labels) for part in marked] for name, labels in regions.items()}
    patient_record, classes = store.patient(patient), store.manifest.classes
    tolerances = {name: settings.regions[name].tolerance for name in regions}
    gap = _empty_slices(max(tolerances.values()), patient_record.spacing)
    scores = score_regions(
        {name: stack_apart(parts, gap) for name, parts in in_found.items()},
        {name: stack_apart(parts, gap) for name, parts in in_truth.items()},
        spacing=patient_record.spacing,
        tolerances=tolerances,
        vanished={name: vanished_volume(patient_record, classes, labels) for name, labels in regions.items()},
        measured=config.prepare.spacing == "measured",
    )
    if windows:  # between two windows there is no distance
        scores = {name: replace(score, hd95=None) for name, score in scores.items()}
    truth = split_channels(np.concatenate(marked), channels)
    slices = score_slices(np.concatenate(found), truth, channels=list(channels))
    said = [part.probabilities for part in predictions if part.probabilities is not None]
    lesions = _lesions(config, said or found, in_truth, channels, patient_record.spacing)
    # the share that was found: of regions, and of parts that no channel shows alone
    shown = {name: np.concatenate(parts) for name, parts in in_found.items()}
    shown |= {name: part_mask(np.concatenate(found), channels, labels) for name, labels in settings.parts.items()}
    recall = {}
    for name, mask in shown.items():
        labels = regions.get(name) or settings.parts[name]
        missed = vanished_volume(patient_record, classes, labels) > 0
        recall[name] = 0.0 if missed else volume_recall(mask, np.isin(np.concatenate(marked), labels))
    person = store.person(patient) if store.has_table else None
    calibration = {
        name: calibrate(region_probability(np.concatenate(said), channels, labels), np.concatenate(in_truth[name]))
        for name, labels in regions.items()
        if said  # else the segmenter says yes or no
    }
    # on the scans' own voxels: whole scans are scored, windows are kept to be looked at
    if native and windows:
        native.keep(patient, [*zip(windows, predictions, strict=True)], trained)
    own = native.score(patient, predictions[0], trained, chosen) if native and not windows else {}
    return PatientScore(patient, scores, slices, lesions, calibration, person, recall, own)


def _lesions(
    config: Config,
    said: Sequence[Shaped[np.ndarray, "slice channel height width"]],
    truth: Mapping[str, Sequence[Bool[np.ndarray, "slice height width"]]],
    channels: Mapping[str, tuple[int, ...]],
    spacing: tuple[float, float, float],
) -> dict[str, LesionFindings]:
    """Lesions of the regions where they are counted, over all views of one patient.

    Args:
        config: settings.
        said: probabilities in each view, or masks.
        truth: each region in each view.
        channels: name to label values.
        spacing: millimeters between slices, rows and columns.
    """
    found = {}
    for name, rule in config.evaluate.lesions.items():
        if name not in truth:
            continue
        labels = config.evaluate.regions[name].labels
        views = [region_probability(part.astype(np.float32), channels, labels) for part in said]
        pairs = zip(views, truth[name], strict=True)
        found[name] = pooled([find_lesions(view, mask, rule, spacing) for view, mask in pairs])
    return found


def _empty_slices(tolerance: float, spacing: tuple[float, float, float]) -> int:
    """So many slices that a surface beyond them is farther away than the tolerance in mm."""
    return math.ceil(tolerance / spacing[0]) + 1


def region_probability(
    probabilities: Float32[np.ndarray, "slice channel height width"],
    channels: Mapping[str, tuple[int, ...]],
    labels: tuple[int, ...],
) -> Float32[np.ndarray, "slice height width"]:
    """The region's probability: the largest one of the channels whose label values all belong to it."""
    inside = [set(values) <= set(labels) for values in channels.values()]
    largest: Float32[np.ndarray, "slice height width"] = probabilities[:, inside].max(axis=1)
    return largest


def region_mask(
    masks: Bool[np.ndarray, "slice channel height width"],
    channels: Mapping[str, tuple[int, ...]],
    labels: tuple[int, ...],
) -> Bool[np.ndarray, "slice height width"]:
    """The region found: union of the channels whose label values all belong to it."""
    inside = [set(values) <= set(labels) for values in channels.values()]
    union: Bool[np.ndarray, "slice height width"] = np.logical_or.reduce(masks[:, inside], axis=1)
    return union


def part_mask(
    masks: Bool[np.ndarray, "slice channel height width"],
    channels: Mapping[str, tuple[int, ...]],
    labels: tuple[int, ...],
) -> Bool[np.ndarray, "slice height width"]:
    """Where a part of a region counts as found: union of the channels that hold any of its label values."""
    inside = [not set(values).isdisjoint(labels) for values in channels.values()]
    union: Bool[np.ndarray, "slice height width"] = np.logical_or.reduce(masks[:, inside], axis=1)
    return union
