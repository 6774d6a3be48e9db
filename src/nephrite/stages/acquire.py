"""Raw volumes from the phantom, the KiTS19 download, a folder of one's own or a DVC remote."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import TypeAlias

from nephrite.config import AcquireSettings, Config, PatientsSettings
from nephrite.files import whole_folder, write_json
from nephrite.imaging.channels import CHANNELS_FILE
from nephrite.imaging.kits19 import download_case, read_checksums
from nephrite.imaging.layouts.filed import count_unlabeled
from nephrite.imaging.layouts.pairing import Pair
from nephrite.imaging.sources import (
    Case,
    Scan,
    find_cases,
    find_either,
    find_scans,
    open_scan,
    persons_told,
)
from nephrite.phantom.phantom import write_patient
from nephrite.privacy.copies import Copy, foreign_copies, plain_copies, renamed_copies, write_copy
from nephrite.privacy.pseudonyms import PLAIN_LAYOUTS, local_salt, pseudonyms, wanted
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.store.brought.origin import FILE, read_provenance, with_names
from nephrite.store.brought.sources import check_sets, find_fakes, stored_provenance
from nephrite.store.persons import TABLE, persons_of, read_table, write_persons
from nephrite.store.records import BROUGHT
from nephrite.store.slices import EXTERNAL, LESION_FREE, UNLABELED
from nephrite.versions import fetch_version
from nephrite.words import counted
from nephrite.workers import worker_pool

Rename: TypeAlias = Callable[[str], str]
logger = logging.getLogger(__name__)


def acquire(config: Config, run: Run, *, raw: Path) -> dict[str, float]:
    """Bring the raw volumes of `acquire.source` into one folder: NIfTI in KiTS layout, or in MOAI layout, or as DICOM.

    A download that was cut goes on where it stopped when the stage runs again. What is copied from folders loses what
    may say who was scanned: see 'acquire.pseudonyms' and 'acquire.deidentify'.

    Raises:
        DataError: the source is missing, holds no cases, or could not be fetched whole.
    """
    # one function per source; folders are copied last
    settings = config.acquire
    check_sets(settings)
    if settings.patients.table:
        read_table(settings.patients.table)  # before hours of a download
    bring = {"phantom": _bring_phantom, "kits19": _bring_kits19, "dvc": _bring_version}.get(settings.source)
    # a download keeps what it has; other sources start over
    with whole_folder(raw, "raw", keep_partial=settings.source == "kits19") as folder:
        if bring:
            bring(settings, folder)
        rename = _bring_folders(settings, folder)
        _bring_synthetic(settings, folder, rename)
    # count what is there
    cases, table = find_cases(raw), raw / TABLE
    patients = {"patients": float(len({*read_table(table).values()}))} if table.is_file() else {}
    version = {"data_version": settings.dvc.version} if settings.source == "dvc" and settings.dvc.version else {}
    run.tags({"source": settings.source, **version})
    return {"cases": float(len(cases)), **patients}


def _bring_phantom(settings: AcquireSettings, target: Path) -> None:
    phantom = settings.phantom
    patients = range(phantom.patients)
    jobs = [partial(write_patient, target, phantom.seed, number, matrix=phantom.matrix) for number in patients]
    with worker_pool(settings.workers, setting="acquire.workers") as pool:
        _finish(pool, jobs, "phantom patients")


def _bring_kits19(settings: AcquireSettings, target: Path) -> None:
    # checksums first: a file is compared when it arrives
    kits = settings.kits19
    checksums = read_checksums(kits.checksums) if kits.checksums else {}
    fetch = partial(
        download_case,
        target=target,
        images_url=kits.images_url,
        labels_url=kits.labels_url,
        revision=kits.revision,
        checksums=checksums,
    )
    # several cases at a time
    with ThreadPoolExecutor(settings.workers) as pool:
        jobs = [partial(fetch, number) for number in range(kits.first_case, kits.last_case + 1)]
        _finish(pool, jobs, "KiTS19 cases")


def _bring_folders(settings: AcquireSettings, target: Path) -> Rename | None:
    """Copy the folders of one's own, so that later changes in them do not alter data under DVC's control.

    Returns:
        What gives a patient's name its pseudonym; None where names stay.
    """
    # patients with labels, those without, lesion-free ones, and those of another hospital
    source, channels = settings.folder.path if settings.source == "folder" else None, settings.channels
    groups: list[tuple[Path, Path, list[Case | Scan]]] = []  # folder, place below the target, what is there
    if source:
        _tell_unlabeled(source, channels)
        groups.append((source, Path(), [*find_cases(source, channels)]))
    if settings.unlabeled:
        groups.append((settings.unlabeled, Path(UNLABELED), [*find_scans(settings.unlabeled, channels)]))
    if settings.lesion_free:
        groups.append((settings.lesion_free, Path(LESION_FREE), find_either(settings.lesion_free, channels)))
    if settings.external.path:
        groups.append((settings.external.path, Path(EXTERNAL), [*find_cases(settings.external.path, channels)]))
    cases = [case for _, _, found in groups for case in found]
    before = [] if source else _brought(target)
    # whose scans they are, by the names that a table knows
    names = list(dict.fromkeys([*before, *(case.patient for case in cases)]))
    by_layout = persons_told(cases)
    persons = persons_of(settings.patients, names, by_layout)
    told = settings.patients != PatientsSettings() or any(name != person for name, person in by_layout.items())
    if not told and (target / TABLE).is_file():
        persons, told = persons | read_table(target / TABLE), True  # the source knows of its own scans
    # under which names: one rule for all, or a patient who is among both would not be found
    brought = {name.lower() for name in before}
    layouts = {case.layout for case in cases}
    known = {name: name for name in (*names, *persons.values())}
    rename: Rename | None = None
    if wanted(settings.pseudonyms, layouts):
        if cases:
            known |= pseudonyms(name for name in known if name.lower() not in brought)
        rename = partial(_renamed, brought)
    if told:
        write_persons(target, {known[name]: known[person] for name, person in persons.items()})
    if not cases:
        return rename
    if len(channels) > 1:
        _write_channels(target, [place for _, place, _ in groups], channels)
    # which files
    copies = [
        copy._replace(target=place / copy.target)
        for root, place, found in groups
        for case in found
        for copy in _copies(settings, case, root, known)
    ]
    # what their headers may say; identifiers of DICOM are hashed with the salt
    salt = None
    if settings.deidentify:
        salt = local_salt() if layouts - PLAIN_LAYOUTS else ""
    write = partial(write_copy, target=target, salt=salt)
    with ThreadPoolExecutor(settings.workers) as pool:
        if not settings.deidentify:  # else each series was read on the way
            _check_series([case.scan if isinstance(case, Case) else case for case in cases], pool)
        _finish(pool, [partial(write, copy) for copy in copies], "files")
    return rename


def _tell_unlabeled(source: Path, channels: Sequence[str]) -> None:
    if count := count_unlabeled(source, channels):
        logger.warning("%s: %s without label maps, no patients of the trial", source, counted(count, "scan"))


def _write_channels(target: Path, places: Sequence[Path], channels: Sequence[str]) -> None:
    for place in places:
        (target / place).mkdir(exist_ok=True)
        write_json(target / place / CHANNELS_FILE, {"channels": list(channels)})


def _renamed(brought: Collection[str], name: str) -> str:
    """A patient's pseudonym; the name as it is for one whom the source brought."""
    return name if name.lower() in brought else pseudonyms([name])[name]


