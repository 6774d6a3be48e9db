"""Scans of several channels: NIfTI files on one voxel grid.

channels.json                                                        their names, in order; beside the cases
<case>/imaging_0000.nii.gz, imaging_0001.nii.gz, segmentation.nii.gz  as 'acquire' brings them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Int16
from pydantic import Field

from nephrite.config import PercentileSettings, WindowSettings
from nephrite.errors import ConfigError, VolumeError
from nephrite.files import read_record
from nephrite.imaging.geometry import match_grids
from nephrite.imaging.grid import Grid
from nephrite.imaging.layouts.pairing import Channel
from nephrite.imaging.nifti import NiftiScan, open_nifti_scan
from nephrite.imaging.quantize import StoredScale, check_contrast, store_image
from nephrite.imaging.volume import ScanVolume
from nephrite.record_fields import STRICT, Line

CHANNELS_FILE = "channels.json"


@dataclass(frozen=True)
class StoredChannels:
    """channels.json: names of channels, in the order of their numbers."""

    __pydantic_config__ = STRICT

    channels: Annotated[tuple[Line, ...], Field(min_length=2)]


def stored_channels(folder: Path) -> tuple[str, ...]:
    """Names of the channels of scans that 'acquire' brought; empty where they have one.

    Raises:
        StoreError: the file that tells is damaged.
    """
    if not (folder / CHANNELS_FILE).is_file():
        return ()
    return read_record(folder / CHANNELS_FILE, StoredChannels, "run 'acquire' again").channels


def channel_role(number: int) -> str:
    """What a channel's file in KiTS layout is called, without its suffix."""
    return f"imaging_{number:04d}"


def open_channels(first: ScanVolume, channels: Sequence[Channel]) -> list[ScanVolume]:
    """Each channel of a scan, with its axes as those of the first one.

    Args:
        first: the scan, opened by its first channel.
        channels: of the scan, the first among them.

    Raises:
        VolumeError: a channel cannot be read, or lies on other voxels than the first.
    """
    found = [first]
    for channel in channels[1:]:
        assert isinstance(first, NiftiScan)  # other layouts have one channel
        scan = open_nifti_scan(channel.path)
        try:
            grid = match_grids(first.image.geometry, scan.image.geometry, channel.path)
        except VolumeError as error:
            finding = f"lies on other voxels than the first channel: {error.finding}"
            raise VolumeError(channel.path, finding, "resample all channels to one grid") from error
        found.append(replace(scan, spacing=first.spacing, image=replace(scan.image, geometry=grid)))
    return found


def store_channels(
    volume: ScanVolume,
    channels: Sequence[Channel],
    grid: Grid,
    intensity: WindowSettings | PercentileSettings,
    image: Int16[np.ndarray, "slice *channels size size"],
    *,
    block: int,
) -> list[StoredScale]:
    """Fill `image` with each channel's slices on the grid; what is stored of each means its own.

    Args:
        volume: the scan, opened by its first channel.
        channels: of the scan.
        grid: of the slices.
        intensity: of each channel.
        image: with an axis of channels if there are several.
        block: slices at a time.

    Raises:
        VolumeError: see `open_channels` and `quantize.store_image`; or a channel shows one intensity only.
    """
    scales = []
    for number, scan in enumerate(open_channels(volume, channels)):
        plane = image[:, number] if len(channels) > 1 else image
        scales.append(store_image(scan, grid, intensity, plane, block=block))
        check_contrast(channels[number].path, (int(plane.min()), int(plane.max())), scales[-1].window)
    return scales


def check_intensity(place: Path, names: Sequence[str], intensity: WindowSettings | PercentileSettings) -> None:
    """Refuse one window for several channels.

    Raises:
        ConfigError: the window is fixed.
    """
    if len(names) > 1 and intensity.kind == "window":
        finding = f"is one window, and {place} asks for {len(names)} channels"
        raise ConfigError("prepare.intensity", finding, "take 'percentile', which each channel has its own of")
