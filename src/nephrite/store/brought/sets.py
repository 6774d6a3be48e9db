"""Sets of synthetic data that other programs made, as they lie in raw data and in the store of real slices.

    raw/synthetic/NAME/<fake>/imaging.nii.gz, segmentation.nii.gz     as they came; or a store of Nephrite's own
    raw/synthetic/NAME/provenance.json                                what is told of them
    PAIRS/synthetic/NAME                                              a pair store of them, with ForeignRecord

Each is a store of its own, outside of the split: another set changes no digest of the real slices.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from nephrite import __version__
from nephrite.config import AcquireSettings, ForeignSettings, PrepareSettings
from nephrite.errors import LeakageError, SourceError, StoreError
from nephrite.files import read_record, sha256, write_json
from nephrite.imaging.foreign import check_units, unmatched
from nephrite.imaging.grid import plan_grid, resize_label
from nephrite.imaging.layouts.pairing import Pair
from nephrite.imaging.quantize import check_contrast, store_image
from nephrite.progress import progress_bar
from nephrite.redaction import hidden_name
from nephrite.store.arrays import create_arrays
from nephrite.store.brought.origin import FILE, ForeignRecord, judge_provenance, read_provenance
from nephrite.store.brought.sources import Fake, find_fakes, open_fake, values_of
from nephrite.store.brought.twins import Likeness, Twin, find_foreign_twins, likeness_of
from nephrite.store.persons import Persons, held_out
from nephrite.store.records import BROUGHT, Manifest, Patient, Provenance
from nephrite.store.slices import MANIFEST, PairStore, finish_synthetic, write_patient
from nephrite.store.synthetic_names import synthetic_name
from nephrite.store.twins import Looks, slice_looks
from nephrite.workers import worker_pool

logger = logging.getLogger(__name__)
AS_COPIED = {"images": "*/imaging.nii.gz", "labels": "*/segmentation.nii.gz"}
SYNTHESIZER = "brought"  # stands for the id of a synthesizer until there is one
SHOWN = 3


Counts: TypeAlias = dict[str, float]


class Real(NamedTuple):
    """The real scans of a store.

    Attributes:
        scans: id to perceptual hashes of the slices, and SHA-256 of files and voxels.
        splits: id to split.
        persons: id to who was scanned.
        manifest: of the store.
    """

    scans: Mapping[str, tuple[Looks, Sequence[str]]]
    splits: Mapping[str, str]
    persons: Persons
    manifest: Manifest


class Brought(NamedTuple):
    """A fake, once its slices are written.

    Attributes:
        patient: its record, without provenance.
        place: its file.
        likeness: by which it is recognized.
        met: label values in its file.
    """

    patient: Patient
    place: Path
    likeness: Likeness
    met: frozenset[int]


def set_folder(pairs: Path, name: str) -> Path:
    """Where the store of a set lies in the store of real slices."""
    return pairs / BROUGHT / name


def read_set(pairs: Path, name: str) -> tuple[PairStore, ForeignRecord]:
    """Open a set that `prepare` wrote, and what is known of it.

    Raises:
        StoreError: it is missing, broken or changed.
    """
    root = set_folder(pairs, name)
    if not (root / MANIFEST).is_file():
        finding = f"is missing: 'prepare' was run without 'acquire.synthetic.{name}'"
        raise StoreError(root, finding, "run 'acquire' and 'prepare' again")
    store = PairStore(root)
    return store, read_record(root / FILE, ForeignRecord, "run 'prepare' again")


def bring_sets(acquire: AcquireSettings, settings: PrepareSettings, raw: Path, root: Path, real: Real) -> Counts:
    """Write the store of every set of 'acquire.synthetic' into the store of real slices.

    Args:
        acquire, settings: how files are read, and brought to the grid.
        raw: folder of raw volumes.
        root: the store of real slices that is being written.
        real: what is known of its scans.

    Returns:
        What is counted, as metrics.

    Raises:
        DataError: a fake cannot be read, has no Hounsfield units, or all lack the classes.
        LeakageError: a set knows a patient who must not be learned from, as it tells or as a twin shows.
    """
    if not acquire.synthetic:
        return {}
    # what real scans are recognized by, their stored slices among it
    likenesses = {}
    for patient, (looks, digests) in real.scans.items():
        image = np.load(root / "patients" / patient / "image.npy", mmap_mode="r", allow_pickle=False)
        likenesses[patient] = likeness_of(image, looks, digests)
    # one set after the other
    counts = {"brought_scans": 0.0, "brought_twins": 0.0, "unverifiable_sets": 0.0}
    for name in acquire.synthetic:
        record, fakes = _bring_set(name, acquire, settings, raw=raw, root=root, real=real, likenesses=likenesses)
        counts["brought_scans"] += fakes
        counts["brought_twins"] += len(record.shows)
        counts["unverifiable_sets"] += record.standing == "unverifiable"
    return counts


def _bring_set(
    name: str,
    acquire: AcquireSettings,
    settings: PrepareSettings,
    *,
    raw: Path,
    root: Path,
    real: Real,
    likenesses: Mapping[str, Likeness],
) -> tuple[ForeignRecord, int]:
    # what is told, before anything is read
    foreign, folder, target = acquire.synthetic[name], raw / BROUGHT / name, set_folder(root, name)
    if not folder.is_dir():
        raise SourceError(folder, "is missing", "run 'acquire' again")
    told, own = read_provenance(folder), acquire.own_data_sets
    record = judge_provenance(name, told, real.splits, real.persons, own_data_sets=own, place=folder / FILE)
    # slices on the grid
    fakes = find_fakes(folder, foreign.model_copy(update=AS_COPIED))
    done = sorted(_write_all(name, fakes, foreign, settings, target), key=lambda one: one.patient.patient)
    values, met = values_of(foreign, fakes[0], settings), {value for one in done for value in one.met}
    if not met & values.keys():
        raise unmatched(folder, sorted(met), values)
    # twins of real patients
    twins = find_foreign_twins({one.patient.patient: one.likeness for one in done}, likenesses, real.persons)
    _check_twins(done, twins, real)
    record = replace(record, shows={fake: tuple(twin.patient for twin in found) for fake, found in twins.items()})
    # whom each fake derives from
    for one in done:
        provenance = _provenance(record, one, twins.get(one.patient.patient, []), real.splits)
        write_patient(target, replace(one.patient, provenance=provenance))
    write_json(target / FILE, asdict(record))
    names, inputs = [one.patient.patient for one in done], {"pairs": real.manifest.digest}
    finish_synthetic(target, names, real.manifest, version=__version__, inputs=inputs, tables=[FILE])
    return record, len(done)


def _write_all(
    name: str, fakes: Sequence[Fake], foreign: ForeignSettings, settings: PrepareSettings, target: Path
) -> Iterator[Brought]:
    target.mkdir(parents=True)
    if settings.workers == 1 or len(fakes) == 1:
        for fake in progress_bar(fakes, f"prepare {name}", len(fakes)):
            yield write_fake(name, fake, foreign, settings, target)
        return
    with worker_pool(min(settings.workers, len(fakes)), setting="prepare.workers") as pool:
        futures = [pool.submit(write_fake, name, fake, foreign, settings, target) for fake in fakes]
        for future in progress_bar(as_completed(futures), f"prepare {name}", len(futures)):
            yield future.result()


def write_fake(name: str, fake: Fake, foreign: ForeignSettings, settings: PrepareSettings, target: Path) -> Brought:
    """Write a fake's image and label map on the grid of the store, as those of a real scan.

    Raises:
        DataError: it cannot be read, or its intensities are no Hounsfield units.
    """
    volume = open_fake(fake, foreign, settings)
    grid = plan_grid(settings.in_plane, volume.shape, volume.spacing)
    known, place = synthetic_name(f"{name}.{fake.name}", 1), volume.sources["image"][0]
    image, label = create_arrays(target, known, (volume.shape[0], grid.size, grid.size))
    scale = store_image(volume, grid, settings.intensity, image, block=settings.block)
    ends = (int(image.min()), int(image.max()))
    if settings.intensity.kind == "window" and isinstance(fake, Pair):
        check_units(place, (ends[0] * scale.slope + scale.intercept, ends[1] * scale.slope + scale.intercept), foreign)
    check_contrast(place, ends, scale.window)
    for part, block in volume.label_blocks(settings.block, settings.classes):
        label[part] = resize_label(block, grid)
    # by what a twin is recognized
    digests = {path: sha256(path) for paths in volume.sources.values() for path in paths}
    voxels = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
    scans = [digests[path] for path in volume.sources["image"]]
    patient = Patient(
        known,
        grid.spacing,
        volume.orientation,
        scale.window,
        scale.slope,
        scale.intercept,
        {hidden_name(path): digest for path, digest in digests.items()},
        __version__,
    )
    return Brought(patient, place, likeness_of(image, slice_looks(image), [*scans, voxels]), frozenset(volume.met))


def _check_twins(done: Sequence[Brought], twins: Mapping[str, Sequence[Twin]], real: Real) -> None:
    """Refuse fakes that show a patient who is judged or chosen by, whatever is told of them."""
    splits, persons = real.splits, real.persons
    barred, places = held_out(splits, persons), {one.patient.patient: one.place for one in done}
    leaks = [(fake, twin) for fake, found in twins.items() for twin in found if persons[twin.patient] in barred]
    if leaks:
        fake, twin = leaks[0]
        more = f" (and {len(leaks) - 1} more)" if leaks[1:] else ""
        finding = f"shows '{twin.patient}' ({splits[twin.patient]}; likeness {twin.likeness:.2f}){more}"
        raise LeakageError(places[fake], finding, "leave the set out: its generator knows who must not be learned from")
    if twins:
        some = ", ".join(f"{fake} {found[0].patient}" for fake, found in [*twins.items()][:SHOWN])
        logger.warning("%d of %d fakes show patients of this trial: %s", len(twins), len(done), some)


def _provenance(record: ForeignRecord, one: Brought, twins: Sequence[Twin], splits: Mapping[str, str]) -> Provenance:
    """Whom a fake derives from: as is told of its set, and whom it shows; the most alike counts as its source."""
    count, first = len(one.likeness.looks), twins[0] if twins else None
    shown = {twin.patient for twin in twins}
    labeled = {patient for patient in shown if splits[patient] == "train"}
    return Provenance(
        source_patient=first.patient if first else None,
        source_slices=first.positions if first else tuple(range(count)),
        deformation_seeds=(None,) * count,
        synthesizer=SYNTHESIZER,
        training_patients=tuple(sorted({*record.patients} | labeled)),
        unlabeled_patients=tuple(sorted({*record.scans} | shown - labeled)),
        source_labels=first is None or first.patient in labeled,
        brought=record.name,
        unverifiable=record.standing == "unverifiable",
    )
