"""Slices of judged patients, where their scans are given: truth and both arms of the question as outlines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from nephrite.config import ReportSettings
from nephrite.errors import SourceError
from nephrite.imaging.geometry import match_grids
from nephrite.imaging.nifti import NiftiFile, open_nifti
from nephrite.judging.folders import Predicted
from nephrite.judging.scoring import SAVE, any_dicom, on_reference, pair_up, read_map
from nephrite.report.web.patients import Pair, PatientRow
from nephrite.report.web.slices import Views, slice_elements
from nephrite.store.persons import alone, read_persons
from nephrite.words import counted

NAMES = ("{}.nii.gz", "{}.nii", "{}_0000.nii.gz", "{}/imaging.nii.gz")  # the last two are nnU-Net's and KiTS'
CONTRAST = (1, 99)  # percentiles of what is shown that become black and white; the ends are noise
PAGE = ReportSettings()  # the limits of a trial's page are those of this one
MEGABYTE, TEXT = 1_000_000, 2_000_000  # bytes; of the page beside the slices


@dataclass(frozen=True)
class GivenScans:
    """Scans beside the label maps of several arms.

    Attributes:
        scans: folder of ID.nii.gz, ID_0000.nii.gz, or ID/imaging.nii.gz.
        predictions, references: see `nephrite.judging.folders`.
        labels: label values of the region that decides.
        patients: table of scans and whose they are; None: each is a patient's only one.
    """

    scans: Path
    predictions: Path
    references: Path
    labels: Sequence[int]
    patients: Path | None = None

    def check(self) -> None:
        """Refuse what cannot be shown, by the headers alone.

        Raises:
            SourceError: a predicted patient has no scan, or a label map is DICOM.
            VolumeError: a scan cannot be read, or lies on another grid than its reference.
        """
        pairs, truth = self._paired
        maps = [*truth.values(), *(each.path for of_scan in pairs.values() for each in of_scan)]
        if any_dicom(*maps):
            finding = "is not shown beside a DICOM SEG, whose frames need not be those of the scan"
            raise SourceError(self.scans, finding, "give label maps as NIfTI, or leave out --scans")
        if missing := sorted(scan for scan in pairs if self._path(scan) is None):
            finding = f"has no scan of {counted(len(missing), 'predicted patient')}, the first '{missing[0]}'"
            raise SourceError(self.scans, finding, "name them ID.nii.gz, ID_0000.nii.gz or ID/imaging.nii.gz")
        for scan in sorted(pairs):
            self._open(scan)

    def elements(
        self, pair: Pair, rows: Sequence[PatientRow], names: Mapping[str, str], replicates: Sequence[str]
    ) -> tuple[list[str], int]:
        """The page's data elements, and how many slices a patient has at most.

        Args:
            pair: both arms.
            rows: the patients, as the page names them.
            names: patient to the name on the page.
            replicates: name of each cell.
        """
        room = round(PAGE.megabytes * MEGABYTE) - TEXT
        scans = sorted(self._paired[0])
        persons = read_persons(self.patients, scans) if self.patients else alone(scans)
        first = {names[persons[scan]]: scan for scan in reversed(scans)}  # of several scans the first one is shown
        views = self._views(pair, rows, first, replicates)
        return slice_elements(views, pair, rows, most=PAGE.slices, room=room)

    def _views(
        self, pair: Pair, rows: Sequence[PatientRow], first: Mapping[str, str], replicates: Sequence[str]
    ) -> Iterator[Views]:
        for row in rows:
            scan, replicate = first[row.patient], replicates[row.unit[1]]
            maps = {each.arm: each for each in self._paired[0][scan] if each.replicate == replicate}
            view = self._view(row.patient, scan, [maps[pair.against], maps[pair.training_set]])
            yield replace(view, made_by=f"Replicate {replicate}")

    def _view(self, patient: str, scan: str, arms: Sequence[Predicted]) -> Views:
        reference, file = read_map(self._paired[1][scan]), self._open(scan)
        truth = np.isin(reference.labels, self.labels)
        without, with_it = (np.isin(on_reference(reference, arm.path)[1], self.labels) for arm in arms)
        voxels = file.oriented(file.read())
        view = Views(patient, patient, (truth, without, with_it), lambda place: voxels[place], reference.spacing[1:])
        shown = np.stack([voxels[place][view.box] for place in view.chosen(PAGE.slices)])
        low, high = np.percentile(shown, CONTRAST)
        width = float(high - low) or 1.0  # of a scan that is the same everywhere
        return replace(view, gray=lambda place: np.clip((voxels[place] - float(low)) / width, 0, 1))

    def _open(self, scan: str) -> NiftiFile:
        """A scan, with its axes as those of its reference."""
        path = self._path(scan)
        assert path, "checked before"
        reference, file = open_nifti(self._paired[1][scan], remedy=SAVE), open_nifti(path)
        return replace(file, geometry=match_grids(reference.geometry, file.geometry, path))

    def _path(self, scan: str) -> Path | None:
        places = (self.scans / name.format(scan) for name in NAMES)
        return next((path for path in places if path.is_file()), None)

    @cached_property
    def _paired(self) -> tuple[dict[str, list[Predicted]], dict[str, Path]]:
        """The predictions of each scan, and the references that are predicted."""
        pairs, truth = pair_up(self.predictions, self.references)
        return pairs, {scan: truth[scan] for scan in pairs}
