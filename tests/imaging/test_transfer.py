from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.progress import Progress, TaskID
from tenacity import wait_none

from nephrite.errors import DiskFullError, DownloadError
from nephrite.imaging.transfer import ATTEMPTS, Transfer, fetch_whole

Start = Callable[..., Transfer]


@pytest.fixture
def start(host: Any, scan_bytes: bytes, tmp_path: Path) -> Iterator[Start]:
    """Describe the transfer of the host's /scan to tmp_path/a/scan.nii.gz."""
    host.files["/scan"] = scan_bytes
    with requests.Session() as session:
        yield lambda path="/scan", expected=None, progress=None: Transfer(
            host.url + path, tmp_path / "a" / "scan.nii.gz", expected, session, progress
        )


def fetch(file: Transfer) -> str:
    return fetch_whole(file, wait_none())


def files(file: Transfer) -> list[str]:
    return sorted(path.name for path in file.target.parent.iterdir())


def test_whole_file_and_its_sha256(start: Start, host: Any, scan_bytes: bytes) -> None:
    file = start()
    assert fetch(file) == hashlib.sha256(scan_bytes).hexdigest()
    assert file.target.read_bytes() == scan_bytes
    assert files(file) == ["scan.nii.gz"]
    assert host.ranges == [None]


def test_cut_connection_goes_on_where_it_stopped(start: Start, host: Any, scan_bytes: bytes) -> None:
    host.faults = ["cut", "cut"]
    file = start()
    fetch(file)
    assert file.target.read_bytes() == scan_bytes
    assert host.ranges == [None, "bytes=32768-", "bytes=49152-"]  # half, and half of the rest, in whole chunks


def test_later_call_goes_on_where_an_earlier_one_gave_up(start: Start, host: Any, scan_bytes: bytes) -> None:
    host.faults = ["cut", *[503] * (ATTEMPTS - 1)]
    file = start()
    with pytest.raises(DownloadError, match=rf"/scan: not whole after {ATTEMPTS} attempts \(HTTP status 503\)"):
        fetch(file)
    assert not file.target.exists()
    fetch(file)
    assert host.ranges[-1] == "bytes=32768-"
    assert file.target.read_bytes() == scan_bytes


def test_host_that_ignores_the_range_is_read_from_the_start(start: Start, host: Any, scan_bytes: bytes) -> None:
    host.faults = ["cut", "whole"]
    file = start()
    fetch(file)
    assert file.target.read_bytes() == scan_bytes


def test_pieces_of_two_versions_are_not_joined(start: Start, host: Any, scan_bytes: bytes) -> None:
    host.faults = ["cut", *[503] * (ATTEMPTS - 1)]
    file = start()
    with pytest.raises(DownloadError):
        fetch(file)
    host.files["/scan"] = newer = scan_bytes + scan_bytes
    fetch(file)
    assert file.target.read_bytes() == newer


def test_partial_file_without_its_version_is_not_trusted(start: Start, host: Any, scan_bytes: bytes) -> None:
    file = start()
    file.target.parent.mkdir()
    file.partial.write_bytes(b"x" * 100)
    fetch(file)
    assert file.target.read_bytes() == scan_bytes
    assert host.ranges == [None]


def test_partial_file_that_is_whole_already_is_taken(start: Start, host: Any, scan_bytes: bytes) -> None:
    file = start()
    tag = requests.get(file.url, timeout=5).headers["ETag"]
    file.target.parent.mkdir()
    file.partial.write_bytes(scan_bytes)
    file.validator.write_text(tag)
    fetch(file)
    assert file.target.read_bytes() == scan_bytes
    assert host.ranges == [None, f"bytes={len(scan_bytes)}-"]


def test_partial_file_that_is_too_long_is_fetched_anew(start: Start, scan_bytes: bytes) -> None:
    file = start()
    tag = requests.get(file.url, timeout=5).headers["ETag"]
    file.target.parent.mkdir()
    file.partial.write_bytes(scan_bytes + b"more")
    file.validator.write_text(tag)
    fetch(file)
    assert file.target.read_bytes() == scan_bytes


@pytest.mark.parametrize("status", [429, 500, 503])
def test_status_that_may_pass_is_tried_again(start: Start, host: Any, status: int) -> None:
    host.faults = [status]
    file = start()
    fetch(file)
    assert len(host.ranges) == 2
    assert file.target.exists()


@pytest.mark.parametrize("status", [403, 404])
def test_other_status_fails_at_once(start: Start, host: Any, status: int) -> None:
    host.faults = [status]
    with pytest.raises(DownloadError, match=f"HTTP status {status}; check the case's number"):
        fetch(start())
    assert len(host.ranges) == 1


def test_wrong_sha256_leaves_nothing(start: Start) -> None:
    file = start(expected="0" * 64)
    with pytest.raises(DownloadError, match=r"SHA-256 [0-9a-f]{12}\.\.\. is not the expected 000000000000"):
        fetch(file)
    assert files(file) == []


@pytest.mark.parametrize("change", [lambda whole: whole[:-9], lambda whole: b"<html>no such page</html>"])
def test_bytes_that_are_no_whole_gzip_leave_nothing(
    start: Start, host: Any, scan_bytes: bytes, change: Callable[[bytes], bytes]
) -> None:
    host.files["/scan"] = change(scan_bytes)
    file = start()
    with pytest.raises(DownloadError, match="is not a whole gzip file"):
        fetch(file)
    assert files(file) == []


def test_host_that_does_not_answer_is_one_error(start: Start, host: Any) -> None:
    file = Transfer("http://127.0.0.1:9/scan", start().target, None, requests.Session())
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/scan: not whole after 6 attempts \(ConnectionError\)"):
        fetch(file)


def test_url_that_is_none_is_refused(start: Start) -> None:
    file = Transfer("scan.nii.gz", start().target, None, requests.Session())
    with pytest.raises(DownloadError, match="cannot be asked for"):
        fetch(file)


def test_full_disk_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = start()
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DiskFullError, match=r"scan\.nii\.gz: no space left"):
        fetch(file)


@pytest.mark.parametrize("faults", [["cut"], ["cut", "whole"]])
def test_progress_ends_at_the_whole_size(start: Start, host: Any, scan_bytes: bytes, faults: list[str]) -> None:
    seen = []

    class Recorder(Progress):
        def advance(self, task_id: TaskID, advance: float = 1) -> None:
            super().advance(task_id, advance)
            seen.append((self.tasks[0].completed, self.tasks[0].total))

    host.faults = faults
    with Recorder(disable=True) as progress:
        fetch(start(progress=progress))
        assert progress.tasks == []
    assert seen[-1] == (len(scan_bytes), len(scan_bytes))
