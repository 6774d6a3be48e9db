from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.imaging.layouts.bids import class_names, find_bids

SCAN, LABEL = "sub-1/anat/sub-1_T1w.nii.gz", "derivatives/p/sub-1/anat/sub-1_dseg.nii.gz"
LESION = "derivatives/p/sub-1/anat/sub-1_label-lesion_mask.nii.gz"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def labeled(folder: Path, *names: str) -> dict[str, str]:
    """Case to the name of its label map."""
    return {case.name: case.label.name for case in find_bids(touch(folder, *names)) if case.label}


def test_sessions_are_scans_of_one_subject(tmp_path: Path) -> None:
    for session in ("1", "2"):
        name = f"sub-1/ses-{session}/anat/sub-1_ses-{session}"
        touch(tmp_path, f"{name}_T1w.nii.gz", f"derivatives/p/{name}_dseg.nii.gz")
    touch(tmp_path, "sub-2/ct/sub-2_ct.nii")
    found = [(case.name, case.subject, case.label is not None) for case in find_bids(tmp_path)]
    assert found == [("sub-1_ses-1", "sub-1", True), ("sub-1_ses-2", "sub-1", True), ("sub-2", "sub-2", False)]


@pytest.mark.parametrize(
    ("ending", "is_taken"),
    [
        ("dseg", True),
        ("space-orig_dseg", True),
        ("space-T1w_desc-manual_dseg", True),
        ("label-lesion_mask", True),
        ("desc-brain_mask", False),  # of what, it does not say
        ("space-MNI152_dseg", False),
        ("res-2_dseg", False),
        ("acq-other_dseg", False),
        ("label-lesion_probseg", False),
    ],
)
def test_a_label_map_repeats_the_entities_of_its_scan(ending: str, is_taken: bool, tmp_path: Path) -> None:
    found = labeled(tmp_path, SCAN, f"derivatives/p/sub-1/anat/sub-1_{ending}.nii.gz")
    assert bool(found) == is_taken


def test_entities_tell_scans_of_a_subject_apart(tmp_path: Path) -> None:
    scans = [f"sub-1/anat/sub-1_acq-{way}_T1w.nii.gz" for way in ("a", "b")]
    found = labeled(tmp_path, *scans, "derivatives/p/sub-1/anat/sub-1_acq-b_dseg.nii.gz")
    assert found == {"sub-1_acq-b": "sub-1_acq-b_dseg.nii.gz"}


def test_what_is_no_volume_of_a_subject_is_no_scan(tmp_path: Path) -> None:
    others = ("sub-1/func/sub-1_bold.nii.gz", "sub-1/anat/._sub-1_T1w.nii.gz", "sub-1/anat/sub-1_defacemask.nii.gz")
    found = find_bids(touch(tmp_path, SCAN, *others, "sub-1/anat/notes.nii.gz", "sourcedata/sub-9/anat/sub-9_T1w.nii"))
    assert [case.image for case in found] == [tmp_path / SCAN]


@pytest.mark.parametrize(
    ("others", "finding"),
    [
        (
            ("sub-1/anat/sub-1_T2w.nii.gz",),
            "belongs to several scans by its name: sub-1_T1w.nii.gz and sub-1_T2w.nii.gz",
        ),
        (("derivatives/q/sub-1/anat/sub-1_dseg.nii.gz",), r"q/.*: is a second label map of sub-1_T1w.nii.gz"),
        ((LESION,), r"is another kind of label map than sub-1_dseg.nii.gz; keep one kind.*save them as one '_dseg'"),
    ],
)
def test_what_is_not_clear_is_refused(others: tuple[str, ...], finding: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=finding):
        find_bids(touch(tmp_path, SCAN, LABEL, *others))


def test_masks_of_two_structures_are_not_mixed(tmp_path: Path) -> None:
    names = ("sub-2/anat/sub-2_T1w.nii.gz", "derivatives/p/sub-2/anat/sub-2_label-edema_mask.nii.gz")
    with pytest.raises(SourceError, match="is another kind of label map"):
        find_bids(touch(tmp_path, SCAN, LESION, *names))


def test_tables_name_values_and_what_they_name_twice_has_no_name(tmp_path: Path) -> None:
    touch(tmp_path, SCAN, LABEL)
    root = tmp_path / "derivatives" / "p"
    (root / "dseg.tsv").write_text("index\tname\n0\tBackground\n1\tKidney\n2\tTumor\nx\tnone\n")
    assert class_names(tmp_path) == {1: "Kidney", 2: "Tumor"}
    (root / "sub-1" / "anat" / "sub-1_dseg.tsv").write_text("index\tname\n2\tCyst\n")
    assert class_names(tmp_path) == {1: "Kidney"}


def test_a_mask_is_of_the_class_that_it_names(tmp_path: Path) -> None:
    assert class_names(touch(tmp_path, SCAN, LESION)) == {1: "lesion"}
    assert class_names(tmp_path / "none") == {}


def test_scans_that_are_channels_of_one_come_in_the_order_that_is_wanted(tmp_path: Path) -> None:
    others = [f"sub-1/anat/sub-1_{suffix}.nii.gz" for suffix in ("FLAIR", "T2w")]
    touch(tmp_path, SCAN, LABEL, *others)
    (case,) = find_bids(tmp_path, ["FLAIR", "T1w"])
    assert case.channels == (tmp_path / others[0], tmp_path / SCAN)
    assert (case.image, case.label) == (tmp_path / others[0], tmp_path / LABEL)
    assert [case.image for case in find_bids(tmp_path, ["T2w"])] == [tmp_path / others[1]]
    (tmp_path / others[0]).unlink()
    with pytest.raises(SourceError, match=r"sub-1_T1w.nii.gz: has no 'FLAIR' beside it"):
        find_bids(tmp_path, ["FLAIR", "T1w"])
