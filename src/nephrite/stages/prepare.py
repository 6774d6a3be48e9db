"""Raw volumes to paired slices: one patient at a time, one block of slices at a time."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from nephrite import __version__
from nephrite.config import Config, PrepareSettings
from nephrite.errors import SourceError
from nephrite.files import sha256, whole_folder
from nephrite.imaging.channels import check_intensity, store_channels, stored_channels
from nephrite.imaging.geometry import warn_of_spacing, warn_of_units
from nephrite.imaging.grid import Grid, plan_grid, resize_label
from nephrite.imaging.label_maps.translating import translated_blocks
from nephrite.imaging.layouts.pairing import Channel
from nephrite.imaging.sources import Case, Scan, find_cases, open_scan, open_volume
from nephrite.imaging.volume import Volume
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.redaction import hidden_name
from nephrite.store.arrays import create_arrays
from nephrite.store.brought.sets import Real, bring_sets
from nephrite.store.earlier_split import earlier_split, strata_of, warn_of_few
from nephrite.store.grid_loss import warn_of_losses
from nephrite.store.groups import find_others
from nephrite.store.lesion_free import check_some_left, ignore_lesions
from nephrite.store.persons import (
    TABLE,
    WITHOUT_LABELS,
    Persons,
    check_apart,
    count_persons,
    held_out,
    stored_persons,
)
from nephrite.store.records import PLACES, ChannelScale
from nephrite.store.slices import EXTERNAL, LESION_FREE, Patient, finish_store, write_patient
from nephrite.store.split import split_patients
from nephrite.store.twins import Looks, check_twins, find_near_twins, slice_looks, warn_of_near_twins
from nephrite.words import counted
from nephrite.workers import worker_pool


class LabelReading(NamedTuple):
    """How a label map is read.

    Attributes:
        free: whether the scan counts as lesion-free, so that lesions in its label map are ignored.
        theirs: label values of an external set to ours; None = they are ours.
    """

    free: bool = False
    theirs: Mapping[int, int] | None = None


PLAIN = LabelReading()


class Prepared(NamedTuple):
    """What is known of a patient once its slices are written.

    Attributes:
        patient: id.
        image: file or folder of the scan.
        digests: SHA-256 of its files and of its stored voxels.
        looks: perceptual hash of each slice.
        unit_given: whether its file says what lengths are measured in.
        spacing: of the scan, in mm.
    """

    patient: str
    image: Path
    digests: list[str]
    looks: Looks
    unit_given: bool
    spacing: tuple[float, float, float]


logger = logging.getLogger(__name__)


def prepare(config: Config, run: Run, *, raw: Path, pairs: Path) -> dict[str, float]:
    """Turn raw volumes into the pair store: image and label map per patient, index, patient split.

    Patients are split by the rank of a salted hash, stratified by their lesions, or by a file; those of an earlier
    store in the same place keep their split. Scans without label maps, in raw/unlabeled, are a split of their own, and
    so are lesion-free ones, in raw/lesion_free: their label maps hold no lesion, but what is ignored. Patients of
    another hospital, in raw/external, are only ever tested on. Synthetic scans of other programs, in raw/synthetic,
    become stores of their own within the store.
    Windowing happens later, when a slice is read.

    Raises:
        DataError: a case cannot be read, or the patients do not suffice for the split.
    """
    # split patients; scans without labels stand apart
    settings, channels = config.prepare, stored_channels(raw)
    check_intensity(raw, channels, settings.intensity)
    cases: list[Case | Scan] = [*find_cases(raw)]
    labeled, earlier = [case.patient for case in cases], earlier_split(pairs, settings.split)
    apart, others = find_others(raw, labeled)
    cases += apart
    ways = {LESION_FREE: LabelReading(free=True), EXTERNAL: LabelReading(theirs=config.external_values)}
    readings = {name: ways[group] for name, group in others.items() if group in ways}
    _check_organs(raw / LESION_FREE, [case for case in cases if others.get(case.patient) == LESION_FREE], settings)
    # whose scans they are; what does not fit is refused and warned of before anything is read
    persons = stored_persons(raw, [case.patient for case in cases])
    known = {name: persons[name] for name in labeled}
    _check_split(raw, split_patients(known, settings.split, earlier=earlier) | others, persons, settings)
    # one folder per patient; a scan that two patients share would leak
    with whole_folder(pairs, "pairs") as root:
        owners: dict[str, str] = {}
        done = []
        for result in progress_bar(_prepare_all(cases, settings, root, readings), "prepare", len(cases)):
            check_twins(raw, result.patient, result.digests, owners)
            done.append(result)
        alike = find_near_twins({result.patient: result.looks for result in done})
        twins = [pair for pair in alike if persons[pair.first] != persons[pair.second]]
        strata = strata_of(root, known, settings)
        splits = split_patients(known, settings.split, strata=strata, earlier=earlier) | others
        manifest = finish_store(
            root,
            kind="real",
            splits=splits,
            split_settings=settings.split.model_dump(mode="json", exclude={"file"}),
            classes=settings.classes,
            channels=settings.channels,
            size=settings.in_plane.size,
            version=__version__,
            persons=persons if (raw / TABLE).is_file() else None,
            image_channels=channels,
        )
        scans = {result.patient: (result.looks, result.digests) for result in done}
        fakes = bring_sets(config.acquire, settings, raw, root, Real(scans, splits, persons, manifest))
    # what the user should know
    warn_of_units(sorted(result.image for result in done if not result.unit_given), len(done))
    mine = [result for result in done if result.patient in known]  # another hospital may have another spacing
    warn_of_spacing([each.spacing for each in mine], unit_given=any(each.unit_given for each in mine))
    warn_of_near_twins(raw, twins, splits)
    losses = warn_of_losses(pairs, [*labeled, *(scan for scan, place in others.items() if place == EXTERNAL)])
    # record the data
    run.dataset(pairs, name="prepared", digest=manifest.digest)
    run.artifact(pairs / "split.json")
    held = {name: [scan for scan, split in splits.items() if split == name] for name in PLACES}
    counts = {f"{name}_patients": float(count_persons(persons, scans)) for name, scans in held.items()}
    counts |= {"patients": float(count_persons(persons)), "scans": float(len(cases))}
    vanished = sum(loss.vanished for loss in losses)
    lost = {"regions_vanished": float(vanished), "regions_halved": float(len(losses) - vanished)}
    return {**counts, "near_twins": float(len(twins)), **lost, **fakes}


def prepare_patient(
    case: Case | Scan, settings: PrepareSettings, root: Path, *, reading: LabelReading = PLAIN
) -> Prepared:
    """Write one patient's image, label map and meta.json into the store `root`; the label map of a scan alone is 0.

    Args:
        case: its files.
        settings: of the store.
        root: of the store.
        reading: of its label map.

    Raises:
        DataError: the case cannot be read, shows one intensity only, or has label values outside the classes; or all
            of a lesion-free scan would be ignored.
    """
    # image, on the store's grid
    volume = open_volume(case, settings) if isinstance(case, Case) else open_scan(case)
    grid, channels = plan_grid(settings.in_plane, volume.shape, volume.spacing), case.channels or (Channel(case.image),)
    shape = (volume.shape[0], grid.size, grid.size)
    image, label = create_arrays(root, case.patient, shape, channels=len(channels))
    scales = store_channels(volume, channels, grid, settings.intensity, image, block=settings.block)
    # checksum of the voxels: finds the same scan under two names
    voxels = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
    # label map, and what its classes measure before and after
    volumes = _fill_label(volume, grid, settings, label, reading.theirs) if isinstance(volume, Volume) else {}
    if reading.free:
        label[:] = ignore_lesions(label, settings.lesion_values, grid.spacing, settings.lesion_free)
        check_some_left(case.image, label)
        volumes = {name: size for name, size in volumes.items() if name not in settings.lesions}
    # where it came from
    digests = {path: sha256(path) for paths in volume.sources.values() for path in paths}
    sources = {hidden_name(path): digest for path, digest in digests.items()}
    scans = [digests[path] for path in volume.sources["image"]]
    patient = Patient(
        case.patient,
        grid.spacing,
        volume.orientation,
        scales[0].window,
        scales[0].slope,
        scales[0].intercept,
        sources,
        __version__,
        volumes=volumes,
        further=tuple(ChannelScale(scale.window, scale.slope, scale.intercept) for scale in scales[1:]),
    )
    write_patient(root, patient)
    looks = slice_looks(image[:, 0] if len(channels) > 1 else image)
    return Prepared(case.patient, case.image, [*scans, voxels], looks, volume.unit_given, volume.spacing)


def _fill_label(
    volume: Volume,
    grid: Grid,
    settings: PrepareSettings,
    label: UInt8[np.ndarray, "slice size size"],
    theirs: Mapping[int, int] | None,
) -> dict[str, tuple[float, float]]:
    """Fill `label`; return the mm3 of each class that is there, in the scan's own voxels and on the grid."""
    counts = np.zeros((len(settings.classes), 2), dtype=np.int64)
    size, classes = settings.block, settings.classes
    own = volume.label_blocks(size, classes) if theirs is None else translated_blocks(volume, size, classes, theirs)
    for part, block in own:
        label[part] = resize_label(block, grid)
        counts += [[np.count_nonzero(voxels == value) for voxels in (block, label[part])] for value in settings.classes]
    sizes = counts * [math.prod(volume.spacing), math.prod(grid.spacing)]
    return {
        name: (round(float(scan), 6), round(float(left), 6))
        for name, (scan, left) in zip(settings.classes.values(), sizes, strict=True)
        if scan
    }


