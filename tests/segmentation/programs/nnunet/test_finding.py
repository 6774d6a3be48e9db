from __future__ import annotations

from nephrite.segmentation.programs.nnunet.finding import heads_of


def test_a_channel_is_its_region_or_the_sum_of_its_labels() -> None:
    assert heads_of({"regions": True, "values": [1, 2]}, 1, [2]) == [1]
    assert heads_of({"regions": False, "values": [2, 5, 7]}, 0, [2]) == [1]
    assert heads_of({"regions": False, "values": [2, 5, 7]}, 1, [5, 7]) == [2, 3]
