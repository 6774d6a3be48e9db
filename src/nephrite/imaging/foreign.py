"""Scans with label maps that other programs made: which files are pairs, and how they are read.

Layouts are those of `layouts.pairing`, and that of KiTS; a PNG is one slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float32, Num, UInt8
from PIL import Image as Picture

from nephrite.config import IGNORE_VALUE, ForeignSettings
from nephrite.errors import LabelValueError, SourceError, VolumeError
from nephrite.imaging.geometry import match_grids
from nephrite.imaging.layouts.pairing import LAYOUTS, Pair, check_names, find_layout
from nephrite.imaging.nifti import NiftiVolume, open_nifti
from nephrite.imaging.volume import ROUNDING, Image, LabelMap, Volume

STORED = ("*/imaging.nii.gz", "*/segmentation.nii.gz")  # KiTS, and `nephrite acquire`
OTHERS = (".nii", ".png")
WIDEST = np.iinfo(np.int16)  # of Hounsfield units, as they are stored
GRAYS = (-1.0, 255.0)  # intensities within are of a picture or a generator's own scale
SHOWN = 5


def find_pairs(folder: Path, settings: ForeignSettings) -> list[Pair]:
    """Pair the scans of a folder with their label maps, sorted by name.

    Raises:
        SourceError: the folder is missing or holds no pair; a scan or label map has no counterpart, or several
            channels; a name cannot be an id, or is there twice.
    """
    if not folder.is_dir():
        raise SourceError(folder, "is not a folder", "give the folder of the synthetic scans in 'path'")
    own = [(settings.images, settings.labels)] if settings.images and settings.labels else [*LAYOUTS, STORED]
    found = find_layout(folder, OTHERS, own)
    if found is None:
        known = f" ({own[0][0]} with {own[0][1]})" if len(own) == 1 else ""
        finding = f"holds no synthetic scan with a label map{known}"
        raise SourceError(folder, finding, "say where they lie in 'images' and 'labels'")
    pairs = found.pairs()
    check_names(found.scans)
    return pairs


@dataclass(frozen=True, kw_only=True)
class ForeignVolume(Volume):
    """A synthetic scan with its label map: intensities in Hounsfield units, label values in ours.

    Attributes:
        values: stored label value to ours; all others are background.
        scale: slope and intercept of intensities.
        met: stored label values that were met; grows as label maps are read.
    """

    values: Mapping[int, int]
    scale: tuple[float, float] | None = None
    met: set[int] = field(default_factory=set)

    def _in_units(self, block: Image, place: Path) -> Image:
        if self.scale is None:
            return block
        units: Float32[np.ndarray, "slice height width"] = block.astype(np.float32) * np.float32(
            self.scale[0]
        ) + np.float32(self.scale[1])
        if units.min() < WIDEST.min or units.max() > WIDEST.max:
            finding = f"intensities become {units.min():.4g} to {units.max():.4g}, which are no Hounsfield units"
            raise VolumeError(place, finding, "correct 'intensity' of its set")
        return units

    def _in_classes(self, block: Num[np.ndarray, "slice height width"], place: Path) -> LabelMap:
        """Our label values; stored ones are compared in their own type, since 259 would be 3 in 8 bits."""
        if block.dtype.kind == "f":
            off = ~(np.abs(block - np.rint(block)) <= ROUNDING)  # also NaN
            if off.any():
                finding = f"label value {float(block[off].flat[0]):.6g} is no whole number"
                raise LabelValueError(place, finding, "save the label map without interpolation")
            block = np.rint(block)
        self.met.update(int(value) for value in np.unique(block))
        ours: UInt8[np.ndarray, "slice height width"] = np.zeros(block.shape, np.uint8)
        for stored, value in self.values.items():
            ours[block == stored] = value
        return ours


@dataclass(frozen=True, kw_only=True)
class ForeignNifti(ForeignVolume, NiftiVolume):
    """The same as two NIfTI files."""

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`."""
        for part, block in NiftiVolume.image_blocks(self, size):
            yield part, self._in_units(block, self.image.path)

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`; of values that are no class, none is refused."""
        file = self.label
        voxels = file.oriented(file.read())
        for start in range(0, len(voxels), size):
            part = slice(start, min(start + size, len(voxels)))
            block = voxels[part] * file.slope + file.intercept if file.is_scaled else voxels[part]
            yield part, self._in_classes(block, file.path)


@dataclass(frozen=True, kw_only=True)
class ForeignPicture(ForeignVolume):
    """The same as two PNG files, of one slice."""

    @property
    def image(self) -> Path:
        """The file of the scan."""
        return self.sources["image"][0]

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`."""
        yield slice(0, 1), self._in_units(_pixels(self.image).astype(np.float32), self.image)

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`."""
        place = self.sources["label"][0]
        yield slice(0, 1), self._in_classes(_pixels(place), place)


