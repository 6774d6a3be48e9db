"""Raw volumes from the phantom, the KiTS19 download, a folder of one's own or a DVC remote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from nephrite.config import AcquireSettings, Config, PatientsSettings
from nephrite.files import whole_folder
from nephrite.imaging.kits19 import download_case, read_checksums
from nephrite.imaging.sources import Case, Scan, find_cases, find_either, find_scans, open_scan
from nephrite.phantom.phantom import write_patient
from nephrite.privacy.copies import Copy, plain_copies, renamed_copies, write_copy
from nephrite.privacy.pseudonyms import PLAIN_LAYOUTS, local_salt, pseudonyms, wanted
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.store.persons import TABLE, persons_of, read_table, write_persons
from nephrite.store.slices import EXTERNAL, LESION_FREE, UNLABELED
from nephrite.versions import fetch_version
from nephrite.workers import worker_pool


def acquire(config: Config, run: Run, *, raw: Path) -> dict[str, float]:
    """Bring the raw volumes of `acquire.source` into one folder, in KiTS or MOAI layout, or as DICOM.

    A download that was cut goes on where it stopped when the stage runs again. What is copied from folders loses what
    may say who was scanned: see 'acquire.pseudonyms' and 'acquire.deidentify'.

    Raises:
        DataError: the source is missing, holds no cases, or could not be fetched whole.
    """
    # one function per source; folders are copied last
    settings = config.acquire
    if settings.patients.table:
        read_table(settings.patients.table)  # before hours of a download
    bring = {"phantom": _bring_phantom, "kits19": _bring_kits19, "dvc": _bring_version}.get(settings.source)
    # a download keeps what it has; other sources start over
    with whole_folder(raw, "raw", keep_partial=settings.source == "kits19") as folder:
        if bring:
            bring(settings, folder)
        _bring_folders(settings, folder)
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


def _bring_folders(settings: AcquireSettings, target: Path) -> None:
    """Copy the folders of one's own, so that later changes in them do not alter data under DVC's control."""
    # patients with labels, those without, lesion-free ones, and those of another hospital
    source = settings.folder.path if settings.source == "folder" else None
    groups: list[tuple[Path, Path, list[Case | Scan]]] = []  # folder, place below the target, what is there
    if source:
        groups.append((source, Path(), [*find_cases(source)]))
    if settings.unlabeled:
        groups.append((settings.unlabeled, Path(UNLABELED), [*find_scans(settings.unlabeled)]))
    if settings.lesion_free:
        groups.append((settings.lesion_free, Path(LESION_FREE), find_either(settings.lesion_free)))
    if settings.external.path:
        groups.append((settings.external.path, Path(EXTERNAL), [*find_cases(settings.external.path)]))
    cases = [case for _, _, found in groups for case in found]
    before = [] if source else _brought(target)
    # whose scans they are, by the names that a table knows
    names = list(dict.fromkeys([*before, *(case.patient for case in cases)]))
    persons, told = persons_of(settings.patients, names), settings.patients != PatientsSettings()
    if not told and (target / TABLE).is_file():
        persons, told = persons | read_table(target / TABLE), True  # the source knows of its own scans
    # under which names: one rule for all, or a patient who is among both would not be found
    brought = {name.lower() for name in before}
    layouts = {case.layout for case in cases}
    known = {name: name for name in (*names, *persons.values())}
    if cases and wanted(settings.pseudonyms, layouts):
        known |= pseudonyms(name for name in known if name.lower() not in brought)
    if told:
        write_persons(target, {known[name]: known[person] for name, person in persons.items()})
    if not cases:
        return
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
