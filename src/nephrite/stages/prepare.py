"""Raw volumes to paired slices: one patient at a time, one block of slices at a time."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from nephrite import __version__
from nephrite.config import SPLITS, Config, PrepareSettings, SplitSettings
from nephrite.errors import SourceError, StoreError, VolumeError
from nephrite.files import read_json, read_record, sha256, whole_folder
from nephrite.imaging.geometry import warn_of_units
from nephrite.imaging.grid import Grid, plan_grid, resize_label
from nephrite.imaging.quantize import store_image
from nephrite.imaging.sources import Case, Scan, find_cases, find_scans, open_scan, open_volume
from nephrite.imaging.volume import Volume
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.redaction import hidden_name
from nephrite.store.arrays import create_arrays
from nephrite.store.grid_loss import GridLoss, grid_losses, loss_lines
from nephrite.store.records import FORMER_UNLABELED, Splits
from nephrite.store.slices import SPLIT, UNLABELED, Patient, finish_store, read_patient, write_patient
from nephrite.store.split import lesion_strata, split_patients
from nephrite.store.twins import Looks, check_twins, find_near_twins, slice_looks, warn_of_near_twins
from nephrite.workers import worker_pool


class Prepared(NamedTuple):
    """What is known of a patient once its slices are written.

    Attributes:
        patient: id.
        image: file or folder of the scan.
        digests: SHA-256 of its files and of its stored voxels.
        looks: perceptual hash of each slice.
        unit_given: whether its file says what lengths are measured in.
    """

    patient: str
    image: Path
    digests: list[str]
    looks: Looks
    unit_given: bool


logger = logging.getLogger(__name__)
FEWEST = 8  # test patients that a verdict needs; `verdict` itself is not imported, since no slice follows from it


def prepare(config: Config, run: Run, *, raw: Path, pairs: Path) -> dict[str, float]:
    """Turn raw volumes into the pair store: image and label map per patient, index, patient split.

    Patients are split by the rank of a salted hash, stratified by their lesions, or by a file; those of an earlier
    store in the same place keep their split. Scans without label maps, in raw/unlabeled, are a split of their own.
    Windowing happens later, when a slice is read.

    Raises:
        DataError: a case cannot be read, or the patients do not suffice for the split.
    """
    # split patients; scans without labels stand apart
    settings = config.prepare
    cases: list[Case | Scan] = [*find_cases(raw)]
    labeled, earlier = [case.patient for case in cases], _earlier_split(pairs, settings.split)
    few = split_patients(labeled, settings.split, earlier=earlier)  # refused and warned of before anything is read
    _warn_of_few([*few.values()].count("test"))
    others = [raw / name for name in (UNLABELED, FORMER_UNLABELED) if (raw / name).is_dir()]
    for folder in others[:1]:
        alone = find_scans(folder)
        _check_others(folder, alone, labeled)
        cases += alone
    # one folder per patient; a scan that two patients share would leak
    with whole_folder(pairs, "pairs") as root:
        owners: dict[str, str] = {}
        done = []
        for result in progress_bar(_prepare_all(cases, settings, root), "prepare", len(cases)):
            check_twins(raw, result.patient, result.digests, owners)
            done.append(result)
        twins = find_near_twins({result.patient: result.looks for result in done})
        strata = _strata(root, labeled, settings)
        splits = split_patients(labeled, settings.split, strata=strata, earlier=earlier)
        splits |= {case.patient: UNLABELED for case in cases if isinstance(case, Scan)}
        manifest = finish_store(
            root,
            kind="real",
            splits=splits,
            split_settings=settings.split.model_dump(mode="json", exclude={"file"}),
            classes=settings.classes,
            channels=settings.channels,
            size=settings.in_plane.size,
            version=__version__,
        )
    # what the user should know
    warn_of_units(sorted(result.image for result in done if not result.unit_given), len(done))
    warn_of_near_twins(raw, twins, splits)
    losses = _say_losses(pairs, [case.patient for case in cases if isinstance(case, Case)])
    # record the data
    run.dataset(pairs, name="prepared", digest=manifest.digest)
    run.artifact(pairs / "split.json")
    counts = {f"{name}_patients": float(list(splits.values()).count(name)) for name in (*SPLITS, UNLABELED)}
    vanished = sum(loss.vanished for loss in losses)
    lost = {"regions_vanished": float(vanished), "regions_halved": float(len(losses) - vanished)}
    return {"patients": float(len(cases)), **counts, "near_twins": float(len(twins)), **lost}


def prepare_patient(case: Case | Scan, settings: PrepareSettings, root: Path) -> Prepared:
    """Write one patient's image, label map and meta.json into the store `root`; the label map of a scan alone is 0.

    Raises:
        DataError: the case cannot be read, shows one intensity only, or has label values outside the classes.
    """
    # image, on the store's grid
    volume = open_volume(case, settings) if isinstance(case, Case) else open_scan(case)
    grid = plan_grid(settings.in_plane, volume.shape, volume.spacing)
    image, label = create_arrays(root, case.patient, (volume.shape[0], grid.size, grid.size))
    scale = store_image(volume, grid, settings.intensity, image, block=settings.block)
    _check_contrast(case.image, (int(image.min()), int(image.max())), scale.window)
    # checksum of the voxels: finds the same scan under two names
    voxels = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
    # label map, and what its classes measure before and after
    volumes = _fill_label(volume, grid, settings, label) if isinstance(volume, Volume) else {}
    # where it came from
    digests = {path: sha256(path) for paths in volume.sources.values() for path in paths}
    sources = {hidden_name(path): digest for path, digest in digests.items()}
    scans = [digests[path] for path in volume.sources["image"]]
    patient = Patient(
        case.patient,
        grid.spacing,
        volume.orientation,
        scale.window,
        scale.slope,
        scale.intercept,
        sources,
        __version__,
        volumes=volumes,
    )
    write_patient(root, patient)
    return Prepared(case.patient, case.image, [*scans, voxels], slice_looks(image), volume.unit_given)


def _fill_label(
    volume: Volume, grid: Grid, settings: PrepareSettings, label: UInt8[np.ndarray, "slice size size"]
) -> dict[str, tuple[float, float]]:
    """Fill `label`; return the mm3 of each class that is there, in the scan's own voxels and on the grid."""
    counts = np.zeros((len(settings.classes), 2), dtype=np.int64)
    for part, block in volume.label_blocks(settings.block, settings.classes):
        label[part] = resize_label(block, grid)
        counts += [[np.count_nonzero(voxels == value) for voxels in (block, label[part])] for value in settings.classes]
    sizes = counts * [math.prod(volume.spacing), math.prod(grid.spacing)]
    return {
        name: (round(float(scan), 6), round(float(left), 6))
        for name, (scan, left) in zip(settings.classes.values(), sizes, strict=True)
        if scan
    }


