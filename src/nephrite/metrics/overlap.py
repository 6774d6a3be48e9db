"""Overlap of a segmentation with the truth: Dice per volume, IoU per slice, and the capstone's score."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from nephrite.errors import VolumeError


def volume_dice(predicted: Bool[np.ndarray, "..."], truth: Bool[np.ndarray, "..."]) -> float:
    """Dice of one region in one patient, over the whole volume and never per slice (Dice 1945).

    Both empty scores 1, exactly one empty scores 0.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(predicted, truth)
    total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(predicted & truth)) / total if total else 1.0


def volume_recall(predicted: Bool[np.ndarray, "..."], truth: Bool[np.ndarray, "..."]) -> float | None:
    """Share of a region's voxels that were found, in one patient; None where there is nothing to find.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(predicted, truth)
    marked = int(np.count_nonzero(truth))
    return int(np.count_nonzero(predicted & truth)) / marked if marked else None


def foreground_iou(
    predicted: Bool[np.ndarray, "slice channel height width"], truth: Bool[np.ndarray, "slice channel height width"]
) -> Float[np.ndarray, "slice channel"]:
    """IoU of each channel in each slice; NaN where neither the prediction nor the truth holds the channel.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(predicted, truth)
    return _iou(predicted, truth, axes=(2, 3))


def capstone_iou(
    predicted: Bool[np.ndarray, "slice channel height width"], truth: Bool[np.ndarray, "slice channel height width"]
) -> Float[np.ndarray, " slice"]:
    """Score of the 2021 student project, in percent, for each slice; its test score is the mean over slices.

    Mean of the IoU of background and the IoU of foreground, both channels flattened together, an undefined IoU
    counted as 100. It rewards empty predictions: predicting nothing scores about 50 on a slice that holds an
    organ and 100 on one that holds none. So it is kept for comparison and never chooses a model.

    Raises:
        VolumeError: the shapes differ.
    """
    same_shape(predicted, truth)
    foreground = _iou(predicted, truth, axes=(1, 2, 3))
    background = _iou(~predicted, ~truth, axes=(1, 2, 3))
    both: Float[np.ndarray, "2 slice"] = np.stack([background, foreground])
    mean: Float[np.ndarray, " slice"] = np.where(np.isnan(both), 1.0, both).mean(axis=0)
    return 100 * mean


def predict_nothing_iou(truth: Bool[np.ndarray, "slice channel height width"]) -> Float[np.ndarray, " slice"]:
    """What `capstone_iou` gives to a model that marks no pixel at all, in percent, for each slice."""
    return capstone_iou(np.zeros_like(truth), truth)


def same_shape(predicted: np.ndarray, truth: np.ndarray) -> None:
    """Refuse to compare arrays of different shape.

    Raises:
        VolumeError: the shapes differ.
    """
    if predicted.shape != truth.shape:
        finding = f"prediction has shape {predicted.shape}, truth has shape {truth.shape}"
        raise VolumeError("prediction", finding, "score on the grid of the truth")


def _iou(predicted: np.ndarray, truth: np.ndarray, axes: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    overlap = np.count_nonzero(predicted & truth, axis=axes).astype(np.float64)
    union = np.count_nonzero(predicted | truth, axis=axes).astype(np.float64)
    iou: Float[np.ndarray, "..."] = np.divide(overlap, union, out=np.full_like(overlap, np.nan), where=union > 0)
    return iou
