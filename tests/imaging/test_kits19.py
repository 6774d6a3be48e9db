from __future__ import annotations

import errno
import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from huggingface_hub import constants

from nephrite.config import Config
from nephrite.errors import DiskFullError, DownloadError
from nephrite.imaging import kits19
from nephrite.imaging.kits19 import ATTEMPTS, download_case, read_checksums
from nephrite.imaging.sources import find_cases

IMAGE, LABEL = "case_00012/imaging.nii.gz", "case_00012/segmentation.nii.gz"
SCAN = "/images/case_00012.nii.gz"
CHUNK = 1 << 14


@pytest.fixture
def download(host: Any, scan_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Download case 12 of a local host into tmp_path, without pauses and in small pieces; arguments can be replaced."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    host.files |= {SCAN: scan_bytes, "/v1/case_00012/label.nii.gz": scan_bytes}
    return partial(
        download_case,
        12,
        tmp_path,
        images_url=host.url + "/images/case_{case:05d}.nii.gz",
        labels_url=host.url + "/{revision}/case_{case:05d}/label.nii.gz",
        revision="v1",
        checksums={},
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "case_00012").iterdir())


def test_case_lies_in_kits_layout(download: Any, tmp_path: Path, scan_bytes: bytes) -> None:
    assert download() == tmp_path / "case_00012"
    assert [case.patient for case in find_cases(tmp_path)] == ["case_00012"]
    assert (tmp_path / LABEL).read_bytes() == scan_bytes


def test_checksums_and_urls_are_recorded(download: Any, host: Any, tmp_path: Path, scan_bytes: bytes) -> None:
    download()
    record = json.loads((tmp_path / "case_00012" / "checksums.json").read_text())
    found = hashlib.sha256(scan_bytes).hexdigest()
    url = f"{host.url}/v1/case_00012/label.nii.gz"
    assert record["segmentation.nii.gz"] == {"sha256": found, "url": url}


def test_case_that_is_there_is_not_asked_for_again(download: Any, host: Any) -> None:
    download()
    host.ranges.clear()
    download()
    assert host.ranges == []


def test_cut_image_goes_on_in_the_same_call(download: Any, host: Any, tmp_path: Path, scan_bytes: bytes) -> None:
    host.faults = ["cut"]
    download()
    assert (tmp_path / IMAGE).read_bytes() == scan_bytes
    assert host.ranges == [None, "bytes=32768-", None]  # half of the scan in whole pieces, the rest, the label map
    assert names(tmp_path) == ["checksums.json", "imaging.nii.gz", "segmentation.nii.gz"]


def test_missing_label_keeps_the_image_for_the_next_call(download: Any, host: Any, tmp_path: Path) -> None:
    label = host.files.pop("/v1/case_00012/label.nii.gz")
    with pytest.raises(DownloadError, match=r"label\.nii\.gz: HTTP status 404"):
        download()
    host.files["/v1/case_00012/label.nii.gz"] = label
    host.ranges.clear()
    download()
    assert len(host.ranges) == 1
    assert (tmp_path / LABEL).exists()


def test_other_revision_is_fetched_anew(download: Any, host: Any, tmp_path: Path, scan_bytes: bytes) -> None:
    download()
    host.files["/v2/case_00012/label.nii.gz"] = scan_bytes + scan_bytes
    host.ranges.clear()
    download(revision="v2")
    assert len(host.ranges) == 1
    assert (tmp_path / LABEL).read_bytes() == scan_bytes + scan_bytes


def test_file_that_changed_on_disk_is_refused(download: Any, tmp_path: Path) -> None:
    download()
    (tmp_path / IMAGE).write_bytes(b"changed")
    with pytest.raises(DownloadError, match=r"imaging\.nii\.gz: SHA-256 .* delete it to fetch it again"):
        download()


def test_wrong_bytes_are_refused_and_leave_nothing_as_whole(download: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="SHA-256"):
        download(checksums={IMAGE: "0" * 64})
    assert list((tmp_path / "case_00012").iterdir()) == []


def test_listed_checksum_stands_for_a_missing_record(download: Any, host: Any, tmp_path: Path) -> None:
    download()
    (tmp_path / "case_00012" / "checksums.json").unlink()
    host.ranges.clear()
    known = hashlib.sha256((tmp_path / IMAGE).read_bytes()).hexdigest()
    download(checksums={IMAGE: known, LABEL: known})
    assert host.ranges == []


def test_list_of_checksums_is_read(tmp_path: Path) -> None:
    first, second = "a" * 64, "B" * 64
    path = tmp_path / "checksums.txt"
    path.write_text(f"{first}  {IMAGE}\n{second} *./data/{LABEL}\n")
    assert read_checksums(path) == {IMAGE: first, LABEL: second.lower()}


def test_broken_list_of_checksums_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "checksums.txt"
    path.write_text(f"{'a' * 64}  {IMAGE}\n1234  {LABEL}\n")
    with pytest.raises(DownloadError, match=r"checksums\.txt: line 2 is not"):
        read_checksums(path)
    with pytest.raises(DownloadError, match="is missing"):
        read_checksums(tmp_path / "none.txt")


@pytest.mark.parametrize("url", ["http://host/one.nii.gz", "http://host/{patient}.nii.gz"])
def test_url_without_the_case_is_refused(download: Any, url: str) -> None:
    with pytest.raises(DownloadError, match="does not say where a case is"):
        download(images_url=url)