def _check_split(raw: Path, splits: Mapping[str, str], persons: Persons, settings: PrepareSettings) -> None:
    """Refuse scans of one patient in two splits; warn of few patients, and of scans that nobody may see."""
    check_apart(raw / TABLE, splits, persons, "give each patient's scans one place")
    for split in ("test", "confirmation"):
        found = count_persons(persons, [scan for scan, place in splits.items() if place == split])
        if found or split == "test":  # a split that is asked for and empty was refused
            warn_of_few(found, f"{split} patients")
    external = count_persons(persons, [scan for scan, place in splits.items() if place == EXTERNAL])
    if external:
        warn_of_few(external, "external test patients", "acquire.external")
    barred = held_out(splits, persons)
    if hidden := [scan for scan, place in splits.items() if place in WITHOUT_LABELS and persons[scan] in barred]:
        text = "%s: %s of patients of validation or test, which no training will see, e.g. '%s'"
        logger.warning(text, raw, counted(len(hidden), "scan"), min(hidden))


def _check_organs(folder: Path, cases: Sequence[Case | Scan], settings: PrepareSettings) -> None:
    """Refuse a lesion-free scan without a label map where there are organs to learn: they would be background."""
    organs = [name for name in settings.classes.values() if name not in settings.lesions]
    for case in cases:
        if organs and not isinstance(case, Case):
            finding = f"has no label map, so its '{organs[0]}' is not known"
            raise SourceError(folder / case.patient, finding, "add one, or leave the scan out")


def _prepare_all(
    cases: Sequence[Case | Scan], settings: PrepareSettings, root: Path, readings: Mapping[str, LabelReading]
) -> Iterator[Prepared]:
    if settings.workers == 1 or len(cases) == 1:
        for case in cases:
            yield prepare_patient(case, settings, root, reading=readings.get(case.patient, PLAIN))
        return
    with worker_pool(min(settings.workers, len(cases)), setting="prepare.workers") as pool:
        futures = [
            pool.submit(prepare_patient, case, settings, root, reading=readings.get(case.patient, PLAIN))
            for case in cases
        ]
        for future in as_completed(futures):
            yield future.result()
