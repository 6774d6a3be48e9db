from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.errors import SourceError
from nephrite.survey.inspection import Inspection, inspect

WriteCase = Callable[..., None]
NAMES = {1: "kidney", 2: "tumor"}


def look(folder: Path, **more: object) -> Inspection:
    return inspect(folder, NAMES, processes=1, **more)  # type: ignore[arg-type] # options of several types


def texts(found: Inspection, name: str) -> list[tuple[str, str]]:
    (case,) = [case for case in found.cases if case.name == name]
    return [(finding.kind, finding.text) for finding in case.findings]


def test_all_findings_come_at_once_and_the_worst_cases_first(kits_folder: Path, write_kits_case: WriteCase) -> None:
    # a file that is missing, one that is broken, a scan under two names, one of a single intensity
    (kits_folder / "case_00001" / "segmentation.nii.gz").unlink()
    (kits_folder / "case_00003" / "imaging.nii.gz").write_bytes(b"no scan")
    shutil.copytree(kits_folder / "case_00004", kits_folder / "case_00099")
    write_kits_case(kits_folder / "plain", 50, image=np.zeros((5, 40, 48), np.int16))
    found = look(kits_folder)
    refused = [case.name for case in found.cases if case.kind == "refused"]
    assert refused == [case.name for case in found.cases][: len(refused)]
    assert refused == ["case_00001", "case_00003", "case_00099", "plain"]
    assert found.refused
    ((kind, text),) = texts(found, "case_00001")
    assert (kind, text) == (
        "refused",
        f"{kits_folder}/case_00001/segmentation.nii.gz: is missing; add the file, or move the case's folder away",
    )
    assert "case_00003" in texts(found, "case_00003")[0][1]
    assert "holds the same scan as 'case_00004'; keep one of them" in texts(found, "case_00099")[0][1]
    assert texts(found, "plain")[0][0] == "refused"
    assert not any("nephrite-" in text for case in found.cases for _, text in case.findings)
    # whoever can be prepared has a picture
    assert all(case.picture for case in found.cases if case.kind != "refused")


def test_a_label_map_in_the_air_and_repeated_slices_are_doubtful(kits_folder: Path, write_kits_case: WriteCase) -> None:
    image = np.full((5, 40, 48), -1000, np.int16)
    image[:, 20:38, 20:46] = np.random.default_rng(1).normal(40, 9, (5, 18, 26)).astype(np.int16)
    image[3] = image[2]
    write_kits_case(kits_folder / "odd", 77, image=image)
    found = look(kits_folder)
    told = " | ".join(text for kind, text in texts(found, "odd") if kind == "doubtful")
    assert "of the label map lies in the air about the body" in told
    assert "slice 4 is the same as the one before" in told
    assert (found.refused, found.cases[0].name) == (False, "odd")


def test_lesions_that_the_grid_loses_and_a_spacing_of_its_own_are_doubtful(
    kits_folder: Path, load: Callable[..., object]
) -> None:
    place = kits_folder / "case_00002" / "segmentation.nii.gz"
    drawn = nib.nifti1.load(place)
    label = np.asarray(drawn.dataobj).astype(np.uint8)
    label[label == 2] = 1
    label[2, 12, 14] = 2
    nib.save(nib.nifti1.Nifti1Image(label, drawn.affine, drawn.header), place)
    for role in ("imaging", "segmentation"):
        path = kits_folder / "case_00005" / f"{role}.nii.gz"
        scan = nib.nifti1.load(path)
        affine = scan.affine * np.array([[1], [1], [4], [1]])
        nib.save(nib.nifti1.Nifti1Image(np.asarray(scan.dataobj), affine, scan.header), path)
    found = look(kits_folder, config=load())
    assert any("1 of 1 piece of tumor: less than 2 pixels across" in text for _, text in texts(found, "case_00002"))
    assert any("the folder's usual ones are 5 x 0.8 x 0.8 mm" in text for _, text in texts(found, "case_00005"))


def test_settings_of_ones_own_decide_what_is_refused(kits_folder: Path, load: Callable[..., object]) -> None:
    assert not look(kits_folder).refused
    narrow = load("prepare.classes={1: kidney}", "prepare.channels={kidney: [1]}", "prepare.lesions={}",
                  "evaluate.regions={kidney: {labels: [1]}}", "evaluate.lesions={}", "trial.primary=kidney",
                  "trial.training_sets.real=[real, real+geometric]")  # fmt: skip
    found = look(kits_folder, config=narrow)
    assert found.count("refused") == 12
    assert "among the classes" in found.cases[0].findings[0].text


def test_a_folder_of_too_few_patients_is_refused_as_a_whole(kits_folder: Path) -> None:
    for case in sorted(kits_folder.iterdir())[2:]:
        shutil.rmtree(case)
    found = look(kits_folder)
    assert found.refused
    assert [kind for kind, text in found.findings if "patients leave none for" in text] == ["refused"]


def test_cases_none_of_which_can_be_read_are_told_one_by_one(kits_folder: Path) -> None:
    for case in kits_folder.iterdir():
        (case / "imaging.nii.gz").write_bytes(b"no scan")
    (kits_folder / "case_00000" / "imaging.nii.gz").unlink()
    found = look(kits_folder)
    assert found.count("refused") == len(found.cases) == 12
    assert all(case.name in case.findings[0].text for case in found.cases)


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no case"):
        look(tmp_path)


def test_nothing_is_left_behind(kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path for path in kits_folder.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEPHRITE_PATIENTS", raising=False)
    look(kits_folder)
    assert sorted(path for path in kits_folder.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
