"""KiTS19 case by case from its public hosts (Heller et al. 2019, CC BY-NC-SA 4.0).

The SHA-256 of every file is recorded in its case's `checksums.json` and compared when the case is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import requests
from rich.progress import Progress
from tenacity.wait import wait_base

from nephrite.errors import DownloadError
from nephrite.files import read_json, sha256, write_json
from nephrite.imaging.transfer import Transfer, fetch_whole, wrong_checksum

LABELS_URL = "https://raw.githubusercontent.com/neheller/kits19/{revision}/data/case_{case:05d}/segmentation.nii.gz"
IMAGES_URL = (
    "https://huggingface.co/datasets/neheller/KiTS-Challenge-Imaging/resolve/"
    "65f1f295873a326230153c7e1de0c7dba10f0b29/images/case_{case:05d}.nii.gz"
)
REVISION = "456b293435b25303bbc7995f094f83a0afdff0eb"  # of the labels

_RECORD = "checksums.json"


def download_case(
    case: int,
    target: Path,
    *,
    images_url: str = IMAGES_URL,
    labels_url: str = LABELS_URL,
    revision: str = REVISION,
    checksums: Mapping[str, str] | None = None,
    session: requests.Session | None = None,
    wait: wait_base | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch one case into `target/case_XXXXX`, going on where an earlier call was cut off.

    Args:
        case: number of the case, 0 to 299 (labels are public for 0 to 209).
        target: folder of the cases.
        images_url: where the scan is, with `{case:05d}` and, if the host has versions, `{revision}` in it.
        labels_url: where the label map is, likewise.
        revision: commit, tag or branch put into both URLs; give a commit, so that a rerun fetches the same bytes.
        checksums: SHA-256 by "case_XXXXX/imaging.nii.gz" and ".../segmentation.nii.gz", see `read_checksums`.
        session: HTTP session to use.
        wait: tenacity's pause between attempts; exponential with jitter, at most a minute, by default.
        progress: where to show bytes and time.

    Returns:
        The case's folder. A file that is there, with its recorded checksum and URL, is not asked for again.

    Raises:
        DownloadError: the host refuses, the connection keeps breaking, or the bytes are not the right ones. No file
            has then taken its name; what was fetched stays beside it for the next call, unless it is wrong.
        DiskFullError: no space left.
    """
    folder = target / f"case_{case:05d}"
    record = _read_record(folder)
    with nullcontext(session) if session else requests.Session() as open_session:
        for name, template in (("imaging.nii.gz", images_url), ("segmentation.nii.gz", labels_url)):
            expected = (checksums or {}).get(f"{folder.name}/{name}")
            url = _fill_url(template, case, revision)
            file = Transfer(url, folder / name, expected, open_session, progress)
            if not _is_there(file, record.get(name)):
                record[name] = {"sha256": fetch_whole(file, wait), "url": url}
                write_json(folder / _RECORD, record)
    return folder


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


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / _RECORD
    return dict(read_json(path)) if path.exists() else {}


def _is_there(file: Transfer, entry: Mapping[str, str] | None) -> bool:
    """Whether the file is whole and the one asked for; one that was fetched from another URL is fetched anew.

    Raises:
        DownloadError: the file differs from its checksum.
    """
    known = file.expected or (entry["sha256"] if entry and entry["url"] == file.url else None)
    if known is None or not file.target.exists():
        return False
    if (found := sha256(file.target)) != known:
        raise wrong_checksum(file.target, found, known, "delete it to fetch it again")
    return True
