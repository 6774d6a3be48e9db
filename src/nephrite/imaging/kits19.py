"""KiTS19 case by case from its public hosts, or a mirror of them (Heller et al. 2019, CC BY-NC-SA 4.0).

Files are fetched by huggingface_hub's `http_get`, which goes on after a cut within a call. What it has fetched is kept
beside the target under a name that holds the URL, so that a later call goes on too, and never joins two revisions.
"""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from httpx2 import HTTPError, InvalidURL, TransportError, UnsupportedProtocol
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get
from huggingface_hub.utils.tqdm import silent_tqdm
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from nephrite.errors import DownloadError, StoreError
from nephrite.files import PARTIAL, digest, disk_errors, read_record, sha256, write_json
from nephrite.imaging.packed import BROKEN, unpacked
from nephrite.record_fields import Line, Sha256

ATTEMPTS = 6
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses of temporary failures
_ALL_IS_HERE = 416  # "range not satisfiable": no byte follows those that are held
_RECORD = "checksums.json"


@dataclass(frozen=True)
class _Fetched:
    """What is known of a file that was fetched."""

    sha256: Sha256
    url: Line


def download_case(
    case: int, target: Path, *, images_url: str, labels_url: str, revision: str, checksums: Mapping[str, str]
) -> Path:
    """Fetch one case into `target/case_XXXXX`, going on where an earlier call was cut off.

    The SHA-256 of every file is recorded in the case's `checksums.json` and compared when it is asked for again.

    Args:
        case: number of the case, 0 to 299 (labels are public for 0 to 209).
        target: folder of the cases.
        images_url: where the scan is, with `{case:05d}` and, if the host has versions, `{revision}` in it.
        labels_url: where the label map is, likewise.
        revision: commit put into both URLs, so that a rerun fetches the same bytes.
        checksums: SHA-256 by "case_XXXXX/imaging.nii.gz" and ".../segmentation.nii.gz", as far as they are known.

    Returns:
        The case's folder. A file that is there, with its recorded checksum and URL, is not asked for again.

    Raises:
        DownloadError: the host refuses, the connection keeps breaking, or the bytes are not the right ones. No file
            has then taken its name; what was fetched stays beside it for the next call, unless it is wrong.
        DiskFullError: no space left.
    """
    folder = target / f"case_{case:05d}"
    record = _read_record(folder / _RECORD)
    for name, template in (("imaging.nii.gz", images_url), ("segmentation.nii.gz", labels_url)):
        expected, url = checksums.get(f"{folder.name}/{name}"), _fill_url(template, case, revision)
        # A file from another URL is fetched anew; one that differs from what is known of it was changed by hand.
        known = expected or (record[name]["sha256"] if record.get(name, {}).get("url") == url else None)
        if known and (folder / name).exists():
            _compare(folder / name, folder / name, known, "delete it to fetch it again")
            continue
        record[name] = {"sha256": _fetch_whole(url, folder / name, expected), "url": url}
        write_json(folder / _RECORD, record)
    return folder


def _read_record(path: Path) -> dict[str, Any]:
    """What is known of the files that were fetched: their SHA-256 and URLs; nothing if that cannot be read."""
    if not path.exists():
        return {}
    try:
        known = read_record(path, dict[Line, _Fetched], "delete it")
    except StoreError:  # then the files are fetched again
        return {}
    return {name: {"sha256": each.sha256, "url": each.url} for name, each in known.items()}


def read_checksums(path: Path) -> dict[str, str]:
    """Read a list as `sha256sum` writes it; names are cut to their last two parts, "case_XXXXX/imaging.nii.gz".

    Raises:
        DownloadError: the file is missing, or a line is not a checksum and a name.
    """
    if not path.is_file():
        raise DownloadError(path, "is missing", "give the file of checksums, or none")
    checksums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](\S+)", line)
        if match is None:
            raise DownloadError(path, f"line {number} is not '<SHA-256>  <name>'", "write it with sha256sum")
        checksums["/".join(Path(match[2]).parts[-2:])] = match[1].lower()
    return checksums


def _fill_url(template: str, case: int, revision: str) -> str:
    try:
        url = template.format(case=case, revision=revision)
    except (KeyError, IndexError, ValueError):
        url = template
    if url == template:
        raise DownloadError(template, "does not say where a case is", "write {case:05d} and {revision} into the URL")
    return url


def _fetch_whole(url: str, target: Path, expected: str | None) -> str:
    """Fetch a file, attempt after attempt; gives its SHA-256."""
    # one partial file per URL, so that a retry goes on where it stopped
    partial = target.with_name(f"{target.name}.{digest(url)[:16]}{PARTIAL}")
    pause = wait_exponential_jitter(initial=1, max=60)
    attempts = Retrying(
        retry=retry_if_exception(_may_pass), stop=stop_after_attempt(ATTEMPTS), wait=pause, reraise=True
    )
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings are of cuts that are retried
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            attempts(_fetch_rest, url, partial)
        except (HTTPError, InvalidURL, OfflineModeIsEnabled) as error:
            raise _refusal(url, error) from error
        except OSError as error:
            if error.errno is not None:  # an error of the disk
                raise
            partial.unlink()
            raise DownloadError(url, "changed while it was fetched", "run it again") from error
        # the file gets its name once its checksum is right
        found = _check_bytes(url, partial, expected)
        partial.replace(target)
        for stale in target.parent.glob(f"{target.name}.*{PARTIAL}"):  # partial files of other URLs
            stale.unlink()
    return found


def _fetch_rest(url: str, partial: Path) -> None:
    """Ask for the bytes that are missing and append them to the partial file."""
    with partial.open("ab") as out:
        try:
            headers = {"Accept-Encoding": "identity"}
            http_get(url, out, resume_size=out.tell(), headers=headers, tqdm_class=silent_tqdm)
        except HfHubHTTPError as error:
            if error.response.status_code != _ALL_IS_HERE:
                raise


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRY_AGAIN
    return isinstance(error, TransportError) and not isinstance(error, UnsupportedProtocol)


def _refusal(url: str, error: Exception) -> DownloadError:
    """What a failed request means for the user, in one line."""
    status = f"HTTP status {error.response.status_code}" if isinstance(error, HfHubHTTPError) else None
    if _may_pass(error):
        finding = f"not whole after {ATTEMPTS} attempts ({status or type(error).__name__})"
        return DownloadError(url, finding, "run it again: it goes on where it stopped")
    if status:
        return DownloadError(url, status, "check the case's number, the revision and the URL")
    remedy = "unset HF_HUB_OFFLINE" if isinstance(error, OfflineModeIsEnabled) else "correct the URL"
    return DownloadError(url, f"cannot be asked for ({type(error).__name__})", remedy)


def _check_bytes(url: str, partial: Path, expected: str | None) -> str:
    """SHA-256 of the partial file, which is removed if its gzip checksum or its SHA-256 is wrong."""
    try:
        with unpacked(partial) as stream:
            while stream.read(1 << 20):
                pass
        return _compare(partial, url, expected, "check the revision and the list of checksums")
    except (gzip.BadGzipFile, EOFError, BROKEN) as error:
        partial.unlink()
        finding = f"is not a whole gzip file ({type(error).__name__})"
        raise DownloadError(url, finding, "run it again, or take another revision or mirror") from error
    except DownloadError:
        partial.unlink()
        raise


def _compare(file: Path, place: str | Path, expected: str | None, remedy: str) -> str:
    found = sha256(file)
    if expected and found != expected:
        raise DownloadError(place, f"SHA-256 {found[:12]}... is not the expected {expected[:12]}...", remedy)
    return found
