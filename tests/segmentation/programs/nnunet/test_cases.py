from __future__ import annotations

import numpy as np
import pytest

from nephrite.segmentation.programs.nnunet.cases import chances, mapped


def test_synthetic_cases_are_drawn_as_often_as_their_share_says_however_many_there_are() -> None:
    cases = {"train": ["a", "b"], "synthetic": [f"s{number}" for number in range(40)], "extra": ["e"]}
    found = chances(cases, {"synthetic": 0.25, "extra": 0.15})
    assert sum(found.values()) == pytest.approx(1)
    assert sum(found[name] for name in cases["synthetic"]) == pytest.approx(0.25)
    assert found["e"] == pytest.approx(0.15)
    assert found["a"] == found["b"] == pytest.approx(0.3)


def test_without_others_real_cases_are_all_there_is() -> None:
    found = chances({"train": ["a", "b"]}, {"synthetic": 0.0, "extra": 0.0})
    assert found == {"a": 0.5, "b": 0.5}


def test_labels_are_counted_from_one_and_regions_with_them() -> None:
    table = np.zeros(256, np.uint8)
    table[[2, 7]] = [1, 2]
    assert mapped(7, table) == 2
    assert mapped([2, 7], table) == [1, 2]
