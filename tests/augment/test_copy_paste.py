from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nephrite.augment.copy_paste import NOWHERE, PasteDraws, PasteRanges, apply, draw, place
from nephrite.augment.lesions import LesionBank
from nephrite.augment.parameters import take

KIDNEY, TUMOR = 1, 2
RENAL: Mapping[int, int | None] = {TUMOR: KIDNEY}
ANYWHERE: Mapping[int, int | None] = {TUMOR: None}
PLAIN = PasteRanges(probability=1, rotation=0, scale=(1, 1), elastic=0, gamma=(1, 1))
ALWAYS = PasteRanges(probability=1)


def kidney_slice(
    kidney: float = 0.6, *, tumor: bool = True, height: int = 56, width: int = 64
) -> tuple[Tensor, Tensor]:
    """A body of fat in air, with a kidney and in its corner a tumor, darker than it by 0.2."""
    image, label = torch.zeros(1, height, width), torch.zeros(height, width, dtype=torch.uint8)
    image[:, 4:-4, 4:-4] = 0.25
    image[:, 12:40, 12:44], label[12:40, 12:44] = kidney, KIDNEY
    if tumor:
        image[:, 14:20, 14:20], label[14:20, 14:20] = kidney - 0.2, TUMOR
    return image, label


def bank(classes: Mapping[int, int | None] = RENAL, *, patients: tuple[str, ...] = ("anna", "ben")) -> LesionBank:
    return LesionBank.from_slices([(patient, *kidney_slice()) for patient in patients], classes)


def draws(number: int, ranges: PasteRanges = ALWAYS, seed: int = 0) -> PasteDraws:
    return draw(number, ranges=ranges, generator=torch.Generator().manual_seed(seed))


def batch(number: int, kidney: float = 0.6, *, tumor: bool = True) -> tuple[Tensor, Tensor]:
    image, label = kidney_slice(kidney, tumor=tumor)
    return image.repeat(number, 1, 1, 1), label.repeat(number, 1, 1)


def test_a_lesion_is_pasted_with_its_label_and_nothing_else_changes() -> None:
    image, label = batch(8, tumor=False)
    pasted, marked = apply(place(draws(8, PLAIN), bank(), image, label, ["carl"] * 8), bank(), image, label)
    new = marked != label
    assert new.flatten(1).sum(1).tolist() == [36] * 8
    assert (marked[new] == TUMOR).all()
    near = torch.nn.functional.max_pool2d(new[:, None].float(), 7, stride=1, padding=3) > 0
    assert torch.equal(pasted[~near], image[~near])


def test_contrast_is_carried_over_to_the_new_surroundings() -> None:
    image, label = batch(6, kidney=0.9, tumor=False)
    pasted, marked = apply(place(draws(6, PLAIN), bank(), image, label, ["carl"] * 6), bank(), image, label)
    assert pasted[:, 0][marked == TUMOR].tolist() == pytest.approx([0.7] * 216, abs=1e-4)


def test_results_stay_in_the_unit_range_and_inputs_stay_untouched() -> None:
    image, label = batch(6, kidney=1.0, tumor=False)
    before = image.clone(), label.clone()
    low = LesionBank.from_slices([("anna", *kidney_slice(0.3))], RENAL)
    brighter = replace(low, lesions=tuple(replace(lesion, image=lesion.image + 0.6) for lesion in low.lesions))
    pasted, _ = apply(place(draws(6), brighter, image, label, ["carl"] * 6), brighter, image, label)
    assert not torch.equal(pasted, image)
    assert float(pasted.max()) == 1
    assert torch.equal(image, before[0])
    assert torch.equal(label, before[1])


def test_nobody_gets_a_lesion_of_their_own() -> None:
    image, label = batch(20)
    given = place(draws(20), bank(), image, label, ["anna"] * 10 + ["ben"] * 10).lesion
    owners = ["ben"] * 10 + ["anna"] * 10
    assert [bank().lesions[int(lesion)].patient for lesion in given] == owners
    alone = bank(patients=("anna",))
    assert (place(draws(20), alone, image, label, ["anna"] * 20).lesion == NOWHERE).all()


