from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.survey.leaving_out import case_of, renamed, without


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Cases in two layouts."""
    for name in ("a/imaging.nii", "b/imaging.nii", "train/DICOM/c/1.dcm", "train/Label/c/1.png", "train/DICOM/d/1.dcm"):
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "scans"


def test_a_case_is_left_out_wherever_its_files_lie(folder: Path, tmp_path: Path) -> None:
    with without(folder, ["a", "c"], tmp_path) as root:
        assert root.name == "scans"
        assert names(root) == ["b/imaging.nii", "train/DICOM/d/1.dcm"]
        assert (root / "b" / "imaging.nii").read_text() == "b/imaging.nii"
    assert not root.exists()
    assert len(names(folder)) == 5


def test_the_folder_itself_is_read_where_nothing_is_left_out(folder: Path, tmp_path: Path) -> None:
    with without(folder, [], tmp_path) as root:
        assert root == folder
    with without(folder, ["a", "b", "train"], tmp_path) as root:
        assert root.is_dir()
        assert names(root) == []


def test_the_case_of_an_error_is_named_by_its_folder_or_file(folder: Path) -> None:
    assert case_of(f"{folder}/a/segmentation.nii", folder) == "a"
    assert case_of(f"{folder}/train/Label/d", folder) == "d"
    assert case_of(str(folder), folder) is None
    assert case_of("--class", folder) is None


def test_an_error_names_the_users_own_path(folder: Path, tmp_path: Path) -> None:
    error = renamed(SourceError(tmp_path / "links" / "a", "is missing", "add it"), tmp_path / "links", folder)
    assert (type(error), error.place) == (SourceError, f"{folder}/a")
