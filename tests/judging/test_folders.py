from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nephrite.errors import SourceError, StoreError
from nephrite.judging.folders import find_predictions, find_references


def test_every_map_has_its_arm_replicate_and_patient(folders: Path) -> None:
    (folders / "predictions" / "real" / "0" / "plans.json").write_text("{}")
    (folders / "predictions" / ".cache").mkdir()
    found = find_predictions(folders / "predictions")
    assert len(found) == 12
    assert {(each.arm, each.replicate) for each in found} == {(a, r) for a in ("real", "fakes") for r in "01"}
    assert {each.patient for each in found} == {"a", "b", "c"}
    assert {each.fold for each in found} == {None}


def test_folders_between_are_folds(folders: Path) -> None:
    run = folders / "predictions" / "real" / "0"
    for fold, patient in (("fold_0", "a"), ("fold_1", "b")):
        (run / fold / "validation").mkdir(parents=True)
        shutil.move(run / f"{patient}.nii.gz", run / fold / "validation" / f"{patient}.nii.gz")
    folds = {
        e.patient: e.fold for e in find_predictions(folders / "predictions") if (e.arm, e.replicate) == ("real", "0")
    }
    assert folds == {"a": "fold_0", "b": "fold_1", "c": None}
    shutil.copy(run / "c.nii.gz", run / "fold_0" / "c.nii.gz")
    with pytest.raises(SourceError, match=r"'c' is predicted twice.*each patient is predicted once"):
        find_predictions(folders / "predictions")


def test_references_lie_side_by_side_or_in_folders_of_their_own(folders: Path) -> None:
    root = folders / "references"
    flat = find_references(root)
    (root / "a").mkdir()
    shutil.move(flat["a"], root / "a" / "segmentation.nii.gz")
    assert find_references(root) == flat | {"a": root / "a" / "segmentation.nii.gz"}
    shutil.copy(root / "a" / "segmentation.nii.gz", root / "a.nii")
    with pytest.raises(SourceError, match="'a' has a second label map"):
        find_references(root)


def test_what_is_no_layout_is_one_line(folders: Path, tmp_path: Path) -> None:
    for find in (find_predictions, find_references):
        with pytest.raises(SourceError, match="is no folder"):
            find(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no folder; put label maps into ARM/REPLICATE/ID.nii.gz"):
        find_predictions(tmp_path / "empty")
    with pytest.raises(SourceError, match="holds no label map; name a folder of ID"):
        find_references(tmp_path / "empty")
    run = folders / "predictions" / "real" / "0"
    shutil.copy(run / "a.nii.gz", run.parent / "a.nii.gz")
    with pytest.raises(SourceError, match="lies beside the replicates of its arm"):
        find_predictions(folders / "predictions")
    (run.parent / "a.nii.gz").unlink()
    (folders / "predictions" / "real" / "2").mkdir()
    with pytest.raises(SourceError, match="2: holds no label map"):
        find_predictions(folders / "predictions")


def test_a_name_that_breaks_tables_is_refused(folders: Path) -> None:
    (folders / "predictions" / "real").rename(folders / "predictions" / "real | x")
    with pytest.raises(StoreError, match=r"arm: .*rename the folder or the file"):
        find_predictions(folders / "predictions")
