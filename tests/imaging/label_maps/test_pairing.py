from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import SourceError
from nephrite.imaging.dicom_file import SliceHeader
from nephrite.imaging.label_maps.pairing import pair_labels

FOLDER = Path("train/Label/a")
UIDS = ("1.2.840.113619.2.55.9", "1.2.840.113619.2.55.13", "1.2.840.113619.2.55.4")


def images(*names: str, numbers: Sequence[int | None] = (), top: float = 30.0) -> list[SliceHeader]:
    """Slices of 5 mm from superior to inferior."""
    numbers = numbers or [None] * len(names)
    return [
        SliceHeader(
            path=Path("train/DICOM/a") / name,
            series="1.2",
            instance=number,
            is_ct=True,
            is_whole=True,
            size=(6, 8),
            position=np.array([0.0, 0.0, top - 5 * place]),
            directions=np.eye(3)[:2],
            pixel_spacing=(1.0, 1.0),
            thickness=5.0,
        )
        for place, (name, number) in enumerate(zip(names, numbers, strict=True))
    ]


def labels(*stems: str) -> list[Path]:
    return [FOLDER / f"{stem}.png" for stem in stems]


def stems(found: Sequence[Path]) -> list[str]:
    return [path.stem for path in found]


def pair(slices: list[SliceHeader], pngs: list[Path]) -> list[str]:
    return stems(pair_labels(FOLDER, slices, pngs))


def test_equal_names_pair_whatever_the_numbers_say() -> None:
    assert pair(images("2.dcm", "1.dcm", numbers=[1, 2]), labels("1", "2")) == ["2", "1"]


@pytest.mark.parametrize("shape", ["mask_{}", "{}_mask", "a-{}-b"])
@pytest.mark.parametrize("names", [UIDS, ("x1", "x10", "x2")])
def test_label_whose_name_holds_the_images_name_is_its_own(names: tuple[str, ...], shape: str) -> None:
    slices = images(*(f"{name}.dcm" for name in names), numbers=[3, 2, 1])
    wanted = [shape.format(name) for name in names]
    assert pair(slices, labels(*sorted(wanted))) == wanted


def test_identifiers_without_suffix_are_names(tmp_path: Path) -> None:
    assert pair(images(*UIDS), labels(*sorted(UIDS))) == list(UIDS)


def test_number_in_the_name_pairs() -> None:
    slices = images("i0022,0000b.dcm", "i0020,0000b.dcm", numbers=[23, 21])
    assert pair(slices, labels("liver_GT_020", "liver_GT_022")) == ["liver_GT_022", "liver_GT_020"]


def test_instance_number_pairs() -> None:
    assert pair(images("x", "y", numbers=[8, 7]), labels("m_07", "m_08")) == ["m_08", "m_07"]


@pytest.mark.parametrize(("numbers", "wanted"), [((1, 2, 3), ["0", "1", "2"]), ((3, 2, 1), ["2", "1", "0"])])
def test_labels_counted_from_0_follow_the_instance_numbers(numbers: tuple[int, ...], wanted: list[str]) -> None:
    assert pair(images(*UIDS, numbers=numbers), labels("0", "1", "2")) == wanted


@pytest.mark.parametrize(
    ("numbers", "names"),
    [
        ((1, 3, 2), ("0", "1", "2")),  # positions contradict the numbers
        ((1, 3, 5), ("0", "2", "4")),  # not one by one
        ((5, 6, 7), ("1", "2", "3")),  # counted from another number
        ((2, 3, 4), ("1", "2", "3")),  # less one, but not from 0
        ((1, 1, 1), ("0", "1", "2")),
        ((None, None, None), ("0", "1", "2")),
        ((1, 2, 3), ("a", "b", "c")),
        ((1, 2, 3), ("4", "9", "13")),  # the last numbers of the identifiers
    ],
)
def test_order_never_pairs(numbers: tuple[int | None, ...], names: tuple[str, ...]) -> None:
    slices = images(*(f"{uid}.dcm" for uid in UIDS), numbers=numbers)
    with pytest.raises(SourceError, match=r"train/Label/a: no rule pairs its PNG labels.*give each PNG the name"):
        pair(slices, labels(*names))


def test_refusal_says_what_was_tried() -> None:
    with pytest.raises(SourceError) as caught:
        pair(images("b.dcm", "a.dcm", numbers=[7, 8]), labels("p", "q"))
    assert "file names (b.dcm with b.png), instance numbers (7 to 8) and positions (25 to 30 mm)" in str(caught.value)
    assert "with p.png to q.png" in str(caught.value)


def test_position_in_the_name_pairs() -> None:
    slices = images("x", "y", "z", top=-20.25)
    assert pair(slices, labels("s_-25.2", "s_-30.25", "s_-20.25")) == ["s_-20.25", "s_-25.2", "s_-30.25"]


def test_position_beside_the_slices_does_not_pair() -> None:
    with pytest.raises(SourceError, match="no rule pairs"):
        pair(images("x", "y"), labels("s_30.6", "s_25.6"))


def test_rules_that_contradict_each_other_are_refused_with_their_pairs() -> None:
    finding = "i1.dcm with m2.png by instance number, with m1.png by a number in the images' names"
    with pytest.raises(SourceError, match=re.escape(finding)):
        pair(images("i1.dcm", "i2.dcm", numbers=[2, 1]), labels("m1", "m2"))


def test_two_numbers_in_the_labels_names_that_contradict_are_refused() -> None:
    with pytest.raises(SourceError, match="rules lead to different pairs"):
        pair(images("x", "y", numbers=[1, 2]), labels("m1_2", "m2_1"))


def test_one_label_is_that_of_the_one_image() -> None:
    assert pair(images("x"), labels("whatever")) == ["whatever"]


def test_other_number_of_labels_is_refused() -> None:
    with pytest.raises(SourceError, match="1 PNG labels for 2 images"):
        pair(images("1.dcm", "2.dcm"), labels("1"))