def test_public_urls_are_pinned_to_commits(load: Callable[..., Config]) -> None:
    kits = load().acquire.kits19
    assert kits.revision in kits.labels_url.format(case=0, revision=kits.revision)
    assert "/resolve/main/" not in kits.images_url
    assert kits.images_url.format(case=7).endswith("/images/case_00007.nii.gz")


def test_later_call_goes_on_where_an_earlier_one_gave_up(
    download: Any, host: Any, tmp_path: Path, scan_bytes: bytes
) -> None:
    host.faults = ["cut", *[503] * ATTEMPTS]
    with pytest.raises(DownloadError, match=rf"{SCAN}: not whole after {ATTEMPTS} attempts \(HTTP status 503\)"):
        download()
    assert not (tmp_path / IMAGE).exists()
    host.ranges.clear()
    host.faults.clear()
    download()
    assert host.ranges == ["bytes=32768-", None]
    assert (tmp_path / IMAGE).read_bytes() == scan_bytes
    assert names(tmp_path) == ["checksums.json", "imaging.nii.gz", "segmentation.nii.gz"]


def test_pieces_of_two_revisions_are_not_joined(download: Any, host: Any, tmp_path: Path, scan_bytes: bytes) -> None:
    urls = {"images_url": host.url + "/{revision}/{case:05d}"}
    host.files["/v1/00012"], host.files["/v2/00012"] = scan_bytes, scan_bytes + scan_bytes
    host.files["/v2/case_00012/label.nii.gz"] = scan_bytes
    host.faults = ["cut", *[503] * ATTEMPTS]
    with pytest.raises(DownloadError):
        download(**urls)
    host.faults.clear()
    host.ranges.clear()
    download(revision="v2", **urls)
    assert host.ranges == [None, None]
    assert (tmp_path / IMAGE).read_bytes() == scan_bytes + scan_bytes
    assert names(tmp_path) == ["checksums.json", "imaging.nii.gz", "segmentation.nii.gz"]


def test_host_that_ignores_the_range_is_read_from_the_start(
    download: Any, host: Any, tmp_path: Path, scan_bytes: bytes
) -> None:
    host.faults = ["cut", "whole"]
    download()
    assert (tmp_path / IMAGE).read_bytes() == scan_bytes


def test_file_that_changes_meanwhile_leaves_nothing(download: Any, host: Any, tmp_path: Path) -> None:
    host.faults = ["changed"]
    with pytest.raises(DownloadError, match=rf"{SCAN}: changed while it was fetched; run it again"):
        download()
    assert names(tmp_path) == []


def test_file_that_changed_between_calls_is_noticed(download: Any, host: Any, tmp_path: Path) -> None:
    host.faults = ["changed", *[503] * ATTEMPTS]
    with pytest.raises(DownloadError, match="HTTP status 503"):
        download()
    host.faults.clear()
    host.files[SCAN] = host.files[SCAN][::-1]
    with pytest.raises(DownloadError, match="is not a whole gzip file"):
        download()
    assert names(tmp_path) == []


def test_bytes_that_are_all_there_are_taken(
    download: Any, host: Any, tmp_path: Path, scan_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kits19, "_check_bytes", lambda *_: 1 / 0)  # a process that dies here
    with pytest.raises(ZeroDivisionError):
        download()
    monkeypatch.undo()
    host.ranges.clear()
    download()
    assert host.ranges[0] == f"bytes={len(scan_bytes)}-"
    assert (tmp_path / IMAGE).read_bytes() == scan_bytes


@pytest.mark.parametrize("status", [429, 500, 503])
def test_status_that_may_pass_is_tried_again(download: Any, host: Any, status: int) -> None:
    host.faults = [status]
    download()
    assert len(host.ranges) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_other_status_fails_at_once(download: Any, host: Any, status: int) -> None:
    host.faults = [status]
    with pytest.raises(DownloadError, match=f"HTTP status {status}; check the case's number"):
        download()
    assert len(host.ranges) == 1


@pytest.mark.parametrize("change", [lambda whole: whole[:-9], lambda whole: b"<html>no such page</html>"])
def test_bytes_that_are_no_whole_gzip_leave_nothing(
    download: Any, host: Any, tmp_path: Path, scan_bytes: bytes, change: Callable[[bytes], bytes]
) -> None:
    host.files[SCAN] = change(scan_bytes)
    with pytest.raises(DownloadError, match="is not a whole gzip file"):
        download()
    assert names(tmp_path) == []


def test_host_that_does_not_answer_is_one_error(download: Any) -> None:
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/12: not whole after 6 attempts \(ConnectError\); run it"):
        download(images_url="http://127.0.0.1:9/{case}")


@pytest.mark.parametrize("url", ["{case}.nii.gz", "ftp://host/{case}", "http://host:port{case}"])
def test_url_that_is_none_is_refused(download: Any, url: str) -> None:
    with pytest.raises(DownloadError, match=r"cannot be asked for \(.*\); correct the URL"):
        download(images_url=url)


def test_offline_mode_is_named(download: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="unset HF_HUB_OFFLINE"):
        download()


def test_full_disk_is_named(download: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(url: str, out: BinaryIO, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kits19, "http_get", full)
    with pytest.raises(DiskFullError, match=r"imaging\.nii\.gz: no space left"):
        download()


def test_hub_library_shows_nothing(download: Any, host: Any, capsys: pytest.CaptureFixture[str]) -> None:
    host.faults = ["cut", 429]
    download()
    assert capsys.readouterr() == ("", "")
