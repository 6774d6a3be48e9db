"""Raw volumes from the phantom, the KiTS19 download, a folder of one's own or a DVC remote."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from nephrite.config import AcquireSettings, Config
from nephrite.files import whole_folder
from nephrite.imaging.kits19 import download_case, read_checksums
from nephrite.imaging.sources import Scan, find_cases, find_scans, open_scan
from nephrite.phantom.phantom import write_patient
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.store.slices import UNLABELED
from nephrite.versions import fetch_version
from nephrite.workers import worker_pool


def acquire(config: Config, run: Run, *, raw: Path) -> dict[str, float]:
    """Bring the raw volumes of `acquire.source` into one folder, in KiTS or MOAI layout, or as DICOM.

    A download that was cut goes on where it stopped when the stage runs again.

    Raises:
        DataError: the source is missing, holds no cases, or could not be fetched whole.
    """
    # one function per source
    settings = config.acquire
    bring = {"phantom": _bring_phantom, "kits19": _bring_kits19, "folder": _bring_folder, "dvc": _bring_version}[
        settings.source
    ]
    # a download keeps what it has; other sources start over
    with whole_folder(raw, "raw", keep_partial=settings.source == "kits19") as folder:
        bring(settings, folder)
        if settings.unlabeled:
            _bring_scans(settings.unlabeled, folder / UNLABELED, settings.workers)
    # count what is there
    cases = find_cases(raw)
    version = {"data_version": settings.dvc.version} if settings.source == "dvc" and settings.dvc.version else {}
    run.tags({"source": settings.source, **version})
    return {"cases": float(len(cases))}


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


def _bring_folder(settings: AcquireSettings, target: Path) -> None:
    """Copy the folder, so that later changes in it do not alter data under DVC's control."""
    source = settings.folder.path
    assert source is not None  # the settings demand a path for this source
    cases = find_cases(source)
    files = [path for case in cases for part in dict.fromkeys((case.image, case.label)) for path in _files(part)]
    with ThreadPoolExecutor(settings.workers) as pool:
        _check_series([case.scan for case in cases], pool)
        _finish(pool, [partial(_copy, path, target / path.relative_to(source)) for path in files], "files")


def _bring_scans(source: Path, target: Path, workers: int) -> None:
    """Copy scans without label maps; label maps beside them stay where they are."""
    scans = find_scans(source)
    files = [path for scan in scans for path in _files(scan.image)]
    with ThreadPoolExecutor(workers) as pool:
        _check_series(scans, pool)
        _finish(pool, [partial(_copy, path, target / path.relative_to(source)) for path in files], "scans")


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


def _files(part: Path) -> list[Path]:
    return [part] if part.is_file() else sorted(path for path in part.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _finish(pool: Executor, jobs: Sequence[Callable[[], object]], text: str) -> None:
    futures = [pool.submit(job) for job in jobs]
    try:
        for future in progress_bar(as_completed(futures), text, len(futures)):
            future.result()
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
