"""What looks odd in a prepared case and need not be wrong: `prepare` takes it, and a person should look."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from nephrite.survey.case_facts import AIR

OUTSIDE = 0.2  # share of a label map in the air about the body, from which on it hardly belongs to the scan
DARK = 0.02  # of the way from dark to bright: below is air where there are no Hounsfield units; fat may be at 0.05
FACTOR = 2.0  # by which a spacing may differ from the usual one of the folder
FLAT = 10.0  # slice distance over pixel size, from which on a scan is a few pictures rather than a volume
SHOWN = 5  # positions that are named

Image = Float32[np.ndarray, "slice height width"]
Label = UInt8[np.ndarray, "slice height width"]


def odd_slices(image: Image, label: Label) -> Iterator[str]:
    """Slices that show nothing or what the one before shows, and a label map in the air; a finding with its remedy.

    Args:
        image: in the scan's units, on the store's grid.
        label: of the same grid.
    """
    # slices without anything in them, and those that were written twice
    blank = np.flatnonzero([np.ptp(plane) == 0 for plane in image])
    if len(blank):
        held = sum(bool(label[place].any()) for place in blank)
        more = f", and {held} of them have a label" if held else ""
        yield f"{_slices(blank)} of one intensity{more}; cut them off, or fetch the scan again"
    twice = [place for place in range(1, len(image)) if _is_repeated(image, place)]
    if twice:
        yield f"{_slices(twice)} the same as the one before; remove them, or fetch the scan again"
    # a label map that does not lie on the patient
    labeled = label > 0
    if labeled.any():
        share = float((labeled & air_about(image)).sum() / labeled.sum())
        if share >= OUTSIDE:
            finding = f"{share:.0%} of the label map lies in the air about the body"
            yield f"{finding}; see whether it belongs to this scan, and whether an axis is flipped"
    else:
        yield "the label map holds nothing; see whether that is so"


def air_about(image: Image) -> Bool[np.ndarray, "slice height width"]:
    """Air that reaches the border of its slice; air within the body does not count."""
    low, high = np.percentile(image, (1, 99))
    air = image < (AIR if image.min() < AIR else low + DARK * (high - low))
    border = np.zeros_like(air)
    border[:, (0, -1), :] = True
    border[:, :, (0, -1)] = True
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    return np.asarray(ndimage.binary_propagation(border & air, structure=in_plane, mask=air))


def odd_spacing(spacing: Sequence[float], others: Sequence[Sequence[float]]) -> Iterator[str]:
    """A voxel size that is far from that of the other cases, or flat.

    Args:
        spacing: mm between slices, rows and columns.
        others: the same of all cases of the folder.
    """
    told = " x ".join(f"{mm:g}" for mm in spacing)
    usual = [statistics.median(each[axis] for each in others) for axis in range(len(spacing))]
    if any(not usual_mm / FACTOR <= mm <= usual_mm * FACTOR for mm, usual_mm in zip(spacing, usual, strict=True)):
        middle = " x ".join(f"{mm:g}" for mm in usual)
        yield f"voxels of {told} mm, and the folder's usual ones are {middle} mm; see whether the header is right"
    if spacing[0] > FLAT * max(spacing[1:]):
        finding = f"slices are {spacing[0]:g} mm apart, and pixels {max(spacing[1:]):g} mm wide"
        yield f"{finding}; see whether slices are missing"


def twin_findings(alike: Mapping[str, Sequence[str]], name: str) -> Iterator[str]:
    """Other cases that look nearly the same as this one."""
    if twins := alike.get(name, ()):
        shown = ", ".join(f"'{twin}'" for twin in twins[:SHOWN])
        more = f" and {len(twins) - SHOWN} more" if len(twins) > SHOWN else ""
        yield f"looks nearly the same as {shown}{more}; if they are of one patient, say so in 'acquire.patients'"


def _is_repeated(image: Image, place: int) -> bool:
    return bool(np.ptp(image[place]) > 0 and np.array_equal(image[place], image[place - 1]))


def _slices(places: Sequence[int] | np.ndarray) -> str:
    """'slice 3 is', or 'slices 3, 4 and 7 more are'; the first slice is 1."""
    numbers = [int(place) + 1 for place in places]
    if len(numbers) == 1:
        return f"slice {numbers[0]} is"
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"slices {', '.join(map(str, numbers[:SHOWN]))}{more} are"
