"""Label maps made of a network's channels, and written on a scan's own voxel grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, UInt8
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from nephrite.imaging.volume import ORIENTATION

_GRID = "sform_code srow_x srow_y srow_z qform_code quatern_b quatern_c quatern_d qoffset_x qoffset_y qoffset_z"


def paint_labels(
    found: Bool[np.ndarray, "channel slice height width"], channels: Mapping[str, tuple[int, ...]]
) -> UInt8[np.ndarray, "slice height width"]:
    """One label value per voxel, where channels may overlap: that of the most specific channel found there.

    The same rule serves predicted masks and pseudo-labels. A channel that stands
    for fewer values is more specific, wherever it stands in the order; of equally specific ones the later overrules.
    So with kidney = [1, 2] and tumor = [2], as with [1] and [2], a voxel where both are found becomes 2. The value of a
    channel is the first one that no more specific channel within it stands for, else its first.

    Args:
        found: where each channel reaches the threshold.
        channels: name to label values, in the order of `found`.
    """
    labels = np.zeros(found.shape[1:], np.uint8)
    places = {name: number for number, name in enumerate(channels)}
    for name, value in channel_values(channels).items():
        labels[found[places[name]]] = value
    return labels


def channel_values(channels: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The value that each channel paints, in the order of painting: see `paint_labels`."""
    values = list(channels.values())
    ordered = sorted(channels.items(), key=lambda item: -len(item[1]))  # sorted keeps order among equals
    return {name: _own_value(own, values) for name, own in ordered}


def split_channels(
    labels: UInt8[np.ndarray, "slice height width"], channels: Mapping[str, Sequence[int]]
) -> Bool[np.ndarray, "slice channel height width"]:
    """Where the label is one of a channel's values, for each channel in their order."""
    return np.stack([np.isin(labels, values) for values in channels.values()], axis=1)


def _own_value(values: tuple[int, ...], channels: list[tuple[int, ...]]) -> int:
    within = {value for other in channels if set(other) < set(values) for value in other}
    return next((value for value in values if value not in within), values[0])


def write_mask(path: Path, mask: UInt8[np.ndarray, "slice height width"], header: nib.Nifti1Header) -> None:
    """Write a label map in the axes and on the grid of the scan that `header` belongs to.

    Only the geometry is taken from the header: its other fields may say who was scanned.

    Args:
        path: of the NIfTI file.
        mask: with the axes of `ORIENTATION`.
        header: of the scan.
    """
    affine = header.get_best_affine()
    back = ornt_transform(axcodes2ornt(tuple(ORIENTATION)), io_orientation(affine))
    stored = np.ascontiguousarray(apply_orientation(mask, back))
    second = isinstance(header, nib.Nifti2Header)
    image = nib.Nifti2Image(stored, affine) if second else nib.Nifti1Image(stored, affine)
    for field in _GRID.split():
        image.header[field] = header[field]
    image.header["pixdim"][:4] = header["pixdim"][:4]
    image.header["xyzt_units"] = int(header["xyzt_units"]) % 8  # of space, as it stands
    nib.save(image, path)


def count_slices(mask: UInt8[np.ndarray, "slice height width"], values: list[int]) -> dict[int, tuple[int, int]]:
    """For each label value its voxels, and the slices that hold any."""
    counts = np.array([np.bincount(plane.ravel(), minlength=256) for plane in mask])
    return {value: (int(counts[:, value].sum()), int((counts[:, value] > 0).sum())) for value in values}
