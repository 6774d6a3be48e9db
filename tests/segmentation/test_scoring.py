from __future__ import annotations

import numpy as np

from nephrite.segmentation.scoring import region_mask


def test_region_is_the_union_of_its_channels() -> None:
    masks = np.array([[[[True, False, False]], [[False, True, False]]]])
    channels = {"kidney": (1,), "tumor": (2,)}
    assert region_mask(masks, channels, (1, 2)).tolist() == [[[True, True, False]]]
    assert region_mask(masks, channels, (2,)).tolist() == [[[False, True, False]]]
