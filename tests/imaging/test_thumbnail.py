from __future__ import annotations

import io

import numpy as np
from PIL import Image

from nephrite.imaging.thumbnail import chosen_slice, draw_thumbnail


def test_the_slice_with_most_labels_is_shown_and_the_middle_one_without_any() -> None:
    label = np.zeros((5, 8, 8), np.uint8)
    assert chosen_slice(label) == 2
    label[3, :2, :2] = 1
    label[4, 0, 0] = 2
    assert chosen_slice(label) == 3


def test_a_thumbnail_is_gray_with_colored_outlines() -> None:
    label = np.zeros((32, 32), np.uint8)
    label[8:24, 8:24] = 1
    drawn = draw_thumbnail(np.full((32, 32), 0.5, np.float32), label)
    picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).astype(int)
    assert picture.shape == (128, 128, 3)
    colored = np.ptp(picture, axis=2) > 40
    assert colored[32, 32:96].all()  # the outline's upper side
    assert not colored[34:94, 34:94].any()  # what it encloses stays gray
    assert not colored[:31].any()
