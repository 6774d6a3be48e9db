"""What is written is what is read, or it is an error that names the file."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nephrite import evidence
from nephrite.errors import StoreError
from nephrite.evidence import (
    EVIDENCE,
    Evidence,
    changed_files,
    check_files,
    check_seal,
    digest_files,
    finished_files,
    read_sealed,
    sealed,
    write_evidence,
)
from nephrite.files import read_json, write_json
from nephrite.record_fields import Inputs, Sha256
from tests.finished_trial import let_clock_pass

AGAIN = "run 'make_it' again"


@dataclass(frozen=True)
class Kept:
    """A record of these tests."""

    number: int
    digest: Sha256
    inputs: Inputs = field(default_factory=dict)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder with two files, whose last change lies some time back."""
    (tmp_path / "out" / "inner").mkdir(parents=True)
    (tmp_path / "out" / "a").write_bytes(b"first")
    (tmp_path / "out" / "inner" / "b").write_bytes(b"second")
    let_clock_pass()
    return tmp_path / "out"


@pytest.fixture
def files(output: Path) -> dict[str, str]:
    return digest_files(output, finished_files(output))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The files that were hashed; marks lie in a folder of the test, and nothing is known from before."""
    seen: list[str] = []

    def counted(root: Path, names: list[str]) -> dict[str, str]:
        seen.extend(names)
        return digest_files(root, names)

    monkeypatch.setattr(evidence, "digest_files", counted)
    monkeypatch.setattr(evidence, "_known", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return seen


def edit_in_place(path: Path) -> None:
    """Change a file and set its time back, so that size and time of change are as before."""
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_files_are_known_by_their_path_in_the_folder(files: dict[str, str]) -> None:
    assert [*files] == ["a", "inner/b"]
    assert files["a"] == "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"


def test_what_a_checkpoint_leaves_belongs_to_no_record(output: Path) -> None:
    for name in ("last.ckpt", "fingerprint.json", "card"):
        (output / name).touch()
    assert finished_files(output, without=("card",)) == ["a", "inner/b"]


def test_unchanged_files_pass(output: Path, files: dict[str, str]) -> None:
    check_files(output, files, AGAIN)
    assert [*changed_files(output, files)] == []


@pytest.mark.parametrize("name", ["a", "inner/b"])
def test_a_changed_file_is_named_with_what_to_do(output: Path, files: dict[str, str], name: str) -> None:
    edit_in_place(output / name)
    with pytest.raises(StoreError, match=rf"out/{name}: was changed: its SHA-256 is \w+\.\.\., not .*; run 'make_it'"):
        check_files(output, files, AGAIN)


def test_a_lost_file_is_named(output: Path, files: dict[str, str]) -> None:
    (output / "inner" / "b").unlink()
    with pytest.raises(StoreError, match="inner/b: is missing; run 'make_it' again"):
        check_files(output, files, AGAIN)
    assert [finding for _, finding in changed_files(output, files)] == ["is missing"]


def test_a_folder_in_place_of_a_file_is_an_error(output: Path, files: dict[str, str]) -> None:
    (output / "a").unlink()
    (output / "a").mkdir()
    with pytest.raises(StoreError, match="out/a: is missing"):
        check_files(output, files, AGAIN)


def test_a_process_reads_the_same_files_once(output: Path, files: dict[str, str], read: list[str]) -> None:
    for _ in range(2):
        check_files(output, files, AGAIN)
    assert read == ["a", "inner/b"]
    edit_in_place(output / "a")
    with pytest.raises(StoreError, match="out/a: was changed"):
        check_files(output, files, AGAIN)


def test_files_that_changed_a_moment_ago_are_read_again(output: Path, files: dict[str, str], read: list[str]) -> None:
    (output / "a").write_bytes(b"first")
    for _ in range(2):
        check_files(output, files, AGAIN)
    assert len(read) == 4


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process."""
    monkeypatch.setattr(evidence, "_known", set())


def test_large_outputs_are_read_once_on_a_machine(
    output: Path, files: dict[str, str], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "SMALL", 1)
    for _ in range(2):
        check_files(output, files, AGAIN)
        forget(monkeypatch)
    assert len(read) == 2
    edit_in_place(output / "a")
    with pytest.raises(StoreError, match="out/a: was changed"):
        check_files(output, files, AGAIN)


def test_small_outputs_are_read_by_every_process(
    output: Path, files: dict[str, str], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        check_files(output, files, AGAIN)
        forget(monkeypatch)
    assert len(read) == 4


def test_another_record_of_the_same_files_is_checked_anew(
    output: Path, files: dict[str, str], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "SMALL", 1)
    check_files(output, files, AGAIN)
    with pytest.raises(StoreError, match="out/a: was changed"):
        check_files(output, files | {"a": files["inner/b"]}, AGAIN)


def test_without_a_place_for_marks_everything_is_read(
    output: Path, files: dict[str, str], read: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setattr(evidence, "SMALL", 1)
    for _ in range(2):
        check_files(output, files, AGAIN)
        forget(monkeypatch)
    assert len(read) == 4


def test_marks_name_no_file(
    output: Path, files: dict[str, str], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "SMALL", 1)
    check_files(output, files, AGAIN)
    (mark,) = (path for path in (output.parent / "cache").rglob("*") if path.is_file())
    assert len(mark.name) == len(mark.read_text()) == 64


def test_a_record_comes_back_and_is_refused_once_it_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, sealed({"number": 3, "inputs": {}}))
    assert read_sealed(path, Kept, AGAIN).number == 3
    write_json(path, read_json(path) | {"number": 4})
    with pytest.raises(StoreError, match=r"record.json: was changed after it was written: .*; run 'make_it' again"):
        read_sealed(path, Kept, AGAIN)


def test_the_order_of_fields_counts() -> None:
    one, other = sealed({"channels": {"kidney": 1, "tumor": 2}}), sealed({"channels": {"tumor": 2, "kidney": 1}})
    assert one["digest"] != other["digest"]
    with pytest.raises(StoreError):
        check_seal(other | {"digest": one["digest"]}, "here", AGAIN)


def test_numbers_as_keys_are_sealed_as_they_are_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", sealed({"classes": {2: "b", 10: "a"}}))
    check_seal(read_json(tmp_path / "a.json"), "here", AGAIN)


def test_a_record_of_an_older_version_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_json(tmp_path / "old.json", {"number": 3})
    with caplog.at_level(logging.WARNING):
        first, second = (read_sealed(tmp_path / "old.json", Kept, AGAIN) for _ in range(2))
    assert first == second
    assert len(first.digest) == 64
    assert caplog.text.count("holds no digests, since an older version wrote it") == 1


def test_a_record_that_lost_its_digest_is_no_older_one(tmp_path: Path) -> None:
    write_json(tmp_path / "new.json", {"number": 3, "inputs": {}})
    with pytest.raises(StoreError, match="lacks its 'digest'"):
        read_sealed(tmp_path / "new.json", Kept, AGAIN)


def test_evidence_of_a_folder_answers_for_all_its_files(output: Path, files: dict[str, str]) -> None:
    write_evidence(output, kind="report", inputs={"pairs": "0" * 64}, version="1")
    found = read_sealed(output / EVIDENCE, Evidence, AGAIN)
    assert (found.files, found.inputs) == (files, {"pairs": "0" * 64})