def open_foreign(pair: Pair, settings: ForeignSettings, classes: dict[int, str]) -> ForeignVolume:
    """Open a synthetic scan with its label map.

    Args:
        pair: its files.
        settings: of its set.
        classes: ours, value to name.

    Raises:
        VolumeError: a file cannot be read; grids differ; or a PNG's spacing is not told.
    """
    scale = settings.intensity.scale if settings.intensity else None
    sources, values = {"image": (pair.image,), "label": (pair.label,)}, settings.values(classes)
    if pair.image.suffix == ".png":
        spacing, shape = _picture_grid(pair, settings.spacing)
        header = nib.Nifti1Header()
        return ForeignPicture(spacing=spacing, shape=shape, sources=sources, header=header, values=values, scale=scale)
    remedy = "save it with a valid sform or qform, or say 'orientation' and 'spacing' of its set"
    scan, mask = (open_nifti(path, remedy=remedy, codes=settings.orientation) for path in (pair.image, pair.label))
    if settings.spacing:
        told = [replace(file, geometry=file.geometry.with_spacing(settings.spacing)) for file in (scan, mask)]
        scan, mask = told
    grid = match_grids(scan.geometry, mask.geometry, pair.label)
    return ForeignNifti(
        spacing=scan.geometry.spacing,
        shape=scan.geometry.planes,
        sources=sources,
        header=scan.header,
        unit_given=scan.geometry.unit_given,
        values=values,
        scale=scale,
        image=scan,
        label=replace(mask, geometry=grid),
    )


def check_units(place: Path, ends: tuple[float, float], settings: ForeignSettings) -> None:
    """Refuse intensities that lie where those of pictures and of generators' own scales do, where nothing is told.

    Args:
        place: the file.
        ends: least and greatest intensity.
        settings: of its set.

    Raises:
        VolumeError: they cannot be Hounsfield units: air is -1000, and fat is below 0.
    """
    if settings.intensity is None and GRAYS[0] <= ends[0] and ends[1] <= GRAYS[1]:
        finding = f"has intensities from {ends[0]:.4g} to {ends[1]:.4g}, which are no Hounsfield units"
        remedy = "say in 'intensity' of its set what they stand for, e.g. {stored: [0, 1], units: [-1000, 1000]}"
        raise VolumeError(place, finding, remedy)


def unmatched(place: Path, met: Sequence[int], values: Mapping[int, int]) -> LabelValueError:
    """What a map of classes is refused by that fits no label map of its set."""
    others = sorted({*met} - {0, IGNORE_VALUE})
    shown = ", ".join(map(str, others[:SHOWN])) + (", ..." if len(others) > SHOWN else "")
    finding = f"no label map holds any of the values {sorted(values)} that are classes; they hold {shown or 'nothing'}"
    return LabelValueError(place, finding, "correct 'classes' of its set")


def _picture_grid(
    pair: Pair, spacing: tuple[float, float, float] | None
) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    """Spacing and shape of a pair of PNG files."""
    if spacing is None:
        remedy = "say 'spacing' of its set: slice, row, column"
        raise VolumeError(pair.image, "does not say how large a pixel is", remedy)
    scan, mask = _pixels(pair.image).shape, _pixels(pair.label).shape
    if mask != scan:
        finding = f"size {mask[1:]} differs from the scan's {scan[1:]}"
        raise VolumeError(pair.label, finding, "give the label map of this very slice")
    return spacing, (1, scan[1], scan[2])


def _pixels(path: Path) -> Num[np.ndarray, "1 height width"]:
    try:
        with Picture.open(path) as picture:
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise VolumeError(path, f"is no PNG that can be read ({type(error).__name__})", "save it again") from None
    if pixels.ndim != 2:
        raise VolumeError(path, f"has {pixels.ndim} axes, and a gray picture has 2", "save it in gray levels")
    return pixels[None]