def _say_losses(root: Path, patients: Sequence[str]) -> list[GridLoss]:
    """Warn of classes that vanished or shrank much on the grid: the settings may be too coarse for them."""
    losses = grid_losses(read_patient(root, patient) for patient in sorted(patients))
    for line in loss_lines(losses, len(patients), "patient"):
        logger.warning("%s Finer slices keep more: 'prepare.in_plane'.", line)
    return losses


def _check_contrast(place: Path, found: tuple[int, int], window: tuple[float, float]) -> None:
    """Refuse a scan that is of one intensity once the window is applied: nothing could be learned or told from it."""
    (least, most), (low, high) = found, window
    if least == most or most <= low or least >= high:
        finding = f"shows one intensity only: stored values {least} to {most} in the window {low:g} to {high:g}"
        raise VolumeError(place, finding, "leave the case out, or change 'prepare.intensity'")


def _earlier_split(pairs: Path, settings: SplitSettings) -> dict[str, str]:
    """Patient to split, of the store that is about to be replaced, if it was drawn by the same shares and salt."""
    path, keys = pairs / SPLIT, {"train", "validation", "test", "salt"}
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
        earlier = read_record(path, Splits, "run 'prepare' again").patients
    except StoreError as error:
        logger.warning("%s: patients are split anew", error)
        return {}
    same = {key: content.get(key) for key in keys} == settings.model_dump(include=keys)
    return earlier if same else {}


def _strata(root: Path, patients: Sequence[str], settings: PrepareSettings) -> dict[str, str]:
    """Strata by lesions, of patients that were written to `root`."""
    if not settings.split.stratify or not settings.lesions:
        return {}
    volumes = {patient: read_patient(root, patient).volumes for patient in patients}
    lesions = {
        patient: sum(scan for name, (scan, _) in known.items() if name in settings.lesions)
        for patient, known in volumes.items()
    }
    return lesion_strata(lesions)


def _warn_of_few(patients: int) -> None:
    if patients < FEWEST:
        text = "prepare.split: %d test patients, fewer than the %d that a verdict needs: at most 'no evidence' follows"
        logger.warning(text, patients, FEWEST)


def _check_others(folder: Path, scans: list[Scan], patients: Sequence[str]) -> None:
    """Refuse a scan without labels of a patient who has labels: it could be one of the test patients."""
    labeled = {patient.lower(): patient for patient in patients}
    for scan in scans:
        if twin := labeled.get(scan.patient.lower()):
            finding = f"is of '{twin}', who stands among the labeled patients"
            raise SourceError(folder / scan.patient, finding, "leave the scan out")


def _prepare_all(cases: Sequence[Case | Scan], settings: PrepareSettings, root: Path) -> Iterator[Prepared]:
    if settings.workers == 1 or len(cases) == 1:
        for case in cases:
            yield prepare_patient(case, settings, root)
        return
    with worker_pool(min(settings.workers, len(cases)), setting="prepare.workers") as pool:
        futures = [pool.submit(prepare_patient, case, settings, root) for case in cases]
        for future in as_completed(futures):
            yield future.result()
