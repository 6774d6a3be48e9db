from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephrite.errors import OutputError
from nephrite.ownership import MARK, check_apart, check_replaceable, check_replaceable_file, mark_folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder that Nephrite wrote."""
    folder = tmp_path / "out"
    (folder / "patients").mkdir(parents=True)
    (folder / "patients" / "image.npy").touch()
    mark_folder(folder)
    return folder


def test_own_folder_may_be_replaced(output: Path, tmp_path: Path) -> None:
    check_replaceable(output)
    (output / ".DS_Store").touch()
    check_replaceable(output)
    (output / "patients" / "image.npy").unlink()  # a damaged output is written again
    check_replaceable(output)
    check_replaceable(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty")


def test_folder_of_the_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "thesis.tex").touch()
    with pytest.raises(
        OutputError, match=r"docs: is there already, and Nephrite did not write it; name another folder"
    ):
        check_replaceable(tmp_path / "docs")


def test_file_that_the_user_put_into_an_output_is_refused(output: Path) -> None:
    (output / "patients" / "notes.md").touch()
    with pytest.raises(OutputError, match=r"out: would be replaced, and holds 'patients/notes.md', which Nephrite did"):
        check_replaceable(output)
    (output / "more.md").touch()
    with pytest.raises(OutputError, match=r"holds 'more.md', which Nephrite did not write \(and 1 more\)"):
        check_replaceable(output)


def test_mark_says_nothing_about_names(output: Path) -> None:
    text = (output / MARK).read_text()
    assert text.startswith("Written by Nephrite, which may replace this folder.")
    assert "image" not in text


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out: is a file, and a folder is written here"):
        check_replaceable(tmp_path / "out")


@pytest.mark.parametrize("content", [b"my notes", b"[1]", b'{"arm": 1}', b"\xff\xfe"])
def test_file_that_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scores.json"
    check_replaceable_file(path, ("arm", "patients"))
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"scores.json: is there already, and Nephrite did not write it"):
        check_replaceable_file(path, ("arm", "patients"))
    path.write_text(json.dumps({"arm": {}, "patients": [], "version": 1}))
    check_replaceable_file(path, ("arm", "patients"))


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder, and a file is written here"):
        check_replaceable_file(tmp_path, ("arm",))


@pytest.mark.parametrize(
    ("output", "relation"), [("data/raw", "is"), ("data", "holds"), ("data/raw/pairs", "lies in"), ("link", "is")]
)
def test_output_apart_from_inputs(tmp_path: Path, output: str, relation: str) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data" / "raw")
    check_apart(tmp_path / "data" / "prepared", {"--raw": tmp_path / "data" / "raw"})
    check_apart(tmp_path / "data" / "raw-2", {"--raw": tmp_path / "data" / "raw"})
    with pytest.raises(OutputError, match=rf"{output}: {relation} an input \(--raw: .*raw\), and would change it"):
        check_apart(tmp_path / output, {"--raw": tmp_path / "data" / "raw"})