def test_patients_are_drawn_alike_however_many_lesions_they_have() -> None:
    image, label = batch(300, tumor=False)
    uneven = bank(patients=("anna",) + ("ben",) * 9)
    given = place(draws(300), uneven, image, label, ["carl"] * 300).lesion
    assert float((given == 0).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_it_comes_as_often_as_asked() -> None:
    assert float(draws(4000, PasteRanges(probability=0.3)).wanted.float().mean()) == pytest.approx(0.3, abs=0.02)
    image, label = batch(4)
    assert (place(draws(4, PasteRanges(probability=0)), bank(), image, label, ["carl"] * 4).lesion == NOWHERE).all()


def test_other_lesions_are_kept_and_stay_apart() -> None:
    image, label = batch(40)
    _, marked = apply(place(draws(40), bank(), image, label, ["carl"] * 40), bank(), image, label)
    new = (marked == TUMOR) & (label != TUMOR)
    assert new.any(dim=(1, 2)).all()
    assert (marked[label == TUMOR] == TUMOR).all()
    near = torch.nn.functional.max_pool2d((label == TUMOR)[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
    assert not (new & near).any()


def test_it_lies_in_its_organ_or_at_its_rim() -> None:
    image, label = batch(40, tumor=False)
    _, marked = apply(place(draws(40), bank(), image, label, ["carl"] * 40), bank(), image, label)
    new = marked == TUMOR
    inside = (new & (label == KIDNEY)).sum(dim=(1, 2)) / new.sum(dim=(1, 2))
    assert float(inside.min()) >= 0.5
    assert float(inside.mean()) > 0.8


def test_half_of_it_lies_in_its_organ_where_that_is_possible() -> None:
    image, label = torch.full((30, 1, 40, 40), 0.6), torch.zeros(30, 40, 40, dtype=torch.uint8)
    label[:, 18:21, 8:32] = KIDNEY  # lower than the lesion, and at its ends there is room for a quarter
    _, marked = apply(place(draws(30, PLAIN), bank(), image, label, ["carl"] * 30), bank(), image, label)
    new = marked == TUMOR
    assert ((new & (label == KIDNEY)).sum(dim=(1, 2)) * 2 == new.sum(dim=(1, 2))).all()
    assert new.any(dim=(1, 2)).all()


def test_an_organ_of_a_few_pixels_does_not_carry_a_lesion() -> None:
    image, label = torch.full((4, 1, 40, 40), 0.6), torch.zeros(4, 40, 40, dtype=torch.uint8)
    label[:, 20:22, 20:22] = KIDNEY
    assert (place(draws(4, PLAIN), bank(), image, label, ["carl"] * 4).lesion == NOWHERE).all()


def test_without_its_organ_a_slice_gets_nothing() -> None:
    image, label = batch(4, tumor=False)
    given = place(draws(4), bank(), image, label * 0, ["carl"] * 4)
    pasted, marked = apply(given, bank(), image, label * 0)
    assert (given.lesion == NOWHERE).all()
    assert torch.equal(pasted, image)
    assert marked.max() == 0


def test_a_lesion_never_leaves_a_slice_that_its_organ_fills() -> None:
    image, label = torch.full((30, 1, 24, 20), 0.6), torch.full((30, 24, 20), KIDNEY, dtype=torch.uint8)
    parameters = place(draws(30, PLAIN), bank(), image, label, ["carl"] * 30)
    _, marked = apply(parameters, bank(), image, label)
    sizes = (marked == TUMOR).sum(dim=(1, 2))
    assert sizes[parameters.lesion != NOWHERE].tolist() == [36] * int((parameters.lesion != NOWHERE).sum())
    assert (sizes > 0).sum() > 20


def test_a_slice_that_is_smaller_than_the_lesion_gets_nothing() -> None:
    image, label = torch.full((2, 1, 5, 5), 0.6), torch.full((2, 5, 5), KIDNEY, dtype=torch.uint8)
    assert (place(draws(2, PLAIN), bank(), image, label, ["carl"] * 2).lesion == NOWHERE).all()


def test_a_lesion_of_no_organ_goes_where_it_looks_like_where_it_came_from() -> None:
    image, label = batch(40, tumor=False)
    _, marked = apply(place(draws(40), bank(ANYWHERE), image, label, ["carl"] * 40), bank(ANYWHERE), image, label)
    new = marked == TUMOR
    assert new.any(dim=(1, 2)).float().mean() > 0.9
    assert (label[new] == KIDNEY).float().mean() > 0.9  # a third of the body, but what its ring was


def test_of_places_that_would_do_it_takes_the_most_alike() -> None:
    image, label = torch.full((30, 1, 60, 60), 0.66), torch.zeros(30, 60, 60, dtype=torch.uint8)
    image[:, :, 15:45, 15:45] = 0.6
    source = kidney_slice()[1] == TUMOR
    donors = LesionBank.from_slices([("anna", 0.6 - 0.2 * source[None].float(), source * TUMOR)], ANYWHERE)
    given = place(draws(30, PLAIN), donors, image, label, ["carl"] * 30)
    assert given.lesion.tolist() == [0] * 30
    assert float(given.contrast.abs().max()) < 0.04


@pytest.mark.parametrize(("tissue", "fits"), [(0.45, False), (0.49, False), (0.52, True), (0.68, True), (0.72, False)])
def test_a_lesion_of_no_organ_stays_out_of_tissue_that_is_unlike_its_own(tissue: float, fits: bool) -> None:
    image, empty = torch.full((10, 1, 48, 48), tissue), torch.zeros(10, 48, 48, dtype=torch.uint8)
    source = kidney_slice()[1] == TUMOR
    donors = LesionBank.from_slices([("anna", 0.6 - 0.2 * source[None].float(), source * TUMOR)], ANYWHERE)
    given = place(draws(10, PLAIN), donors, image, empty, ["carl"] * 10)
    assert ((given.lesion != NOWHERE) == fits).all()


def test_a_lesion_of_an_organ_may_come_into_one_that_is_unlike_its_own() -> None:
    image, label = batch(6, kidney=0.9, tumor=False)
    assert (place(draws(6, PLAIN), bank(), image, label, ["carl"] * 6).lesion != NOWHERE).all()


def test_of_places_of_one_brightness_takes_the_one_of_its_own_texture() -> None:
    image, label = torch.full((20, 1, 60, 60), 0.6), torch.zeros(20, 60, 60, dtype=torch.uint8)
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    image[:, 0, :, 30:] += 0.09 * (-1.0) ** (rows + columns)[:, 30:]  # as bright, but grainy
    source = kidney_slice()[1] == TUMOR
    smooth = LesionBank.from_slices([("anna", 0.6 - 0.2 * source[None].float(), source * TUMOR)], ANYWHERE)
    given = place(draws(20, PLAIN), smooth, image, label, ["carl"] * 20)
    _, marked = apply(given, smooth, image, label)
    assert (given.lesion != NOWHERE).all()
    assert not (marked[:, :, 31:] == TUMOR).any()


def test_a_lesion_of_no_organ_stays_out_of_the_air() -> None:
    image, label = batch(20, tumor=False)
    dark = torch.where(image == 0.6, 0.25, image)
    fatty = LesionBank.from_slices(
        [("anna", torch.where(kidney_slice()[0] == 0.6, 0.25, kidney_slice()[0]), kidney_slice()[1])], ANYWHERE
    )
    _, marked = apply(place(draws(20), fatty, dark, label * 0, ["carl"] * 20), fatty, dark, label * 0)
    assert (marked == TUMOR).any()
    assert (dark[:, 0][marked == TUMOR] > 0).all()


def test_a_lesion_of_no_organ_needs_a_body_that_holds_it() -> None:
    image, label = kidney_slice()
    faint = LesionBank.from_slices([("anna", 0.1 * (image > 0) + 0.1 * (label == TUMOR), label)], ANYWHERE)
    strip, empty = torch.zeros(10, 1, 40, 40), torch.zeros(10, 40, 40, dtype=torch.uint8)
    strip[:, :, 10:15] = 0.1
    assert (place(draws(10, PLAIN), faint, strip, empty, ["carl"] * 10).lesion == NOWHERE).all()
    strip[:, :, 10:30] = 0.1
    assert (place(draws(10, PLAIN), faint, strip, empty, ["carl"] * 10).lesion != NOWHERE).all()


def test_the_same_parameters_replay_and_a_share_gives_a_share() -> None:
    image, label = batch(8)
    patients = ["anna", "ben", "carl", "dora"] * 2
    whole = apply(place(draws(8), bank(), image, label, patients), bank(), image, label)
    parameters = place(take(draws(8), slice(1, None, 2)), bank(), image[1::2], label[1::2], patients[1::2])
    for _ in range(2):
        share = apply(parameters, bank(), image[1::2], label[1::2])
        assert torch.equal(share[0], whole[0][1::2])
        assert torch.equal(share[1], whole[1][1::2])


def test_pasted_lesions_differ_in_size_and_shape() -> None:
    image, label = batch(30, tumor=False)
    _, marked = apply(place(draws(30), bank(), image, label, ["carl"] * 30), bank(), image, label)
    sizes = (marked == TUMOR).sum(dim=(1, 2))
    assert len(set(sizes.tolist())) > 8
    assert 36 * 0.6 < float(sizes.min()) < 30
    assert 45 < float(sizes.max()) < 36 * 1.9


def test_an_empty_bank_and_an_empty_batch_are_no_error() -> None:
    image, label = batch(2)
    nothing = LesionBank.from_slices([], RENAL)
    assert (place(draws(2), nothing, image, label, ["carl"] * 2).lesion == NOWHERE).all()
    assert place(draws(0), bank(), image[:0], label[:0], []).corner.shape == (0, 2)
