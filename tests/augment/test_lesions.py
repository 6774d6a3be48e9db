from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nephrite.augment.lesions import LesionBank, find_body, grown, ring_of, weighted_surroundings
from nephrite.config import IGNORED

KIDNEY, TUMOR = 1, 2


def kidney_slice(row: int = 20, column: int = 20, *, size: int = 40) -> tuple[Tensor, Tensor]:
    """A kidney of 0.6 in fat of 0.2, with a tumor of 0.4 and 5 by 5 pixels."""
    image, label = torch.full((1, size, size), 0.2), torch.zeros(size, size, dtype=torch.uint8)
    image[:, 10:30, 10:30], label[10:30, 10:30] = 0.6, KIDNEY
    tumor = slice(row - 2, row + 3), slice(column - 2, column + 3)
    image[0][tumor], label[tumor] = 0.4, TUMOR
    return image, label


def test_a_lesion_is_cut_out_with_its_margin_and_owner() -> None:
    image, label = kidney_slice()
    (lesion,) = LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY}, margin=3).lesions
    assert (lesion.patient, lesion.value, lesion.organ, lesion.area) == ("anna", TUMOR, KIDNEY, 25)
    assert lesion.image.shape == lesion.mask.shape == (11, 11)
    assert lesion.image[lesion.mask] == pytest.approx(0.4)
    assert lesion.around.mean == pytest.approx(0.6)


def test_at_the_rim_only_the_organ_counts_as_surroundings() -> None:
    image, label = kidney_slice(row=10)
    with_organ, without = (
        LesionBank.from_slices([("anna", image, label)], classes).lesions[0]
        for classes in ({TUMOR: KIDNEY}, {TUMOR: None})
    )
    assert with_organ.around == pytest.approx((0.6, 0), abs=1e-6)
    assert 0.25 < without.around.mean < 0.55
    assert without.around.deviation > 0.1


def test_a_lesion_outside_its_organ_is_compared_with_what_is_there() -> None:
    image, label = kidney_slice(row=35, column=5)
    (lesion,) = LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY}).lesions
    assert lesion.around.mean == pytest.approx(0.2)


def test_pieces_are_lesions_of_their_own_and_corners_connect() -> None:
    image, label = kidney_slice()
    label[26:29, 26:29] = TUMOR
    label[23:26, 23:26] = TUMOR  # touches both at a corner
    label[12:15, 12:15] = TUMOR
    bank = LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY})
    assert sorted(lesion.area for lesion in bank.lesions) == [9, 25 + 9 + 9]


@pytest.mark.parametrize(("row", "column"), [(2, 20), (20, 2), (37, 20), (20, 37)])
def test_a_lesion_that_the_border_may_have_cut_off_is_left_out(row: int, column: int) -> None:
    image, label = kidney_slice(row, column)
    assert (label == TUMOR).sum() == 25
    assert not LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY}).lesions


def test_small_ones_and_empty_maps_give_nothing() -> None:
    image, label = kidney_slice()
    assert not LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY}, smallest=26).lesions
    assert not LesionBank.from_slices([("anna", image, label * 0)], {TUMOR: KIDNEY}).lesions
    assert not LesionBank.from_slices([], {TUMOR: KIDNEY}).lesions


def test_the_bank_does_not_hold_on_to_the_slices() -> None:
    image, label = kidney_slice()
    bank = LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY})
    image.zero_()
    label.zero_()
    assert bank.lesions[0].image.max() > 0
    assert bank.lesions[0].mask.sum() == 25


def test_donors_are_other_patients_whose_lesions_have_their_organ_here() -> None:
    image, label = kidney_slice()
    slices = [("anna", image, label), ("ben", image, label), ("ben", image, label)]
    bank = LesionBank.from_slices(slices, {TUMOR: KIDNEY})
    assert bank.by_patient == {"anna": (0,), "ben": (1, 2)}
    assert bank.donors("anna", {0, KIDNEY}) == {"ben": [1, 2]}
    assert bank.donors("carl", {0, KIDNEY}) == {"anna": [0], "ben": [1, 2]}
    assert not bank.donors("carl", {0, TUMOR})
    assert set(LesionBank.from_slices(slices, {TUMOR: None}).donors("carl", {0})) == {"anna", "ben"}


def test_the_ring_leaves_out_the_blurred_border() -> None:
    mask = np.zeros((15, 15), dtype=bool)
    mask[7, 7] = True
    ring = ring_of(mask)
    assert not ring[7, 6:9].any()
    assert ring[7, [4, 5, 9, 10]].all()
    assert not (ring & ~grown(mask, 3)).any()


def test_surroundings_of_nothing_are_not_a_number() -> None:
    values, free = np.array([[0.2, 0.4], [0.3, 0.3]], dtype=np.float32), np.array([[True, True], [False, False]])
    mean, deviation = weighted_surroundings(values, free, None)
    assert (mean[0], deviation[0]) == pytest.approx((0.3, 0.1))
    assert np.isnan([mean[1], deviation[1]]).all()


def test_the_body_holds_its_lungs_and_no_table() -> None:
    image = np.zeros((40, 40), dtype=np.float32)
    image[8:28, 8:32] = 0.5
    image[12:20, 12:20] = 0  # a lung
    image[34, 4:36] = 0.4  # the table
    expected = np.zeros((40, 40), dtype=bool)
    expected[8:28, 8:32] = True
    assert (find_body(image) == expected).all()


def test_a_crop_inside_the_body_is_all_body_and_air_is_none() -> None:
    assert find_body(np.full((9, 12), 0.1, dtype=np.float32)).all()
    assert not find_body(np.zeros((9, 12), dtype=np.float32)).any()


def test_where_lesions_may_lie_is_told_with_what_is_ignored() -> None:
    image, label = kidney_slice()
    bank = LesionBank.from_slices([("anna", image, label)], {TUMOR: KIDNEY})
    label[:5] = IGNORED
    found = bank.mask(label.numpy())
    assert found[:5].all()
    assert found[20, 20]
    assert not found[12, 12]
