from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from nephrite.errors import DownloadError
from nephrite.imaging.download import IMAGES_URL, LABELS_URL, REVISION, download_case, read_checksums
from nephrite.imaging.sources import find_cases

IMAGE, LABEL = "case_00012/imaging.nii.gz", "case_00012/segmentation.nii.gz"


@pytest.fixture
def download(host: Any, scan_bytes: bytes, tmp_path: Path) -> Any:
    """Download case 12 of a local host into tmp_path; arguments can be replaced."""
    host.files |= {"/images/case_00012.nii.gz": scan_bytes, "/v1/case_00012/label.nii.gz": scan_bytes}
    return partial(
        download_case,
        12,
        tmp_path,
        images_url=host.url + "/images/case_{case:05d}.nii.gz",
        labels_url=host.url + "/{revision}/case_{case:05d}/label.nii.gz",
        revision="v1",
        wait=wait_none(),
    )


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
    assert host.ranges == [None, "bytes=32768-", None]


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


def test_public_urls_are_pinned_to_commits() -> None:
    assert REVISION in LABELS_URL.format(case=0, revision=REVISION)
    assert "/resolve/main/" not in IMAGES_URL
    assert IMAGES_URL.format(case=7).endswith("/images/case_00007.nii.gz")
