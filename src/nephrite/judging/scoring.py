"""Predicted label maps against those of the reader, on the voxels of each scan."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import UInt8

from nephrite.errors import SourceError, TrialError
from nephrite.imaging.geometry import match_grids
from nephrite.imaging.nifti import NiftiFile, open_nifti
from nephrite.imaging.volume import to_label_map
from nephrite.judging.folders import Predicted, find_predictions, find_references
from nephrite.judging.given import GivenScores, Score, gather
from nephrite.judging.seg_maps import SUFFIX, PlacedLabels, on_one_grid, read_segmentation, turned
from nephrite.metrics.overlap import volume_recall
from nephrite.metrics.scores import score_regions
from nephrite.metrics.surface import Spacing
from nephrite.progress import progress_bar
from nephrite.words import counted
from nephrite.workers import worker_pool

logger = logging.getLogger(__name__)
ANY = {value: str(value) for value in range(1, 256)}
READER = "references"
SAVE = "save the label map with the affine of its scan"
Labels: TypeAlias = UInt8[np.ndarray, "slice height width"]


@dataclass(frozen=True)
class Regions:
    """What is scored.

    Attributes:
        labels: region to its label values.
        tolerance: of the surface Dice, in millimeters.
    """

    labels: Mapping[str, tuple[int, ...]]
    tolerance: float = 2.0


class Scored(NamedTuple):
    """Scores of one patient, and the label values in its maps, by who marked them."""

    scores: list[Score]
    values: dict[str, set[int]]


def score_folders(predictions: Path, references: Path, regions: Regions, *, processes: int = 1) -> GivenScores:
    """Score every predicted label map against the reader's: Dice, surface Dice, HD95 in mm, recall.

    All that headers tell is checked before the first map is scored. References that nobody predicted are left aside.

    Args:
        predictions: folder of ARM/REPLICATE/ID.nii.gz.
        references: folder of ID.nii.gz, or of ID/segmentation.nii.gz.
        regions: what is scored.
        processes: that score, a patient at a time.

    Raises:
        SourceError: a folder is missing or empty, a patient is predicted twice in one run or has no reference.
        VolumeError: a file cannot be read, or lies on another grid than its reference.
        DicomError: a DICOM SEG cannot be read.
        LabelValueError: values that are not integers from 0 to 255.
        TrialError: no reference has a region; see also `gather`.
    """
    # whose label maps there are, and on which grids
    pairs, truth = pair_up(predictions, references)
    if aside := len(truth) - len(pairs):
        logger.warning("%s: %s that no arm predicted, left aside", references, counted(aside, "reference"))
    for patient, maps in pairs.items():
        plain = [each.path for each in maps if not any_dicom(truth[patient], each.path)]
        reference = open_nifti(truth[patient], remedy=SAVE) if plain else None
        for path in plain:
            assert reference, "opened for these"
            _open_on(reference, path)
    # voxels
    job = partial(_score_patient, regions=regions)
    jobs = [(truth[patient], maps) for patient, maps in sorted(pairs.items())]
    scored = [*progress_bar(_results(job, jobs, processes), "judge", len(jobs))]
    # what the label values were
    found: dict[str, set[int]] = {}
    for result in scored:
        for who, values in result.values.items():
            found.setdefault(who, set()).update(values)
    check_values(found, regions, references)
    scores = [score for result in scored for score in result.scores]
    return replace(gather(scores, str(predictions)), references=tuple(truth[patient] for patient in sorted(pairs)))


def pair_up(predictions: Path, references: Path) -> tuple[dict[str, list[Predicted]], dict[str, Path]]:
    """The predictions of each patient, and the references; raises as `score_folders`."""
    truth, pairs = find_references(references), dict[str, list[Predicted]]()
    for each in find_predictions(predictions):
        pairs.setdefault(each.patient, []).append(each)
    if unknown := sorted(pairs.keys() - truth.keys()):
        finding = f"{counted(len(unknown), 'predicted patient')} without reference in {references}"
        raise SourceError(predictions, f"{finding}, the first '{unknown[0]}'", "add it, or move the prediction away")
    return pairs, truth


def check_values(found: Mapping[str, set[int]], regions: Regions, references: Path) -> None:
    """Warn of label values that no region names.

    Args:
        found: who marked to the label values of all their maps.
        regions: what is scored.
        references: for errors.

    Raises:
        TrialError: no reference has anything of a region.
    """
    marked = found.get(READER, set())
    for region, labels in regions.labels.items():
        if not marked & set(labels):
            finding = f"hold nothing of '{region}' (label values {list(labels)}); theirs are {sorted(marked)}"
            raise TrialError(references, finding, f"give its label values: --region {region}=...")
    named = {value for labels in regions.labels.values() for value in labels}
    for who, values in found.items():
        if unnamed := sorted(values - named):
            logger.warning("%s hold label values %s, which no region names: background", who, unnamed)


def _results(job: partial[Scored], jobs: list[tuple[Path, list[Predicted]]], processes: int) -> Iterator[Scored]:
    """Results in the order of the jobs; one process is this one."""
    if processes == 1:
        yield from (job(*each) for each in jobs)
        return
    with worker_pool(min(processes, len(jobs)), setting="--processes") as pool:
        for future in [pool.submit(job, *each) for each in jobs]:
            yield future.result()


def _score_patient(truth: Path, maps: list[Predicted], *, regions: Regions) -> Scored:
    """Score all label maps of one patient; the reference is read once."""
    reference = read_map(truth)
    scores, values = list[Score](), {READER: _values(reference.labels)}
    for each in maps:
        marked, predicted = on_reference(reference, each.path)
        values.setdefault(f"predictions of '{each.arm}'", set()).update(_values(predicted))
        scores += [
            Score(each.patient, each.arm, each.replicate, region, metric, number, each.fold)
            for region, metric, number in _measure(marked, predicted, reference.spacing, regions)
        ]
    return Scored(scores, values)


def _measure(
    marked: Labels, predicted: Labels, spacing: Spacing, regions: Regions
) -> Iterator[tuple[str, str, float | None]]:
    """Region, metric and value of one predicted label map."""
    truth = {name: np.isin(marked, values) for name, values in regions.labels.items()}
    found = {name: np.isin(predicted, values) for name, values in regions.labels.items()}
    tolerances = dict.fromkeys(regions.labels, regions.tolerance)
    for name, score in score_regions(found, truth, spacing=spacing, tolerances=tolerances).items():
        yield name, "dice", score.dice
        yield name, "surface_dice", score.surface_dice
        yield name, "hd95", score.hd95
        yield name, "recall", volume_recall(found[name], truth[name])


def read_map(path: Path) -> PlacedLabels:
    """A label map, NIfTI or DICOM SEG; raises as `score_folders`."""
    if path.suffix == SUFFIX:
        return read_segmentation(path)
    file = open_nifti(path, remedy=SAVE)
    return turned(_stored(file), file.geometry.affine, path)


def on_reference(reference: PlacedLabels, path: Path) -> tuple[Labels, Labels]:
    """Reference and prediction on one grid: that of the reference, or what holds both where one is a DICOM SEG."""
    if any_dicom(reference.path, path):
        return on_one_grid(reference, read_map(path))
    file = _open_on(open_nifti(reference.path, remedy=SAVE), path)
    return reference.labels, file.oriented(_stored(file))


def holds_dicom(predictions: Path, references: Path) -> bool:
    """Whether any of the label maps is a DICOM SEG."""
    maps = [each.path for each in find_predictions(predictions)]
    return any_dicom(*maps, *find_references(references).values())


def any_dicom(*paths: Path) -> bool:
    """Whether any of these label maps is a DICOM SEG."""
    return any(path.suffix == SUFFIX for path in paths)


def _open_on(reference: NiftiFile, path: Path) -> NiftiFile:
    """A predicted label map, with its axes as the reference's; its grid must be the reference's."""
    file = open_nifti(path, remedy=SAVE)
    return replace(file, geometry=match_grids(reference.geometry, file.geometry, path))


def _stored(file: NiftiFile) -> Labels:
    """Label values in the order of the file's axes."""
    voxels = file.read()
    if file.is_scaled:
        voxels = voxels * file.slope + file.intercept
    return to_label_map(voxels, ANY, file.path, step=file.step)


def _values(labels: Labels) -> set[int]:
    return {int(value) for value in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if value}
