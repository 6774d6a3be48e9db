"""Label maps stored as one PNG per slice, and which PNG belongs to which image of a series."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from nephrite.errors import LabelValueError, SourceError, VolumeError
from nephrite.imaging.volume import to_label_map

log = logging.getLogger(__name__)
_INDEX_MODES = {"1", "L", "P", "I", "I;16"}


def png_shape(path: Path) -> tuple[int, int]:
    """Height and width of a PNG, from its header.

    Raises:
        VolumeError: the file is empty or not an image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError) as error:
        raise VolumeError(path, "is empty or not a PNG", "fetch the file again") from error


def read_png(path: Path, classes: Mapping[int, str]) -> UInt8[np.ndarray, "height width"]:
    """Read one slice's label map.

    A 1-bit PNG and a palette PNG hold class indices. A gray PNG with nothing but 0 and 255 is a mask of the
    one class, if there is one class only.

    Raises:
        LabelValueError: a color PNG, or values that are not among the classes.
        VolumeError: the file is truncated.
    """
    try:
        with Image.open(path) as image:
            mode, values = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow says SyntaxError for a broken chunk
        raise VolumeError(path, "is truncated or damaged", "fetch the file again") from error
    if mode not in _INDEX_MODES:
        raise LabelValueError(path, f"is a color image (mode {mode})", "save class indices as a gray or palette PNG")
    if mode == "L" and len(classes) == 1 and 255 not in classes and set(np.unique(values)) <= {0, 255}:
        values = (values == 255) * np.uint8(next(iter(classes)))
    return to_label_map(values.astype(np.uint8) if mode == "1" else values, classes, path)


def pair_labels(
    folder: Path, images: Sequence[Path], numbers: Sequence[int | None], labels: Sequence[Path]
) -> tuple[Path, ...]:
    """Find each image's label file.

    Names that are the same but for the suffix decide. Else a number in the labels' names must be, for all of them, the
    images' InstanceNumber or a number in the images' names. Else, with a warning, both are paired in the order of their
    names (numbers in names count as numbers).

    Args:
        folder: where the labels lie, for messages.
        images: DICOM files of one series.
        numbers: their InstanceNumbers.
        labels: PNG files.

    Raises:
        SourceError: another number of labels than images, or numbers that allow two different pairings.
    """
    # one label per image
    if len(labels) != len(images):
        finding = f"{len(labels)} PNG labels for {len(images)} images of the series"
        raise SourceError(folder, finding, "give one PNG per image, also where nothing is labeled")
    # by name, else by number, else by order
    by_stem = {path.stem: path for path in labels}
    if all(path.stem in by_stem for path in images):
        return tuple(by_stem[path.stem] for path in images)
    pairings = _pairings_by_number(images, numbers, labels)
    if len(pairings) > 1:
        finding = "file names and instance numbers lead to different pairs of image and label"
        raise SourceError(folder, finding, "give each PNG the name of its image")
    if pairings:
        return pairings.pop()
    if len(images) > 1:
        log.warning("%s: no number says which PNG belongs to which image; paired in the order of names", folder)
    ordered = dict(zip(sorted(images, key=_natural), sorted(labels, key=_natural), strict=True))
    return tuple(ordered[path] for path in images)


def _pairings_by_number(
    images: Sequence[Path], numbers: Sequence[int | None], labels: Sequence[Path]
) -> set[tuple[Path, ...]]:
    """All pairings in which one number per label equals one number per image."""
    instance = [number for number in numbers if number is not None]
    image_keys = [*_number_columns(images), *([instance] if len(set(instance)) == len(images) else [])]
    pairings = set()
    for keys in _number_columns(labels):
        by_key = dict(zip(keys, labels, strict=True))
        pairings |= {tuple(by_key[key] for key in column) for column in image_keys if set(column) == set(by_key)}
    return pairings


def _number_columns(paths: Sequence[Path]) -> list[list[int]]:
    """The n-th number of every name, for each n where all names have one and all differ."""
    found = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in paths]
    columns = [list(column) for column in zip(*found, strict=False)]
    return [column for column in columns if len(set(column)) == len(paths)]


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)]
