from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.imaging.layouts.pairing import DECATHLON, LAYOUTS, NNUNET, check_names, find_layout, matching


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(("images", "labels"), LAYOUTS)
def test_every_layout_is_found_and_hidden_files_are_not(images: str, labels: str, tmp_path: Path) -> None:
    names = [pattern.replace("*", name) for name in ("b", "a_0001") for pattern in (images, labels)]
    hidden = [pattern.replace("*", "._b") for pattern in (images, labels)]
    found = find_layout(touch(tmp_path, *names, *hidden), [])
    assert found is not None
    assert found.patterns == (images, labels)
    assert [pair.name for pair in found.pairs()] == ["a_0001", "b"]
    assert found.pairs()[1] == ("b", tmp_path / images.replace("*", "b"), tmp_path / labels.replace("*", "b"))


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz"), NNUNET),
        (("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a_0000.nii.gz"), DECATHLON),
    ],
)
def test_label_maps_tell_numbers_of_channels_from_those_of_patients(
    names: tuple[str, ...], layout: tuple[str, str], tmp_path: Path
) -> None:
    found = find_layout(touch(tmp_path, *names), [])
    assert found is not None
    assert found.patterns == layout


def test_pairs_in_two_ways_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
    with pytest.raises(SourceError, match=r"in two ways: 'imagesTr/\*_0000.nii.gz' with .*; keep one of them"):
        find_layout(tmp_path, [])


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        (("images/a.nii.gz", "labels/a.nii.gz", "images/b.nii.gz"), "b.nii.gz: pairs with nothing: 'labels/b.nii.gz'"),
        (("a_img.nii.gz", "a_seg.nii.gz", "c_seg.nii.gz"), "c_seg.nii.gz: pairs with nothing: 'c_img.nii.gz'"),
        (("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"), "is a second channel"),
    ],
)
def test_what_lacks_a_counterpart_or_has_two_channels_is_refused(
    names: tuple[str, ...], finding: str, tmp_path: Path
) -> None:
    found = find_layout(touch(tmp_path, *names), [])
    assert found is not None
    with pytest.raises(SourceError, match=finding):
        found.pairs()


def test_other_suffixes_count_where_they_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b.nii.gz", "c.png")
    assert matching(tmp_path, "*.nii.gz", [".nii"]).keys() == {"a", "b"}
    touch(tmp_path, "b.nii")
    with pytest.raises(SourceError, match="a second time"):
        matching(tmp_path, "*.nii.gz", [".nii"])


@pytest.mark.parametrize(("names", "finding"), [(["a b"], "cannot be an id"), (["a", "A"], "capital letters only")])
def test_names_that_are_no_ids_are_refused(names: list[str], finding: str) -> None:
    with pytest.raises(SourceError, match=finding):
        check_names({name: Path(name) for name in names})
