"""The pair store: slices and their label maps, one folder per patient, memory-mapped.

patients/<id>/image.npy   int16, [slice, height, width], Hounsfield or raw intensity; [slice, channel, height, width] of
                          scans of several channels
patients/<id>/label.npy   uint8, [slice, height, width]
patients/<id>/meta.json   Patient, in `nephrite.store.records` as all records
index.csv                 patient, slice, split, pixels per class
split.json                patient -> split, with salt and shares; where there is a table, patient -> person
store.json                Manifest, written last: a folder without it is not a store; it answers for all other files
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int16, UInt8

from nephrite.errors import StoreError
from nephrite.evidence import check_files, check_seal, digest_files, sealed, tell_older
from nephrite.files import digest, read_json, read_record, write_json
from nephrite.imaging.intensity import apply_window
from nephrite.store.index_table import Row, read_index, write_index
from nephrite.store.persons import Persons, check_apart
from nephrite.store.records import EXTERNAL, LESION_FREE, UNLABELED, Manifest, Patient, Provenance, Splits, written

__all__ = [
    "EXTERNAL",
    "LESION_FREE",
    "UNLABELED",
    "Manifest",
    "PairStore",
    "Patient",
    "Provenance",
    "SliceRef",
]  # with what a store is made of
MANIFEST, INDEX, SPLIT = "store.json", "index.csv", "split.json"
ARRAYS = {"image": np.dtype(np.int16), "label": np.dtype(np.uint8)}
AGAIN = "run 'prepare' again; where the slices are synthetic, 'synthesize' and 'screen'"


class SliceRef(NamedTuple):
    """One slice of one patient."""

    patient: str
    position: int


class PairStore:
    """A finished store, opened for reading.

    Raises:
        StoreError: the folder is no store, unfinished, or of another version; or a file of it was changed or lost.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = read_manifest(root)
        remedy = self.manifest.remedy
        check_files(root, self.manifest.files, remedy)
        known = read_record(root / SPLIT, Splits, remedy)
        self.splits: Mapping[str, str] = known.patients
        self._persons: Persons = known.persons
        self._check_whole(remedy)
        check_apart(root / SPLIT, self.splits, self.persons(), remedy)
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
        self._patients: dict[str, Patient] = {}

    def patients(self, split: str | None = None) -> list[str]:
        """Ids of all patients, or of one split, sorted."""
        return sorted(patient for patient, place in self.splits.items() if split in (None, place))

    def persons(self, split: str | None = None) -> dict[str, str]:
        """The person of each patient's id, of all or of one split; see `nephrite.store.persons`."""
        return {patient: self.person(patient) for patient in self.patients(split)}

    def person(self, patient: str) -> str:
        """Who was scanned: the same for several scans of one patient, else the id itself."""
        return self._persons.get(patient, patient)

    @property
    def volumes(self) -> PairStore:
        """This store, which holds the scans of its own label maps."""
        return self

    @property
    def has_table(self) -> bool:
        """Whether a table said whose the scans are."""
        return bool(self._persons)

    def patient(self, patient: str) -> Patient:
        """What is known of one patient."""
        if patient not in self._patients:
            self._patients[patient] = read_patient(self.root, patient, self.manifest.remedy)
        return self._patients[patient]

    def image(self, patient: str) -> Int16[np.ndarray, "slice height width"]:
        """All slices of a patient, in stored units, memory-mapped; raises as `of_one_channel`."""
        return self.of_one_channel()._open(patient, "image")

    def of_one_channel(self) -> PairStore:
        """This store, if its scans have one channel.

        Raises:
            StoreError: who asks would see the first channel alone.
        """
        if names := self.manifest.image_channels:
            finding = f"holds scans of {len(names)} channels ({', '.join(names)}), and one is read here"
            remedy = "take segmenters that take several, or name one in 'acquire.channels'"
            raise StoreError(self.root, finding, remedy)
        return self

    def channel(self, patient: str, number: int) -> Int16[np.ndarray, "slice height width"]:
        """All slices of one channel of a patient, in stored units, memory-mapped."""
        image = self._open(patient, "image")
        return image[:, number] if self.manifest.image_channels else image

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
    def index(self) -> list[Row]:
        """Rows of index.csv: patient, slice, split, and pixels per class name."""
        rows = read_index(self.root / INDEX, self.manifest.classes, self.splits, self.manifest.remedy)
        if not self.manifest.files:  # what an older version wrote has no digest that says it is whole
            counts = {patient: len(self.label(patient)) for patient in self.splits}
            held = [row["patient"] for row in rows]
            if wrong := [name for name, count in counts.items() if held.count(name) != count]:
                finding = f"has {held.count(wrong[0])} slices of '{wrong[0]}', whose label map has {counts[wrong[0]]}"
                raise StoreError(self.root / INDEX, finding, self.manifest.remedy)
        return rows

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
            path, remedy = self.root / "patients" / patient / f"{name}.npy", self.manifest.remedy
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise StoreError(path, f"cannot be read ({error})", remedy) from None
            side = self.manifest.size
            channels = self.manifest.image_channels if name == "image" else ()
            slices = (*((len(channels),) if channels else ()), side, side)
            if array.dtype != ARRAYS[name] or array.ndim != len(slices) + 1 or array.shape[1:] != slices:
                shape = " x ".join(map(str, slices))
                finding = f"holds {array.dtype} of shape {array.shape}, not {ARRAYS[name]} slices of {shape}"
                raise StoreError(path, finding, remedy)
            self._arrays[patient, name] = array
        return self._arrays[patient, name]

    def _check_whole(self, remedy: str) -> None:
        """Refuse a manifest that leaves files of a patient out, and a store of an older version that was changed."""
        manifest = self.root / MANIFEST
        if self.manifest.files:
            if missing := sorted({*files_of(self.splits)} - self.manifest.files.keys()):
                raise StoreError(manifest, f"does not know {missing[0]}", remedy)
            return
        content = read_json(manifest, remedy)
        patients = [read_json(self.root / meta_file(patient), remedy) for patient in sorted(self.splits)]
        known = {"patients": patients, "splits": self.splits, "channels": content["channels"], "size": content["size"]}
        if digest(known) != self.manifest.digest:
            raise StoreError(manifest, "was written for other patients, splits or channels than these", remedy)
        tell_older(manifest)


