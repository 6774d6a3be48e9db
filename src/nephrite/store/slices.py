"""The pair store: slices and their label maps, one folder per patient, memory-mapped.

patients/<id>/image.npy   int16, [slice, height, width], Hounsfield or raw intensity
patients/<id>/label.npy   uint8, same shape
patients/<id>/meta.json   Patient below
index.csv                 patient, slice, split, pixels per class
split.json                patient -> split, with salt and shares
store.json                Manifest below, written last: a folder without it is not a store
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int16, UInt8

from nephrite.errors import StoreError
from nephrite.files import digest, read_json, read_record, write_json, write_table
from nephrite.imaging.intensity import apply_window

MANIFEST = "store.json"
AGAIN = "run the stage that writes it again"
SYNTHETIC_PREFIX = "synthetic-"
NUMBER_MARK = "~"
UNLABELED = "unlabeled"  # the split of patients whose scans came without label maps
FORMER_UNLABELED = "unlabeled"  # the folder's name in raw data of earlier versions, which is read as well


@dataclass(frozen=True)
class Patient:
    """One patient of a store.

    Attributes:
        patient: id; of a synthetic patient as `synthetic_name` makes it.
        spacing: millimeters per slice, row and column, as stored.
        orientation: axis codes, e.g. 'IPL': slices downwards, rows to the back, columns to the left.
        window: the two ends of the intensity window, in stored units.
        slope, intercept: intensity = stored * slope + intercept.
        sources: SHA-256 of the files that it was made from.
        volumes: class name to mm3 in the scan's own voxels and on the grid, of the classes that the patient has.
        version: of the software that wrote it.
        provenance: of synthetic slices only.
    """

    patient: str
    spacing: tuple[float, float, float]
    orientation: str
    window: tuple[float, float]
    slope: float = 1.0
    intercept: float = 0.0
    sources: dict[str, str] = field(default_factory=dict)
    version: str = ""
    provenance: Provenance | None = None
    volumes: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Provenance:
    """Where synthetic slices come from.

    Attributes:
        source_patient: the patient whose masks were painted, or whose scan lesions were put into.
        source_slices: for each synthetic slice, the slice of the source patient.
        deformation_seeds: for each synthetic slice, the seed of the mask's deformation and edits; None = as it was.
        synthesizer: id of the synthesizer.
        training_patients: the patients whose labels the synthesizer was trained on, or new masks were fitted to.
        unlabeled_patients: the patients of whom it, or the slice, knows the scan without labels.
        source_labels: False where the source's own labels were not read: the masks hold nothing but new lesions, so a
            lesion that the scan has itself is labeled as background.
        style_patient: whose contrast the slices take over; None = the source's own, or one drawn at random.
        style_slices: for each synthetic slice, that patient's slice.
        settings: digest of the settings that the masks were made with.
    """

    source_patient: str
    source_slices: tuple[int, ...]
    deformation_seeds: tuple[int | None, ...]
    synthesizer: str
    training_patients: tuple[str, ...]
    unlabeled_patients: tuple[str, ...] = ()
    source_labels: bool = True
    style_patient: str | None = None
    style_slices: tuple[int, ...] = ()
    settings: str = ""

    @property
    def patients(self) -> set[str]:
        """Every real patient from whose labels these slices derive; a style derives from a scan, not from labels."""
        unread = not self.source_labels and self.source_patient in self.unlabeled_patients
        return {*self.training_patients} | (set() if unread else {self.source_patient})

    def take(self, positions: Iterable[int]) -> Provenance:
        """The provenance of some of the slices."""
        chosen = list(positions)
        return replace(
            self,
            source_slices=tuple(self.source_slices[place] for place in chosen),
            deformation_seeds=tuple(self.deformation_seeds[place] for place in chosen),
            style_slices=tuple(self.style_slices[place] for place in chosen) if self.style_slices else (),
        )


@dataclass(frozen=True)
class Manifest:
    """Facts about a whole store.

    Attributes:
        kind: 'real' or 'synthetic'.
        classes: label value to name.
        channels: channel name to label values, in the order of the segmenter's outputs.
        size: pixels per side.
        digest: of the content: equal data and settings, equal digest.
        version: of the software that wrote it.
    """

    kind: str
    classes: dict[int, str]
    channels: dict[str, tuple[int, ...]]
    size: int
    digest: str
    version: str
    format: Literal[1] = 1


class SliceRef(NamedTuple):
    """One slice of one patient."""

    patient: str
    position: int


class PairStore:
    """A finished store, opened for reading.

    Raises:
        StoreError: the folder is no store, unfinished, or of another version.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = read_record(root / MANIFEST, Manifest, AGAIN)
        self.splits: dict[str, str] = read_json(root / "split.json")["patients"]
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
        self._patients: dict[str, Patient] = {}

    def patients(self, split: str | None = None) -> list[str]:
        """Ids of all patients, or of one split, sorted."""
        return sorted(patient for patient, place in self.splits.items() if split in (None, place))

    def patient(self, patient: str) -> Patient:
        """What is known of one patient."""
        if patient not in self._patients:
            self._patients[patient] = read_patient(self.root, patient)
        return self._patients[patient]

    def image(self, patient: str) -> Int16[np.ndarray, "slice height width"]:
        """All slices of a patient, in stored units, memory-mapped."""
        return self._open(patient, "image")

    def label(self, patient: str) -> UInt8[np.ndarray, "slice height width"]:
        """All label maps of a patient, memory-mapped."""
        return self._open(patient, "label")

    def windowed(self, ref: SliceRef) -> Float32[np.ndarray, "height width"]:
        """One slice through its patient's intensity window, in [0, 1]."""
        low, high = self.patient(ref.patient).window
        return apply_window(self.image(ref.patient)[ref.position], low, high)

    def labels_of(self, slices: Iterable[SliceRef]) -> UInt8[np.ndarray, "slice height width"]:
        """The label maps of some slices, of any patients."""
        return np.stack([self.label(ref.patient)[ref.position] for ref in slices])

    def windowed_of(self, slices: Iterable[SliceRef]) -> Float32[np.ndarray, "slice height width"]:
        """Some slices in [0, 1], of any patients."""
        return np.stack([self.windowed(ref) for ref in slices])

    @cached_property
    def index(self) -> list[dict[str, Any]]:
        """Rows of index.csv: patient, slice, split, and pixels per class name."""
        with (self.root / "index.csv").open(newline="", encoding="utf-8") as file:
            return [
                {key: value if key in ("patient", "split") else int(value) for key, value in row.items()}
                for row in csv.DictReader(file)
            ]

    def slices(self, split: str | None = None, *, labeled_only: bool = False) -> list[SliceRef]:
        """References to all slices, or to those of one split; with `labeled_only`, to those with any class."""
        names = self.manifest.classes.values()
        return [
            SliceRef(row["patient"], row["slice"])
            for row in self.index
            if split in (None, row["split"]) and (not labeled_only or any(row[name] for name in names))
        ]

    def slices_of(
        self, patients: Iterable[str], split: str | None = "train", *, labeled_only: bool = False
    ) -> list[SliceRef]:
        """References to the slices of given patients; see `slices`."""
        asked = set(patients)
        return [ref for ref in self.slices(split, labeled_only=labeled_only) if ref.patient in asked]

    def _open(self, patient: str, name: str) -> np.ndarray:
        if (patient, name) not in self._arrays:
            path = self.root / "patients" / patient / f"{name}.npy"
            try:
                self._arrays[patient, name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise StoreError(path, f"cannot be read ({error})", AGAIN) from None
        return self._arrays[patient, name]


def synthetic_name(source: str, number: int) -> str:
    """Id of the `number`th synthetic patient of a source, from 1; no real id holds the mark before the number."""
    return SYNTHETIC_PREFIX + source + ("" if number == 1 else f"{NUMBER_MARK}{number}")


def source_of(patient: str) -> str:
    """The patient that a patient's masks come from; of a real patient, itself."""
    return patient.removeprefix(SYNTHETIC_PREFIX).partition(NUMBER_MARK)[0]


def write_patient(root: Path, patient: Patient) -> None:
    """Write a patient's meta.json, after its arrays."""
    write_json(root / "patients" / patient.patient / "meta.json", asdict(patient))


def read_patient(root: Path, patient: str) -> Patient:
    """Read a patient's meta.json.

    Raises:
        StoreError: the file is missing or of another version.
    """
    return read_record(root / "patients" / patient / "meta.json", Patient, AGAIN)


def finish_store(
    root: Path,
    *,
    kind: str,
    splits: dict[str, str],
    split_settings: dict[str, Any],
    classes: dict[int, str],
    channels: dict[str, tuple[int, ...]],
    size: int,
    version: str,
) -> Manifest:
    """Write index.csv, split.json and store.json over the patients that were written to `root`."""
    write_json(root / "split.json", {"patients": splits, **split_settings})
    _write_index(root, splits, classes)
    patients = [asdict(read_patient(root, patient)) for patient in sorted(splits)]
    content = {"patients": patients, "splits": splits, "channels": channels, "size": size}
    manifest = Manifest(kind, classes, channels, size, digest(content), version)
    write_json(root / MANIFEST, asdict(manifest))
    return manifest


def finish_synthetic(root: Path, patients: Iterable[str], like: Manifest, *, version: str) -> Manifest:
    """The same for synthetic patients, of the classes and size of another store."""
    return finish_store(
        root,
        kind="synthetic",
        splits=dict.fromkeys(patients, "train"),
        split_settings={},
        classes=like.classes,
        channels=like.channels,
        size=like.size,
        version=version,
    )


def _write_index(root: Path, splits: dict[str, str], classes: dict[int, str]) -> None:
    rows: list[list[object]] = []
    for patient in sorted(splits):
        label = np.load(root / "patients" / patient / "label.npy", mmap_mode="r", allow_pickle=False)
        for index, plane in enumerate(label):
            counts = np.bincount(plane.ravel(), minlength=256)
            rows.append([patient, index, splits[patient], *(int(counts[value]) for value in classes)])
    write_table(root / "index.csv", ["patient", "slice", "split", *classes.values()], rows)
