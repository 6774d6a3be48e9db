from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nephrite.imaging.packed import DAMAGED, open_bytes, unpacked

CONTENT = bytes(range(256)) * 5000


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_is_read_as_it_was_before_it_was_packed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(CONTENT) if name.endswith(".gz") else CONTENT)
    with open_bytes(path) as file:
        file.seek(100)
        assert file.read(1000) == CONTENT[100:1100]
        assert file.read() == CONTENT[1100:]


def test_several_members_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "download.part"
    path.write_bytes(gzip.compress(CONTENT) + gzip.compress(b"more"))
    with unpacked(path) as file:
        assert file.read() == CONTENT + b"more"


@pytest.mark.parametrize("fault", ["sum", "length", "cut", "bits", "none"])
def test_what_is_damaged_is_seen_by_who_reads_to_the_end(tmp_path: Path, fault: str) -> None:
    packed = gzip.compress(CONTENT, mtime=0)
    middle = len(packed) // 2
    changed: dict[str, bytes] = {
        "sum": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
        "length": packed[:-1] + bytes([packed[-1] ^ 1]),
        "cut": packed[:middle],
        "bits": packed[:middle] + bytes(each ^ 255 for each in packed[middle : middle + 9]) + packed[middle + 9 :],
        "none": b"no gzip file",
    }
    path = tmp_path / "a.nii.gz"
    path.write_bytes(changed[fault])
    with pytest.raises(DAMAGED):
        read_all(path)


def read_all(path: Path) -> None:
    """Read to the end, piece by piece."""
    with open_bytes(path) as file:
        while file.read(1 << 16):
            pass
