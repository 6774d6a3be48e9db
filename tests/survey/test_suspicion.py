from __future__ import annotations

import numpy as np
import pytest

from nephrite.survey.suspicion import air_about, odd_slices, odd_spacing, twin_findings

SHAPE = (4, 32, 32)


def body() -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units of a noisy body in air, with a lung within it, and a label map on the body."""
    image = np.full(SHAPE, -1000, np.float32)
    image[:, 6:26, 6:26] = np.random.default_rng(0).normal(40, 5, (4, 20, 20))
    image[:, 10:16, 10:16] = -850
    label = np.zeros(SHAPE, np.uint8)
    label[1:3, 18:22, 18:22] = 1
    return image, label


def test_a_plain_case_has_no_findings() -> None:
    assert list(odd_slices(*body())) == []


def test_air_within_the_body_is_no_air_about_it() -> None:
    image, _ = body()
    about = air_about(image)
    assert about[:, 0, 0].all()
    assert not about[:, 12, 12].any()


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_label_map_in_the_air_is_told_with_its_share(scale: float) -> None:
    image, label = body()
    label[:, 0:4, 0:4] = 1  # 64 voxels beside 32 on the body
    (finding,) = odd_slices((image * scale if scale == 1 else (image + 1100) * scale).astype(np.float32), label)
    assert finding.startswith("67% of the label map lies in the air about the body; see whether it belongs")


def test_dark_fat_about_a_lesion_is_no_air_where_there_are_no_hounsfield_units() -> None:
    image, label = (np.zeros(SHAPE, np.float32) for _ in range(2))
    image[:, 4:28, 4:28] = 12  # fat, which reaches the air, and a cyst within it
    image[:, 8:20, 8:20] = 255
    label[:, 21:26, 21:26] = 1
    assert list(odd_slices(np.round(image + np.arange(4)[:, None, None] / 2), label.astype(np.uint8))) == []


def test_blank_and_repeated_slices_are_named_from_one() -> None:
    image, label = body()
    image[1], label[1] = -1000, 0
    image[3] = image[2]
    first, second = odd_slices(image, label)
    assert first.startswith("slice 2 is of one intensity; cut them off")
    assert second.startswith("slice 4 is the same as the one before; remove them")
    (blank,) = (text for text in odd_slices(np.zeros((9, 32, 32), np.float32), np.ones((9, 32, 32), np.uint8)))
    assert blank.startswith("slices 1, 2, 3, 4, 5 and 4 more are of one intensity, and 9 of them have a label")


def test_an_empty_label_map_is_told() -> None:
    image, _ = body()
    assert list(odd_slices(image, np.zeros(SHAPE, np.uint8))) == ["the label map holds nothing; see whether that is so"]


def test_a_spacing_is_odd_by_the_others_or_where_slices_are_far_apart() -> None:
    usual = [(5.0, 0.8, 0.8)] * 4
    assert list(odd_spacing((5.0, 0.8, 0.8), usual)) == []
    (far,) = odd_spacing((5.0, 0.08, 0.8), [*usual, (5.0, 0.08, 0.8)])
    assert far.startswith("voxels of 5 x 0.08 x 0.8 mm, and the folder's usual ones are 5 x 0.8 x 0.8 mm")
    (flat,) = odd_spacing((9.0, 0.8, 0.8), [(9.0, 0.8, 0.8)])
    assert flat == "slices are 9 mm apart, and pixels 0.8 mm wide; see whether slices are missing"


def test_twins_are_named_on_both_sides() -> None:
    assert list(twin_findings({"a": ["b"]}, "c")) == []
    (finding,) = twin_findings({"a": ["b", "c"]}, "a")
    assert finding.startswith("looks nearly the same as 'b', 'c'; if they are of one patient, say so")
