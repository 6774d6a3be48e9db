"""Slices brought to the in-plane size of the store and back: resized, or resampled to one spacing and then fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Num, UInt8
from PIL import Image

from nephrite.config import ResampleSettings, ResizeSettings


@dataclass(frozen=True)
class Grid:
    """The in-plane grid that a volume's slices are brought to.

    Attributes:
        height, width: pixels after scaling, before cropping or padding.
        size: pixels per side at the end.
        spacing: millimeters per slice, row and column at the end.
    """

    height: int
    width: int
    size: int
    spacing: tuple[float, float, float]


def plan_grid(
    settings: ResizeSettings | ResampleSettings, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> Grid:
    """Work out the grid for a volume.

    Args:
        settings: the in-plane setting.
        shape: slices, rows, columns of the volume.
        spacing: millimeters per slice, row and column of the volume.
    """
    rows, columns = shape[1:]
    if isinstance(settings, ResizeSettings):
        height = width = settings.size
    else:
        height, width = (max(1, round(n * mm / settings.spacing)) for n, mm in zip(shape[1:], spacing[1:], strict=True))
    exact = (spacing[0], spacing[1] * rows / height, spacing[2] * columns / width)
    return Grid(height, width, settings.size, exact)


def resize_image(block: Num[np.ndarray, "slice rows columns"], grid: Grid) -> Float32[np.ndarray, "slice size size"]:
    """Bilinear, averaged over the pixels that fall together (Pillow's triangle filter): smooth when shrinking."""
    if block.shape[1:] == (grid.height, grid.width):
        scaled = block.astype(np.float32)
    else:
        scaled = np.stack([_scale(plane.astype(np.float32), (grid.height, grid.width)) for plane in block])
    return fit_center(scaled, (grid.size, grid.size), float(block.min()))


def resize_label(block: UInt8[np.ndarray, "slice rows columns"], grid: Grid) -> UInt8[np.ndarray, "slice size size"]:
    """The class that covers most of each new pixel: nothing appears between two classes that was not there."""
    if block.shape[1:] == (grid.height, grid.width):
        return fit_center(block, (grid.size, grid.size), 0)
    return fit_center(np.stack([_majority(plane, grid) for plane in block]), (grid.size, grid.size), 0)


def restore_planes(
    block: Float32[np.ndarray, "plane size size"], grid: Grid, shape: tuple[int, int]
) -> Float32[np.ndarray, "plane rows columns"]:
    """Undo `resize_image` for what a network says of each pixel, e.g. probabilities; 0 outside of what it saw.

    Bilinear: a threshold applied afterwards gives smoother borders than an enlarged mask.

    Args:
        block: on the store's grid.
        grid: that the volume's slices were brought to.
        shape: rows and columns of the volume.
    """
    scaled = fit_center(block, (grid.height, grid.width), 0)  # cropping at the center undoes padding, and vice versa
    if shape == (grid.height, grid.width):
        return scaled
    return np.stack([_scale(plane, shape) for plane in scaled])


def fit_center(block: np.ndarray, sizes: tuple[int, int], fill: float) -> np.ndarray:
    """Crop or pad the last two axes about their center to so many pixels."""
    for axis, size in zip((1, 2), sizes, strict=True):
        excess = block.shape[axis] - size
        if excess > 0:
            block = np.take(block, np.arange(excess // 2, excess // 2 + size), axis=axis)
        elif excess < 0:
            widths = [(0, 0), (0, 0), (0, 0)]
            widths[axis] = (-excess // 2, -excess - (-excess // 2))
            block = np.pad(block, widths, constant_values=fill)
    return block


def _scale(plane: Float32[np.ndarray, "rows columns"], shape: tuple[int, int]) -> Float32[np.ndarray, "height width"]:
    height, width = shape
    image = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _majority(plane: UInt8[np.ndarray, "rows columns"], grid: Grid) -> UInt8[np.ndarray, "height width"]:
    lowest, highest = int(plane.min()), int(plane.max())
    masks = ((value, plane == value) for value in range(lowest + 1, highest + 1))  # quicker than np.unique
    others = {value: _scale(mask.astype(np.float32), (grid.height, grid.width)) for value, mask in masks if mask.any()}
    if not others:
        return np.full((grid.height, grid.width), lowest, dtype=np.uint8)
    covers = list(others.values())
    rest = 1 - np.sum(covers, axis=0)  # what the lowest value, mostly the background, covers
    values = np.array([lowest, *others], dtype=np.uint8)
    majority: UInt8[np.ndarray, "height width"] = values[np.argmax([rest, *covers], axis=0)]
    return majority
