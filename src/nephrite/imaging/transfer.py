"""One gzip file over HTTP: resumable, checked, whole or absent.

Bytes go into a temporary sibling, in as many pieces as the connection allows; the file takes its name after its gzip
checksum, and its SHA-256 where that is known, were right. What a host offers is identified by its ETag, so that pieces
of two versions are never joined (RFC 9110, sections 13 and 14).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.progress import Progress
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from tenacity.wait import wait_base

from nephrite.errors import DownloadError
from nephrite.files import PARTIAL, disk_errors, sha256

ATTEMPTS = 6
_TIMEOUT = (10, 60)  # seconds to connect, seconds between two pieces
_CHUNK = 1 << 14  # bytes: what a cut connection loses at most
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class _AttemptError(Exception):
    """One attempt failed in a way that another attempt may mend."""


@dataclass(frozen=True)
class Transfer:
    """One file to fetch.

    Attributes:
        url: where from.
        target: where to.
        expected: its SHA-256, if known beforehand.
        session: HTTP session to use.
        progress: where to show bytes and time, if anywhere.
    """

    url: str
    target: Path
    expected: str | None
    session: requests.Session
    progress: Progress | None = None

    @property
    def partial(self) -> Path:
        """What was fetched so far."""
        return self.target.with_name(self.target.name + PARTIAL)

    @property
    def validator(self) -> Path:
        """Holds the ETag (or date) under which the partial file was begun."""
        return self.target.with_name(self.target.name + ".etag" + PARTIAL)

    def discard(self) -> None:
        """Remove what was fetched so far."""
        self.partial.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)


def fetch_whole(file: Transfer, wait: wait_base | None = None) -> str:
    """Fetch a file, attempt after attempt, going on where an earlier call was cut off.

    Args:
        file: what to fetch.
        wait: tenacity's pause between attempts; exponential with jitter, at most a minute, by default.

    Returns:
        The SHA-256 of the file.

    Raises:
        DownloadError: the host refuses, the connection keeps breaking, or the bytes are not the right ones. No file
            has then taken the target's name; what was fetched stays beside it for the next call, unless it is wrong.
        DiskFullError: no space left.
    """
    attempts = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait or wait_exponential_jitter(initial=1, max=60),
        retry=retry_if_exception_type(_AttemptError),
        reraise=True,
    )
    try:
        with disk_errors(file.target):
            file.target.parent.mkdir(parents=True, exist_ok=True)
            attempts(_fetch_once, file)
            found = _check_bytes(file)
            file.partial.replace(file.target)
            file.discard()
    except _AttemptError as error:
        finding = f"not whole after {ATTEMPTS} attempts ({error})"
        raise DownloadError(file.url, finding, "run it again: it goes on where it stopped") from error
    return found


def _fetch_once(file: Transfer) -> None:
    """Ask for what is still missing and append it to the partial file."""
    held, validator = _resume_point(file)
    headers = {"Accept-Encoding": "identity"}
    if held:
        headers |= {"Range": f"bytes={held}-", "If-Range": validator}
    try:
        with file.session.get(file.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if _is_complete(file, response, held):
                return
            _receive(file, response, held)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _AttemptError(type(error).__name__) from error
    except requests.RequestException as error:
        raise DownloadError(file.url, f"cannot be asked for ({type(error).__name__})", "correct the URL") from error


def _resume_point(file: Transfer) -> tuple[int, str]:
    """Bytes that are there and what identifies their version; nothing counts without the latter."""
    if not (file.partial.exists() and file.validator.exists()):
        return 0, ""
    return file.partial.stat().st_size, file.validator.read_text(encoding="ascii")


def _is_complete(file: Transfer, response: requests.Response, held: int) -> bool:
    """Judge the status: True if nothing is missing, False if bytes follow.

    Raises:
        _AttemptError: a status that may pass, or a partial file that does not fit the host's.
        DownloadError: any other status.
    """
    status = response.status_code
    if status == requests.codes.requested_range_not_satisfiable:
        if response.headers.get("Content-Range") == f"bytes */{held}":
            return True
        file.discard()
        raise _AttemptError("the partial file is longer than the host's")
    if status in _TRY_AGAIN:
        raise _AttemptError(f"HTTP status {status}")
    if status not in (requests.codes.ok, requests.codes.partial_content):
        raise DownloadError(file.url, f"HTTP status {status}", "check the case's number, the revision and the URL")
    return False


def _receive(file: Transfer, response: requests.Response, held: int) -> None:
    """Write the body behind what is held, or from the start if the host sends everything again."""
    resumed = response.status_code == requests.codes.partial_content
    if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {held}-"):
        file.discard()
        raise _AttemptError("the host sent another range than the one asked for")
    start = held if resumed else 0
    if not resumed:
        _begin_partial(file, response)
    length = response.headers.get("Content-Length")
    with _bar(file, start, None if length is None else start + int(length)) as advance, file.partial.open("ab") as out:
        for chunk in response.iter_content(_CHUNK):
            out.write(chunk)
            advance(len(chunk))


def _begin_partial(file: Transfer, response: requests.Response) -> None:
    """Empty the partial file and note its version; a weak ETag cannot identify bytes (RFC 9110, section 13.1.5)."""
    file.discard()
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    if validator:
        file.validator.write_text(validator, encoding="ascii")


@contextmanager
def _bar(file: Transfer, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A line of progress that disappears when the file is whole."""
    if file.progress is None:
        yield lambda count: None
        return
    progress = file.progress
    task = progress.add_task(f"{file.target.parent.name}/{file.target.name}", completed=start, total=total)
    try:
        yield lambda count: progress.advance(task, count)
    finally:
        progress.remove_task(task)


def _check_bytes(file: Transfer) -> str:
    """SHA-256 of the partial file, which is removed if its gzip checksum or its SHA-256 is wrong."""
    try:
        with gzip.open(file.partial) as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        file.discard()
        finding = f"is not a whole gzip file ({type(error).__name__})"
        raise DownloadError(file.url, finding, "run it again, or take another revision or mirror") from error
    found = sha256(file.partial)
    if file.expected and found != file.expected:
        file.discard()
        raise wrong_checksum(file.url, found, file.expected, "check the revision and the list of checksums")
    return found


def wrong_checksum(place: str | Path, found: str, known: str, remedy: str) -> DownloadError:
    """The error for a file with another SHA-256 than the known one."""
    return DownloadError(place, f"SHA-256 {found[:12]}... is not the expected {known[:12]}...", remedy)
