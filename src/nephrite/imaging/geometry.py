"""Where voxels lie: spacing, order of axes, right angles, slice distance and volume, by one rule for every file format.

NIfTI states an affine in a unit of length (NIfTI-1 standard, `xyzt_units`), DICOM a position per slice (PS3.3
C.7.6.2.1.1). Both become millimeters here; readers and stages ask nobody else.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.orientations import aff2axcodes, axcodes2ornt, io_orientation, ornt_transform

from nephrite.errors import VolumeError
from nephrite.imaging.volume import ORIENTATION

log = logging.getLogger(__name__)

TENTH = 0.1  # of a voxel: rounded affines and positions stay below, a wrong grid does not
ROUNDED_POSITION = 0.1  # mm: many scanners write positions with one decimal
SKEW = 0.01  # cosine of the angle between rows and columns
FLAT = 1e-3  # volume spanned by unit steps along the axes; 1 where they are at right angles
UNIT_LENGTH = 1e-3  # how far a quaternion may exceed one: float32, or numbers written with four digits
CUBIC_MILLIMETERS = 1000.0  # in a milliliter
_UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIfTI's code of meters, millimeters, micrometers: to mm


@dataclass(frozen=True)
class Geometry:
    """A voxel grid in space.

    Attributes:
        shape: voxels along the axes as stored.
        affine: stored voxel index to mm, RAS+.
        transform: nibabel's orientation transform of the stored axes to I, P, L.
        unit_given: whether the file says what its lengths are measured in; mm is assumed otherwise.
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]
    transform: Float[np.ndarray, "3 2"]
    unit_given: bool = True

    @property
    def planes(self) -> tuple[int, int, int]:
        """Number of slices, rows, columns."""
        slices, rows, columns = (self.shape[axis] for axis in self._order)
        return slices, rows, columns

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimeters between the centers of slices, rows, columns, without the noise of float32 headers."""
        sizes = voxel_sizes(self.affine)
        slices, rows, columns = (_without_noise(float(sizes[axis])) for axis in self._order)
        return slices, rows, columns

    @property
    def steps(self) -> Float[np.ndarray, "3 3"]:
        """From one slice, row, column to the next, in mm; a step per row."""
        return np.asarray(self.affine[:3, :3].T[self._order])

    def with_spacing(self, spacing: tuple[float, float, float]) -> Geometry:
        """The same grid with so many millimeters along the axes as stored, whatever the file says."""
        affine = self.affine.copy()
        affine[:3, :3] *= np.array(spacing) / voxel_sizes(affine)
        return replace(self, affine=affine, unit_given=True)

    @property
    def _order(self) -> np.ndarray:
        return np.argsort(self.transform[:, 0])


def to_ipl(affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 2"]:
    """Nibabel's orientation transform of an affine's axes (RAS+) to I, P, L."""
    return np.asarray(ornt_transform(io_orientation(affine), axcodes2ornt(tuple(ORIENTATION))))


def voxel_milliliters(spacing: tuple[float, float, float]) -> float:
    """Volume of a voxel in ml, of a spacing in mm: the same number for `prepare`, `evaluate` and `predict`."""
    return float(np.prod(spacing)) / CUBIC_MILLIMETERS


def nifti_geometry(path: Path, header: nib.Nifti1Header, shape: tuple[int, int, int], remedy: str) -> Geometry:
    """The grid of a NIfTI file; the sform counts where it is set, as for nibabel.

    Args:
        path: of the file.
        header: a quaternion that rounding made too long is shortened in it.
        shape: voxels along the axes as stored.
        remedy: what helps where the file has no orientation.

    Raises:
        VolumeError: neither sform nor qform is set, or the axes that they give are not finite, not known, or not at
            right angles (gantry tilt).
    """
    # an orientation that the file states
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if sform <= 0 and qform <= 0:
        raise VolumeError(path, "the affine does not say how the axes lie (sform and qform code are 0)", remedy)
    if sform <= 0:
        _shorten_quaternion(path, header, remedy)
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    if not np.isfinite(affine).all() or _is_flat(affine) or np.isnan(io_orientation(affine)).any():
        raise VolumeError(path, "the affine does not say how the axes lie", remedy)
    # in millimeters
    unit = int(header["xyzt_units"]) % 8
    affine[:3] *= _UNITS.get(unit, 1.0)
    geometry = Geometry(shape, affine, to_ipl(affine), unit in _UNITS)
    _check_angles(path, geometry)
    return geometry


def declared_geometry(header: nib.Nifti1Header, shape: tuple[int, int, int], codes: str) -> Geometry:
    """The grid of a NIfTI file whose orientation is told, not read; spacing as its header says.

    Args:
        header: of the file.
        shape: voxels along the axes as stored.
        codes: where these axes lead, e.g. 'RAS'.
    """
    affine, (sizes, unit) = np.eye(4), (np.abs(header["pixdim"][1:4]).astype(float), int(header["xyzt_units"]) % 8)
    turns = axcodes2ornt(tuple(codes)).astype(float)
    affine[:3, :3] = 0
    for axis, (world, flip) in enumerate(turns):
        affine[int(world), axis] = flip * (sizes[axis] or 1.0) * _UNITS.get(unit, 1.0)
    return Geometry(shape, affine, to_ipl(affine), unit in _UNITS)


def _is_flat(affine: Float[np.ndarray, "4 4"]) -> bool:
    """Whether the three axes span less than a volume."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(sizes.min() == 0 or abs(np.linalg.det(affine[:3, :3] / sizes)) < FLAT)


