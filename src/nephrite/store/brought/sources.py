"""The fakes of a set: pairs of files, or the patients of a synthetic store of Nephrite's own; found and opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import nibabel as nib
import numpy as np

from nephrite.config import AcquireSettings, ForeignSettings, OriginSettings, PrepareSettings, ProvenanceSettings
from nephrite.errors import SourceError, StoreError
from nephrite.imaging.foreign import ForeignVolume, find_pairs, open_foreign
from nephrite.imaging.layouts.pairing import Pair
from nephrite.imaging.volume import Image, LabelMap, slice_blocks
from nephrite.store.brought.origin import read_provenance
from nephrite.store.records import Patient
from nephrite.store.slices import MANIFEST, PairStore, read_manifest


class StoredFake(NamedTuple):
    """A synthetic patient in a store of Nephrite's own."""

    name: str
    root: Path


Fake: TypeAlias = Pair | StoredFake


@dataclass(frozen=True, kw_only=True)
class StoredVolume(ForeignVolume):
    """A synthetic patient in a store of Nephrite's own."""

    patient: Patient
    store: PairStore

    def image_blocks(self, size: int) -> Iterator[tuple[slice, Image]]:
        """See `Volume`."""
        image, place = self.store.image(self.patient.patient), self.sources["image"][0]
        for part in slice_blocks(len(image), size):
            units = image[part].astype(np.float32) * np.float32(self.patient.slope) + np.float32(self.patient.intercept)
            yield part, self._in_units(units, place)

    def label_blocks(self, size: int, classes: Mapping[int, str]) -> Iterator[tuple[slice, LabelMap]]:
        """See `Volume`."""
        label = self.store.label(self.patient.patient)
        for part in slice_blocks(len(label), size):
            yield part, self._in_classes(label[part], self.sources["label"][0])


def find_fakes(folder: Path, settings: ForeignSettings) -> Sequence[Fake]:
    """The fakes of a set: pairs of files, or the patients of a synthetic store.

    Raises:
        SourceError: nothing is there; or something pairs with nothing.
        StoreError: a store that is broken, or of real slices.
    """
    if not (folder / MANIFEST).is_file():
        return find_pairs(folder, settings)
    if read_manifest(folder).kind != "synthetic":
        raise StoreError(folder, "is a store of real slices, not of synthetic ones", "name one that 'screen' wrote")
    fakes = [StoredFake(name, folder) for name in PairStore(folder).patients()]
    if not fakes:
        raise SourceError(folder, "holds no slice", "name a store with accepted slices")
    return fakes


def check_sets(acquire: AcquireSettings) -> None:
    """Look at all sets that the settings name, before anything is copied: what pairs with what, and what is told.

    Raises:
        DataError: what `find_fakes` and `read_provenance` raise.
    """
    for known in acquire.synthetic.values():
        if known.path is not None:
            find_fakes(known.path, known)
            read_provenance(known.path, known)


def values_of(foreign: ForeignSettings, fake: Fake, settings: PrepareSettings) -> dict[int, int]:
    """Stored label value to ours; those of a store of Nephrite's own are known by the names of its classes."""
    if foreign.classes is not None or isinstance(fake, Pair):
        return foreign.values(settings.classes)
    ours = {name: value for value, name in settings.classes.items()}
    theirs = read_manifest(fake.root).classes
    return {value: ours[kind] for value, kind in theirs.items() if kind in ours}


def open_fake(fake: Fake, foreign: ForeignSettings, settings: PrepareSettings) -> ForeignVolume:
    """Open a fake of either kind; raises as `open_foreign`."""
    if isinstance(fake, Pair):
        return open_foreign(fake, foreign, settings.classes)
    store = PairStore(fake.root)
    patient, shape = store.patient(fake.name), store.image(fake.name).shape
    folder = fake.root / "patients" / fake.name
    return StoredVolume(
        spacing=patient.spacing,
        shape=(shape[0], shape[1], shape[2]),
        sources={"image": (folder / "image.npy",), "label": (folder / "label.npy",)},
        header=nib.Nifti1Header(),
        orientation=patient.orientation,
        values=values_of(foreign, fake, settings),
        scale=foreign.intensity.scale if foreign.intensity else None,
        patient=patient,
        store=store,
    )


def stored_provenance(root: Path, told: ProvenanceSettings) -> ProvenanceSettings:
    """What a store of Nephrite's own says of its slices, where nobody told it otherwise."""
    store = PairStore(root)
    known = [found for patient in store.patients() if (found := store.patient(patient).provenance)]
    if len(known) < len(store.patients()) or any(found.unverifiable for found in known):
        return told
    seen = {patient for found in known for patient in (*found.patients, *found.unlabeled_patients)}
    seen |= {found.style_patient for found in known if found.style_patient}
    origin = OriginSettings(patients=tuple(sorted(seen)))
    filled = {"trained_on": origin, "masks_from": origin, "generator": told.generator or "nephrite"}
    return told.model_copy(update=filled)


def unverifiable_sets(synthetic: PairStore) -> list[str]:
    """Names of the sets among synthetic slices of whom nobody can tell whose data they derive from, sorted."""
    found = (synthetic.patient(patient).provenance for patient in synthetic.patients())
    return sorted({known.brought for known in found if known is not None and known.unverifiable})