def _bring_synthetic(settings: AcquireSettings, target: Path, rename: Rename | None) -> None:
    """Copy sets of synthetic scans of other programs, with what is told of them.

    Where patients get pseudonyms, fakes are numbered: the name of a fake may be that of a patient.
    """
    salt = "" if settings.deidentify else None
    for name, known in settings.synthetic.items():
        if known.path is None:
            continue
        place = Path(BROUGHT) / name
        told, fakes = read_provenance(known.path, known), find_fakes(known.path, known)
        files = [fake for fake in fakes if isinstance(fake, Pair)]
        if not files:  # a store, whose patients are as the trial that made it called them
            shutil.copytree(known.path, target / place)
            told = told if known.provenance or told.trained_on.is_told else stored_provenance(known.path, told)
        else:
            copies = [copy._replace(target=place / copy.target) for copy in foreign_copies(files, bool(rename))]
            with ThreadPoolExecutor(settings.workers) as pool:
                _finish(pool, [partial(write_copy, copy, target=target, salt=salt) for copy in copies], name)
            told = with_names(told, rename) if rename else told
        write_json(target / place / FILE, told.model_dump(mode="json"))


def _brought(target: Path) -> list[str]:
    """Names of all scans that the source brought."""
    folders = [folder for name in (UNLABELED, LESION_FREE, EXTERNAL) if (folder := target / name).is_dir()]
    names = [case.patient for case in find_cases(target)]
    return names + [scan.patient for folder in folders for scan in find_scans(folder)]


def _copies(settings: AcquireSettings, case: Case | Scan, root: Path, names: Mapping[str, str]) -> list[Copy]:
    name = names[case.patient]
    if name == case.patient and not settings.deidentify:
        return plain_copies(case, root)
    return renamed_copies(case, root, name)


def _check_series(scans: Sequence[Scan], pool: Executor) -> None:
    """Read the headers of DICOM series before anything is copied: a slice that cannot be read shows now."""
    series = [scan for scan in scans if scan.layout == "dicom"]
    if series:
        _finish(pool, [partial(open_scan, scan) for scan in series], "series")


def _bring_version(settings: AcquireSettings, target: Path) -> None:
    remote, version = settings.dvc.remote, settings.dvc.version
    assert remote is not None  # the settings demand both for this source
    assert version is not None
    fetch_version(remote, version, target)


def _finish(pool: Executor, jobs: Sequence[Callable[[], object]], text: str) -> None:
    futures = [pool.submit(job) for job in jobs]
    try:
        for future in progress_bar(as_completed(futures), text, len(futures)):
            future.result()
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