def _shorten_quaternion(path: Path, header: nib.Nifti1Header, remedy: str) -> None:
    """Bring a quaternion that rounding made longer than one back to one, in the header, for all who read it later."""
    fields = ("quatern_b", "quatern_c", "quatern_d")
    length = math.hypot(*(float(header[field]) for field in fields))
    if length > 1 + UNIT_LENGTH:
        finding = f"the quaternion of its qform is {length:.4g} long, and a rotation's is 1"
        raise VolumeError(path, finding, remedy)
    if length > 1:
        for field in fields:
            header[field] = float(header[field]) / length


def _check_angles(path: Path, geometry: Geometry) -> None:
    """Refuse sheared grids, by the same measure as a DICOM series."""
    along, row, column = geometry.steps
    directions = np.stack([column / np.linalg.norm(column), row / np.linalg.norm(row)])
    cosine = abs(float(directions[0] @ directions[1]))
    if cosine > SKEW:
        finding = f"rows and columns are {math.degrees(math.acos(cosine)):.1f} degrees apart, not 90 (a sheared affine)"
        raise VolumeError(path, finding, "resample the scan to a grid of right angles, or leave the case out")
    offsets = np.stack([0 * along, along * (geometry.planes[0] - 1)])
    if degrees := lean(offsets, directions, geometry.spacing[1:]):
        raise VolumeError(path, *leaning(degrees))


def lean(
    offsets: Float[np.ndarray, "slice 3"], directions: Float[np.ndarray, "2 3"], pixel_spacing: tuple[float, float]
) -> float:
    """Degrees between a stack and the normal of its slices; 0 if no slice starts more than a pixel off the normal.

    Args:
        offsets: of the slices from the first one, in mm.
        directions: unit vectors along a slice's rows and columns.
        pixel_spacing: mm.
    """
    normal = np.cross(*directions)
    along = offsets @ normal
    lateral = np.linalg.norm(offsets - np.outer(along, normal), axis=1)
    worst = int(lateral.argmax())
    if lateral[worst] <= max(pixel_spacing):
        return 0.0
    return float(np.degrees(np.arctan2(lateral[worst], abs(along[worst]))))


def leaning(degrees: float) -> tuple[str, str]:
    """Finding and remedy for slices that are not stacked along their normal."""
    finding = f"gantry tilt of {degrees:.1f} degrees: slices are not stacked along their normal"
    return finding, "resample the series to a straight stack, or leave the case out"


def slice_distance(places: Float[np.ndarray, " slice"]) -> tuple[float, int | None]:
    """The distance in mm of an even stack from the first to the last slice, and a slice that lies off that stack.

    Off is more than a tenth of the distance, and more than rounding of positions explains: so voxels times distance is
    a volume, and a mask on an even grid lies on its slices. (dicom2nifti refuses 5 % and 0.1 mm between neighbors,
    highdicom 1 %; neighbors alone would let a slow drift through.)

    Args:
        places: along the normal, ascending; at least two.
    """
    distance = float(places[-1] - places[0]) / (len(places) - 1)
    off = np.abs(places - places[0] - distance * np.arange(len(places)))
    uneven = off.max() > max(TENTH * distance, ROUNDED_POSITION) + 1e-6
    if not uneven:
        return _without_noise(distance), None
    gaps = np.diff(places)
    return _without_noise(distance), int(np.abs(gaps - np.median(gaps)).argmax()) + 1


