from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from nephrite.errors import DiskFullError, OutputError, StoreError
from nephrite.files import (
    digest,
    disk_errors,
    read_json,
    scratch_folder,
    sha256,
    whole_file,
    whole_folder,
    write_json,
    write_table,
)
from nephrite.ownership import MARK


def write_then_fail(folder: Path) -> None:
    fail_after((folder / "half").write_text("half"))


def fail_after(_: int) -> None:
    raise RuntimeError("killed")


def test_folder_appears_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "out", "pairs") as folder:
        (folder / "file").write_text("1")
        assert not (tmp_path / "a" / "out").exists()
    assert sorted(path.name for path in (tmp_path / "a").rglob("*")) == [MARK, "file", "out"]


def test_folder_replaces_an_older_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with whole_folder(tmp_path / "out", "pairs") as folder:
            (folder / name).touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == [MARK, "new", "out"]


def test_failing_folder_leaves_the_older_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", "pairs") as folder:
        (folder / "old").touch()
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "out", "pairs") as folder:
        write_then_fail(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [MARK, "old", "out"]


def test_kept_partial_is_there_for_the_next_attempt(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "out", "pairs", keep_partial=True) as folder:
        write_then_fail(folder)
    with whole_folder(tmp_path / "out", "pairs", keep_partial=True) as folder:
        assert (folder / "half").read_text() == "half"


def test_partial_of_a_killed_run_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "stale").touch()
    with whole_folder(tmp_path / "out", "pairs"):
        pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MARK]


def test_failing_file_leaves_the_older_one(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "out") as partial:
        fail_after(partial.write_text("half"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"out": "old"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_error_that_names_the_output(number: int, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="out: no space left"), whole_folder(tmp_path / "out", "pairs"):
        raise OSError(number, "full")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "finding"),
    [
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not be read or written by this user"),
        (errno.EPERM, "may not be changed by this user"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EIO, "the disk reports an error"),
        (errno.ESTALE, "network file system"),
    ],
)
def test_what_a_file_system_refuses_is_one_error(number: int, finding: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"out: .*{finding}.*; "), disk_errors(tmp_path / "out"):
        raise OSError(number, "no")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_volume_of_a_pod_that_belongs_to_another_is_told_with_its_remedy(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHRITE_POD", "train-segmenter-1")
    told = r"checkpoints: may not be .* by this user; give the volume to the group of this user: apply k8s/ again"
    with pytest.raises(OutputError, match=told) as caught, disk_errors(tmp_path / "checkpoints"):
        raise OSError(number, "no")
    assert "\n" not in str(caught.value)


def test_refused_file_is_named_where_the_system_names_it(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a{300}: has a name that is too long"), whole_file(tmp_path / ("a" * 300)):
        (tmp_path / ("a" * 300)).touch()
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="below a file, and a folder is needed"),
        whole_folder(tmp_path / "file" / "x", "pairs"),
    ):
        pass


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "missing").read_text()


def test_folder_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "thesis.tex").write_text("text")
    with pytest.raises(OutputError, match="Nephrite did not write it"), whole_folder(tmp_path / "docs", "pairs"):
        pytest.fail("the block must not start")
    assert [path.name for path in tmp_path.rglob("*")] == ["docs", "thesis.tex"]


def test_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "volume")
    with whole_folder(tmp_path / "out", "pairs") as folder:
        (folder / "file").touch()
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "volume" / "file").exists()


def test_scratch_lies_beside_the_output_and_is_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "out.scratch.partial").mkdir()
    (tmp_path / "out.scratch.partial" / "stale").touch()
    with scratch_folder(tmp_path / "out") as folder:
        assert folder.parent == tmp_path
        assert list(folder.iterdir()) == []
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_device_without_space_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="free some space"), disk_errors(tmp_path / "out"):
        Path("/dev/full").write_text("x" * 100_000)


def test_json_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"b": [1, 2.5, None]}


def test_json_refuses_nan_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"b": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "finding"), [(None, "is missing"), ("{", "is not JSON")])
def test_unreadable_json_is_named(text: str | None, finding: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(StoreError, match=rf"a\.json: {finding}"):
        read_json(tmp_path / "a.json")


def test_sha256_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_digest_depends_on_content_alone() -> None:
    assert digest({"a": 1, "b": [2]}) == digest(json.loads('{"b": [2], "a": 1}'))
    assert digest({"a": 1}) != digest({"a": 2})


def test_table_has_a_line_of_names_and_a_line_per_row(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", ("name", "size"), [("x, y", 1), ("", 2.5)])
    assert (tmp_path / "a.csv").read_bytes() == b'name,size\n"x, y",1\n,2.5\n'


def test_table_is_whole_or_absent(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_table(tmp_path / "a.csv", ("name",), ((1 / number,) for number in (1, 0)))
    assert not list(tmp_path.iterdir())
