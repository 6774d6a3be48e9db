from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nephrite.augment.deform import DeformParameters
from nephrite.augment.geometric import GeometricParameters
from nephrite.augment.lesions import Lesion, Surroundings
from nephrite.augment.patches import make_patch


def warp(angle: float = 0, scale: float = 1, field: float = 0) -> DeformParameters:
    affine = GeometricParameters(torch.tensor([math.radians(angle)]), torch.tensor([scale]), torch.zeros(1, 2))
    noise = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    return DeformParameters(affine, field * noise)


def lesion(rows: int = 9, columns: int = 5, *, margin: int = 4) -> Lesion:
    """A block that brightens from 0.5 to 0.9 downwards, in 0.2."""
    mask = np.pad(np.ones((rows, columns), dtype=bool), margin)
    image = np.full(mask.shape, 0.2, dtype=np.float32)
    image[mask] = np.linspace(0.5, 0.9, rows, dtype=np.float32).repeat(columns)
    return Lesion("anna", 2, 1, image, mask, rows * columns, Surroundings(0.2, 0.0))


def test_nothing_changed_is_the_lesion_itself() -> None:
    patch = make_patch(lesion(), warp(), 1.0)
    assert patch.mask.sum() == 45
    assert np.allclose(np.sort(patch.image[patch.mask]), np.sort(lesion().image[lesion().mask]), atol=1e-5)
    assert patch.image[~patch.mask] == pytest.approx(0.2, abs=1e-5)


@pytest.mark.parametrize("scale", [0.7, 1.25, 1.6])
@pytest.mark.parametrize("angle", [0, 45, 90, 170])
def test_it_fits_its_crop_however_it_is_turned_and_scaled(angle: float, scale: float) -> None:
    patch = make_patch(lesion(25, 7), warp(angle, scale), 1.0)
    border = np.concatenate([patch.mask[0], patch.mask[-1], patch.mask[:, 0], patch.mask[:, -1]])
    assert not border.any()
    assert patch.mask.sum() == pytest.approx(175 * scale**2, rel=0.2)


def test_a_lesion_at_the_edge_of_its_crop_is_not_smeared() -> None:
    assert make_patch(lesion(margin=0), warp(), 1.0).mask.sum() == 45


def test_gamma_acts_between_the_lesions_own_limits() -> None:
    plain, bent = (make_patch(lesion(), warp(), gamma) for gamma in (1.0, 1.5))
    assert (bent.image[bent.mask].min(), bent.image[bent.mask].max()) == pytest.approx((0.5, 0.9), abs=1e-5)
    assert bent.image[bent.mask].mean() < plain.image[plain.mask].mean() - 0.02
    assert np.array_equal(bent.image[~bent.mask], plain.image[~plain.mask])


def test_the_elastic_field_changes_the_shape() -> None:
    plain, bent = make_patch(lesion(25, 15), warp(), 1.0), make_patch(lesion(25, 15), warp(field=0.1), 1.0)
    assert 20 < (plain.mask != bent.mask).sum() < 300


def test_all_of_the_lesion_is_seen_and_its_rim_fades() -> None:
    patch = make_patch(lesion(15, 15), warp(), 1.0)
    middle = patch.alpha[len(patch.alpha) // 2]
    fading = middle[int(np.flatnonzero(patch.mask[len(patch.alpha) // 2])[-1]) + 1 :]
    assert (patch.alpha[patch.mask] == 1).all()
    assert 0.3 < fading[0] < 0.6
    assert (np.diff(fading) <= 0).all()
    assert not patch.alpha[~patch.near].any()


def test_a_lesion_that_becomes_too_small_is_gone() -> None:
    tiny = warp(scale=0.2)
    tiny.affine.shift[:] = 0.03  # between two pixels
    assert not make_patch(lesion(1, 1), tiny, 1.0).mask.any()
