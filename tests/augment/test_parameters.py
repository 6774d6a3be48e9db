from __future__ import annotations

import torch

from nephrite.augment import standard
from nephrite.augment.parameters import take, take_places
from nephrite.augment.spatial import SpatialRanges
from nephrite.augment.standard import IntensityRanges


def test_a_share_holds_the_same_slices_of_every_field_however_deep() -> None:
    source = torch.Generator().manual_seed(0)
    whole = standard.draw(6, moves=SpatialRanges(shift=0.1), ranges=IntensityRanges(), generator=source)
    share = take(whole, slice(1, None, 2))
    assert type(share) is type(whole)
    assert torch.equal(share.spatial.affine.shift, whole.spatial.affine.shift[1::2])
    assert torch.equal(share.intensity.bias, whole.intensity.bias[1::2])
    assert torch.equal(share.intensity.noise_seed, whole.intensity.noise_seed[1::2])
    chosen = take_places(whole, torch.tensor([5, 0]))
    assert torch.equal(chosen.spatial.affine.shift, whole.spatial.affine.shift[[5, 0]])
