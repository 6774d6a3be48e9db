"""Label maps of an external test set in the label values of ours: another hospital numbers its classes otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nephrite.errors import LabelValueError
from nephrite.imaging.label_maps.region_volume import RegionVolume
from nephrite.imaging.volume import LabelMap, Volume

REMEDY = "name them in 'acquire.external.classes' (null = background), or fix the file"


def translated_blocks(
    volume: Volume, size: int, classes: Mapping[int, str], theirs: Mapping[int, int]
) -> Iterator[tuple[slice, LabelMap]]:
    """Yield the label map as (range of slices, block), as `Volume.label_blocks` does, in our label values.

    Regions that a DICOM SEG or RTSTRUCT names have our values already.

    Args:
        volume: scan and label map.
        size: slices of a block.
        classes: our label values to names.
        theirs: their label values to ours; 0 is background.

    Raises:
        LabelValueError: values that are not integers, or that `theirs` does not name.
        VolumeError: a truncated or damaged file.
    """
    if isinstance(volume, RegionVolume):
        yield from volume.label_blocks(size, classes)
        return
    table = np.zeros(256, np.uint8)
    table[list(theirs)] = list(theirs.values())
    named = {value: classes.get(ours, "background") for value, ours in theirs.items()}
    try:
        for part, block in volume.label_blocks(size, named):
            yield part, table[block]
    except LabelValueError as error:
        raise LabelValueError(error.place, error.finding, REMEDY) from None
