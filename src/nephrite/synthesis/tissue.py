"""Tissue maps: the background of a label map, quantized from the image, so that a generator need not guess it.

Labels say nothing of more than 95 % of an abdominal slice. A tissue class is a range of intensities of the windowed
image: Hounsfield ranges for CT in a fixed window, ranges fitted on the training images for anything else.

b  batch    h, w  height and width in pixels    k  channels of the condition
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from nephrite.augment.smoothing import blur
from nephrite.errors import ConfigError

Kind = Literal["hounsfield", "quantiles", "clusters"]
THRESHOLDS = (-160.0, -20.0, 100.0, 250.0)  # air and lung | fat | soft tissue | contrast-filled | bone
LOWER_END = 1 / 256  # up to here a windowed value is the constant background: air outside, or what pads a slice
BINS = 4096
ANY_BACKGROUND = 0.01  # share of all pixels from which on the constant background has a class of its own
ROUNDS = 100


def fit_edges(
    images: Iterable[Float[Tensor, "b 1 h w"]],
    *,
    kind: Kind,
    classes: int = 6,
    window: tuple[float, float] | None = None,
) -> tuple[float, ...]:
    """The intensities that part the tissue classes, in windowed units, ascending; there is one class more.

    'quantiles': classes with equal shares of the body's pixels over all images. 'clusters': classes whose pixels are
    near their class's mean (k-means), which keeps small bright organs apart where most of the body is dark. With
    either, the constant background has a class of its own, the lowest, up to halfway to the darkest hundredth of the
    body.

    Args:
        images: windowed to [0, 1]; batches of the training patients. Not read for 'hounsfield'.
        kind: where the edges come from.
        classes: at most so many tissue classes; not of 'hounsfield'.
        window: lower and upper end in Hounsfield units; of 'hounsfield' only. Thresholds outside of it are dropped.

    Raises:
        ConfigError: 'hounsfield' without a fixed window, or with one that no threshold lies in.
    """
    if kind != "hounsfield":
        return _measured_edges(images, classes, clusters=kind == "clusters")
    low, high = window or (0.0, 0.0)
    edges = tuple((value - low) / (high - low) for value in THRESHOLDS if low < value < high)
    if not edges:
        finding = "'hounsfield' needs a fixed window in Hounsfield units with a border between tissues inside"
        raise ConfigError("train_gan.tissue.kind", f"{finding}, not {window}", "use 'quantiles'")
    return edges


def tissue_map(image: Float[Tensor, "b 1 h w"], edges: Sequence[float], *, smoothing: float) -> UInt8[Tensor, "b h w"]:
    """The tissue class of each pixel, 0 to len(edges), in smooth areas.

    The image is blurred before its intensities are cut into classes; then each pixel takes the class that weighs most
    around it, which removes specks and the thin seam of a middle class between a dark and a bright one.

    Args:
        image: windowed to [0, 1].
        edges: from `fit_edges`.
        smoothing: sigma in pixels of both steps; 0 for none.
    """
    borders = torch.tensor(list(edges), dtype=torch.float32, device=image.device)
    classes = torch.bucketize(blur(image[:, 0].float().contiguous(), smoothing), borders, right=True)
    if smoothing > 0:
        present = torch.stack([classes == value for value in range(len(edges) + 1)], dim=1)
        classes = blur(present.float(), smoothing).max(1).indices  # argmax takes six times as long
    return classes.to(torch.uint8)


def condition(
    label: UInt8[Tensor, "b h w"], tissue: UInt8[Tensor, "b h w"] | None, classes: Sequence[int], tissues: int
) -> Float[Tensor, "b k h w"]:
    """What a generator is asked for: one channel per tissue class, then one per label class in the order of `classes`.

    A label class overrides the tissue. Label values that are no class count as background. Without a tissue map there
    is one channel for the background in the place of the tissues.

    Args:
        label: label values.
        tissue: tissue classes below `tissues`; None for a condition of labels alone.
        classes: label values.
        tissues: number of tissue classes; of no meaning without a tissue map.
    """
    values = torch.tensor(list(classes), dtype=label.dtype, device=label.device)
    present = label[:, None] == values[:, None, None]
    background = ~present.any(dim=1, keepdim=True)
    if tissue is not None:
        kinds = torch.arange(tissues, dtype=tissue.dtype, device=tissue.device)
        background = background & (tissue[:, None] == kinds[:, None, None])
    return torch.cat([background, present], dim=1).float()


def _measured_edges(images: Iterable[Float[Tensor, "b 1 h w"]], classes: int, *, clusters: bool) -> tuple[float, ...]:
    # histogram of the body, background left out
    counts = torch.zeros(BINS, dtype=torch.float64)
    for image in images:
        counts += torch.histc(image.float().cpu(), BINS, 0, 1).double()
    values = (np.arange(BINS) + 0.5) / BINS
    body = np.where(values <= LOWER_END, 0, counts.numpy())
    if not body.sum():
        return ()
    # edges at equal shares of pixels, then moved to clusters if asked for
    background = 1 - float(body.sum() / counts.sum()) > ANY_BACKGROUND
    parts = max(classes - background, 1)
    share = np.cumsum(body) / body.sum()
    found = values[np.searchsorted(share, np.arange(1, parts) / parts)]
    if clusters:
        found = _cluster_edges(values, body, found)
    # one more edge between background and body
    first = [max(float(values[np.searchsorted(share, 0.01)]) / 2, LOWER_END)] if background else []
    return tuple(sorted({*first, *(float(edge) for edge in found)}))


def _cluster_edges(values: np.ndarray, weight: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Move edges midway between the means of what they part, until they stay (Lloyd's k-means, on a histogram)."""
    for _ in range(ROUNDS):
        members = np.digitize(values, edges)
        total = np.bincount(members, weight, len(edges) + 1)
        means = np.bincount(members, weight * values, len(edges) + 1)[total > 0] / total[total > 0]
        moved = (means[1:] + means[:-1]) / 2
        if np.array_equal(moved, edges):
            break
        edges = moved
    return edges