def match_grids(image: Geometry, label: Geometry, place: Path) -> Geometry:
    """The label map's grid, with its axes brought to I, P, L as the image's are, whichever order either is stored in.

    Args:
        image: the scan's grid.
        label: the label map's own grid.
        place: the label map's file.

    Raises:
        VolumeError: a corner lies more than a tenth of a voxel away from the image's, or the shapes differ.
    """
    # which axis of the image is each axis of the label map: affines first
    between = np.linalg.inv(image.affine) @ label.affine
    pairs = io_orientation(between)
    known = not np.isnan(pairs).any()
    axes = pairs[:, 0].astype(int) if known else np.arange(3)
    if known and label.shape == tuple(image.shape[axis] for axis in axes):
        # corners of the label map against those of the image
        ends = np.array(label.shape) - 1
        corners = np.stack(np.meshgrid(*[(0.0, float(end)) for end in ends], indexing="ij"), axis=-1).reshape(-1, 3)
        expected = np.empty_like(corners)
        expected[:, axes] = np.where(pairs[:, 1] > 0, corners, ends - corners)
        drift = float(np.abs(apply_affine(between, corners) - expected).max())
        if drift <= TENTH:
            turned = [(image.transform[axis, 0], image.transform[axis, 1] * flip) for axis, flip in pairs.astype(int)]
            return replace(label, transform=np.array(turned))
        finding = f"lies up to {drift:.3g} voxels away from the image ({_told(label)} against {_told(image)})"
    elif label.shape == image.shape:
        finding = (
            f"its affine is not the image's ({_told(label)} against {_told(image)}; both hold {_sizes(image)} voxels)"
        )
    else:
        finding = f"shape {label.shape} differs from the image's {image.shape}"
        finding += "" if _codes(label) == _codes(image) else f" (axes {_codes(label)} against {_codes(image)})"
        raise VolumeError(place, finding, "give the label map of this very scan")
    # the same number of voxels: mostly the right mask, saved without its scan's affine
    if np.allclose(label.affine, np.eye(4)):
        finding = f"was saved with the identity as affine: {finding}"
    remedy = "if both show the same voxels, save the label map with the image's affine; else give this very scan's"
    raise VolumeError(place, finding, remedy)


def warn_of_units(scans: Sequence[Path], count: int) -> None:
    """Say in one line that some of `count` scans do not name their unit of length."""
    if scans:
        which = f"{scans[0]} and {len(scans) - 1} others of {count} do" if len(scans) > 1 else f"{scans[0]} does"
        log.warning("%s not say in what unit lengths are (xyzt_units); read as mm", which)


def warn_of_spacing(spacings: Sequence[tuple[float, float, float]], *, unit_given: bool) -> None:
    """Say in one line that voxel sizes look made up: all scans have the same, and no file says in what unit.

    Args:
        spacings: of all scans, in mm.
        unit_given: whether any file says its unit.
    """
    if not unit_given and len(spacings) > 1 and len({*spacings}) == 1:
        sizes = " x ".join(f"{mm:g}" for mm in spacings[0])
        text = (
            "all %d scans have voxels of %s, and none says in what unit: 'prepare.spacing: nominal' is for made-up ones"
        )
        log.warning(text, len(spacings), sizes)


def _told(geometry: Geometry) -> str:
    """Axis codes, origin and spacing, as a viewer shows them."""
    origin = ", ".join(f"{mm:.4g}" for mm in geometry.affine[:3, 3])
    spacing = " x ".join(f"{mm:.4g}" for mm in voxel_sizes(geometry.affine))
    return f"axes {_codes(geometry)}, origin ({origin}) mm, spacing {spacing} mm"


def _codes(geometry: Geometry) -> str:
    return "".join(aff2axcodes(geometry.affine))


def _sizes(geometry: Geometry) -> str:
    return " x ".join(map(str, geometry.shape))


def _without_noise(millimeters: float) -> float:
    """Six decimals; six digits for what is smaller than a millimeter's tenth."""
    digits = 6 if millimeters >= 0.1 or millimeters <= 0 else 6 - math.floor(math.log10(millimeters))
    return round(millimeters, digits)
