"""What an arm found, on each scan's own voxels: kept as label maps, and scored against the reader's own label map.

The grid of preparation is what a segmenter learns on. Scores there leave out what the grid itself costs, and cannot be
compared with those of another program, or with a challenge's tables. Here probabilities are brought to the scan's rows
and columns as `predict` brings them, then cut, and the label map is scored as it is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from nephrite.config import Config
from nephrite.errors import SourceError
from nephrite.files import sha256
from nephrite.imaging.grid import Grid, plan_grid, restore_planes
from nephrite.imaging.label_maps.translating import translated_blocks
from nephrite.imaging.masks import paint_labels, write_mask
from nephrite.imaging.sources import Case, find_cases, open_volume
from nephrite.imaging.volume import Volume, slice_blocks
from nephrite.metrics.scores import RegionScore, score_regions
from nephrite.metrics.windows import Window
from nephrite.redaction import hidden_name
from nephrite.segmentation.backend import Prediction, Trained
from nephrite.store.slices import EXTERNAL, PairStore

MASK = "segmentation.nii.gz"


@dataclass(frozen=True)
class NativeScans:
    """The judged patients' scans and label maps as they lie in raw data.

    Attributes:
        raw: the folder that the store was prepared from.
        store: the prepared slices.
        config: settings.
        kept: folder that gets each label map that is found; None = none is kept.
    """

    raw: Path
    store: PairStore
    config: Config
    kept: Path | None = None

    def score(
        self, patient: str, prediction: Prediction, trained: Trained, regions: Collection[str]
    ) -> dict[str, RegionScore]:
        """Scores of a patient's regions on the scan's own voxels; the label map is kept.

        Args:
            patient: id in the store.
            prediction: on the store's grid.
            trained: what predicted it.
            regions: names of those that are scored.

        Raises:
            SourceError: the patient is not in raw data, or the files are not those that the store was made from.
            DataError: a file cannot be read.
        """
        volume, settings = self._volume(patient), self.config.evaluate
        found, block = self._found(volume, patient, prediction, trained), self.config.prepare.block
        # against the reader's own label map
        marked, classes = np.zeros(volume.shape, np.uint8), self.store.manifest.classes
        theirs = self.config.external_values
        abroad = self.store.splits[patient] == EXTERNAL
        blocks = translated_blocks(volume, block, classes, theirs) if abroad else volume.label_blocks(block, classes)
        for part, label in blocks:
            marked[part] = label
        labels = {name: settings.regions[name].labels for name in regions}
        return score_regions(
            {name: np.isin(found, values) for name, values in labels.items()},
            {name: np.isin(marked, values) for name, values in labels.items()},
            spacing=volume.spacing,
            tolerances={name: settings.regions[name].tolerance for name in regions},
            measured=self.config.prepare.spacing == "measured",
        )

    def keep(self, patient: str, seen: Sequence[tuple[Window, Prediction]], trained: Trained) -> None:
        """Keep the label map of what was found in windows; elsewhere it is background, since nothing was predicted.

        Args:
            patient: id in the store.
            seen: windows with what was found in each, on the store's grid.
            trained: what predicted it.

        Raises:
            SourceError, DataError: as `score`.
        """
        if self.kept:
            whole = assembled(seen, self.store.label(patient).shape)
            self._found(self._volume(patient), patient, whole, trained)

    def _found(
        self, volume: Volume, patient: str, prediction: Prediction, trained: Trained
    ) -> UInt8[np.ndarray, "slice rows columns"]:
        """The label map in the scan's own rows and columns, which is kept."""
        grid = plan_grid(self.config.prepare.in_plane, volume.shape, volume.spacing)
        found = np.zeros(volume.shape, np.uint8)
        for part in slice_blocks(len(found), self.config.prepare.block):
            found[part] = own_labels(prediction, part, trained, grid, volume.shape[1:])
        if self.kept:
            path = self.kept / patient / MASK
            path.parent.mkdir(parents=True)
            write_mask(path, found, volume.header)
        return found

    def _volume(self, patient: str) -> Volume:
        case = self._cases.get(patient)
        if case is None:
            finding = f"does not hold '{patient}', whom {self.store.root} has"
            raise SourceError(self.raw, finding, "name the raw data that 'prepare' read")
        volume = open_volume(case, self.config.prepare)
        digests = {hidden_name(path): sha256(path) for paths in volume.sources.values() for path in paths}
        if digests != self.store.patient(patient).sources:
            finding = f"is not the scan that {self.store.root} was made from"
            raise SourceError(case.image, finding, "run 'prepare' again on this raw data")
        return volume

    @cached_property
    def _cases(self) -> Mapping[str, Case]:
        external = self.raw / EXTERNAL
        cases = [*find_cases(self.raw), *(find_cases(external) if external.is_dir() else ())]
        return {case.patient: case for case in cases}


def assembled(seen: Sequence[tuple[Window, Prediction]], shape: Sequence[int]) -> Prediction:
    """What was found in windows as one prediction of all slices, zero elsewhere; where two overlap, the larger value.

    Args:
        seen: windows with what was found in each.
        shape: slices, height, width of the scan on the store's grid.
    """
    labels, said = np.zeros(shape, np.uint8), seen[0][1].probabilities
    slices, height, width = shape
    probabilities = None if said is None else np.zeros((slices, said.shape[1], height, width), np.float32)
    for window, prediction in seen:
        np.maximum(window.cut(labels), prediction.labels, out=window.cut(labels))
        if probabilities is not None and prediction.probabilities is not None:
            np.maximum(window.cut(probabilities), prediction.probabilities, out=window.cut(probabilities))
    return Prediction(labels, probabilities)


def own_labels(
    prediction: Prediction, part: slice, trained: Trained, grid: Grid, shape: tuple[int, int]
) -> UInt8[np.ndarray, "slice rows columns"]:
    """Label map of some slices in a scan's own rows and columns, by the rule of `predict`.

    Args:
        prediction: on the store's grid.
        part: the slices.
        trained: what predicted it; its threshold cuts probabilities, and masks of a segmenter without any at one half.
        grid: that the scan's slices were brought to.
        shape: rows and columns of the scan.
    """
    said, threshold = prediction.probabilities, trained.threshold
    if said is None:
        said, threshold = prediction.masks(trained.channels, threshold).astype(np.float32), 0.5
    planes: list[Float32[np.ndarray, "slice rows columns"]] = [
        restore_planes(said[part, number], grid, shape) for number in range(len(trained.channels))
    ]
    return paint_labels(np.stack([plane >= threshold for plane in planes]), trained.channels)
