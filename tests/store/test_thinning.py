"""What is left out is left out evenly."""

from __future__ import annotations

import pytest

from nephrite.store.thinning import thin


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (0, 3, []),
        (2, 3, [0, 1]),
        (3, 3, [0, 1, 2]),
        (10, 4, [0, 3, 6, 9]),
        (8, 4, [0, 2, 5, 7]),
        (10, 1, [0]),
        (10, 0, []),
    ],
)
def test_items_are_thinned_evenly_over_all(count: int, most: int, expected: list[int]) -> None:
    assert thin(range(count), most) == expected
