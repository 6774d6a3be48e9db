"""What a program found: a label map of each scan on the scan's grid, and probabilities if it gives them.

<id>.nii.gz                 label values, as in training
<id>_prob_<channel>.nii.gz  one for each channel, between 0 and 1
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.errors import DataError, ProgramError
from nephrite.imaging.nifti import NiftiFile, open_nifti
from nephrite.imaging.volume import to_label_map
from nephrite.programs.case_folders import ENDING, MEND, open_written
from nephrite.segmentation.backend import Prediction


def read_prediction(
    image: Path, folder: Path, name: str, channels: Mapping[str, tuple[int, ...]], *, probabilities: bool
) -> Prediction:
    """Read what was found in one scan.

    Args:
        image: the scan as the program was given it.
        folder: where the program wrote.
        name: of the case.
        channels: name to label values, of which a prediction may have any.
        probabilities: whether it has to give them.

    Raises:
        ProgramError: a file is missing or damaged, lies on another grid, holds a label value that was not there in
            training, or a probability that is none.
    """
    scan, path = open_nifti(image), folder / f"{name}{ENDING}"
    try:
        labels = _label_map(scan, path, channels)
        found = [_probability(scan, folder / f"{name}_prob_{channel}{ENDING}") for channel in channels if probabilities]
    except DataError as error:
        raise ProgramError(f"prediction {Path(error.place).name}", error.finding, MEND) from error
    return Prediction(labels, np.stack(found, axis=1) if found else None)


def _label_map(
    scan: NiftiFile, path: Path, channels: Mapping[str, tuple[int, ...]]
) -> UInt8[np.ndarray, "slice height width"]:
    file = _on_grid(scan, path)
    voxels = file.oriented(file.read())
    values = voxels * file.slope + file.intercept if file.is_scaled else voxels
    known = {value: name for name, own in channels.items() for value in own}
    return to_label_map(values, known, path, step=file.step)


def _probability(scan: NiftiFile, path: Path) -> Float32[np.ndarray, "slice height width"]:
    file = _on_grid(scan, path)
    found: Float32[np.ndarray, "slice height width"] = file.scaled(file.oriented(file.read()), np.float32)
    low, high = float(found.min()), float(found.max())
    if not 0 <= low <= high <= 1:
        raise ProgramError(f"prediction {path.name}", f"holds {low:g} to {high:g}, and probabilities end at 1", MEND)
    return found


def _on_grid(scan: NiftiFile, path: Path) -> NiftiFile:
    return open_written(scan, path, f"prediction {path.name}")