def meta_file(patient: str) -> str:
    """Where a patient's meta.json lies in a store."""
    return f"patients/{patient}/meta.json"


def files_of(patients: Iterable[str]) -> list[str]:
    """All files of a store of these patients but its manifest."""
    arrays = [f"patients/{patient}/{name}.npy" for patient in patients for name in ARRAYS]
    return [INDEX, SPLIT, *arrays, *map(meta_file, patients)]


def write_patient(root: Path, patient: Patient) -> None:
    """Write a patient's meta.json, after its arrays."""
    write_json(root / meta_file(patient.patient), written(patient))


def read_patient(root: Path, patient: str, remedy: str = AGAIN) -> Patient:
    """Read a patient's meta.json.

    Raises:
        StoreError: the file is missing, broken, or of another patient.
    """
    path = root / meta_file(patient)
    found = read_record(path, Patient, remedy)
    if found.patient != patient:
        raise StoreError(path, f"is of patient '{found.patient}'", remedy)
    return found


def read_manifest(root: Path) -> Manifest:
    """Read what a store is, without its slices.

    Raises:
        StoreError: the folder is no store, unfinished, of another version, or its manifest was changed.
    """
    path = root / MANIFEST
    manifest = read_record(path, Manifest, AGAIN)
    if manifest.files:
        check_seal(read_json(path, AGAIN), path, manifest.remedy)
    return manifest


def finish_store(
    root: Path,
    *,
    kind: Literal["real", "synthetic"],
    splits: dict[str, str],
    split_settings: dict[str, Any],
    classes: dict[int, str],
    channels: dict[str, tuple[int, ...]],
    size: int,
    version: str,
    inputs: Mapping[str, str] | None = None,
    tables: Iterable[str] = (),
    persons: Persons | None = None,
    image_channels: tuple[str, ...] = (),
) -> Manifest:
    """Write index.csv, split.json and store.json over the patients that were written to `root`.

    Args:
        root: the store that is being written.
        kind, classes, channels, size, version, image_channels: see `Manifest`.
        splits: patient to split.
        split_settings: by which it was drawn; for readers.
        inputs: what the slices were made from; see `nephrite.evidence`.
        tables: further files in `root` that the manifest answers for.
        persons: patient to person, where several may be scans of one.
    """
    known = {"persons": dict(persons)} if persons else {}
    write_json(root / SPLIT, {"patients": splits, **known, **split_settings})
    write_index(root, splits, classes)
    files = digest_files(root, [*files_of(splits), *tables])
    manifest = Manifest(kind, classes, channels, size, "", version, files=files, inputs=dict(inputs or {}))
    manifest = replace(manifest, image_channels=image_channels)
    write_json(root / MANIFEST, sealed(written(manifest)))
    return read_manifest(root)


def finish_synthetic(
    root: Path,
    patients: Iterable[str],
    like: Manifest,
    *,
    version: str,
    inputs: Mapping[str, str],
    tables: Iterable[str] = (),
) -> Manifest:
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
        inputs=inputs,
        tables=tables,
    )
