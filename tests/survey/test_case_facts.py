from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nephrite.config import PrepareSettings
from nephrite.imaging.sources import find_cases
from nephrite.survey.case_facts import CaseFacts, look_at, look_or_tell, region_names

SETTINGS = PrepareSettings.model_validate(
    {"classes": {1: "any"}, "intensity": {"kind": "percentile"}, "in_plane": {"kind": "resize", "size": 16}}
)


def test_a_case_shows_grid_intensities_and_what_each_class_is(
    write_kits_case: Callable[..., None], tmp_path: Path
) -> None:
    label = np.zeros((5, 40, 48), np.uint8)
    label[1:4, 10:30, 12:36] = 1
    label[2, 12:14, 15:17] = 7
    label[2, 20:24, 20:24] = 7
    label[0, 0, 0] = 9
    image = np.where(label == 7, 200, np.where(label == 1, 50, -900)).astype(np.int16)
    write_kits_case(tmp_path / "a", 1, image=image, label=label)
    (case,) = find_cases(tmp_path)
    facts = look_at(case, SETTINGS)
    assert (facts.shape, facts.least, facts.most) == ((5, 40, 48), -900, 200)
    np.testing.assert_allclose(facts.spacing, (5, 0.8, 0.8), rtol=1e-6)
    assert sorted(facts.classes[7].pieces) == [4, 16]
    assert (facts.classes[7].voxels, facts.classes[7].high, facts.classes[7].inside) == (20, 200, 1)
    assert (facts.classes[1].low, facts.classes[1].high) == (50, 50)
    assert facts.classes[1].inside == 0  # what lies about it is background, but for a few voxels
    assert facts.classes[9].inside == 0


def test_a_case_that_cannot_be_read_is_one_line(write_kits_case: Callable[..., None], tmp_path: Path) -> None:
    write_kits_case(tmp_path / "a", 1, label=np.zeros((4, 40, 48), np.uint8))
    (case,) = find_cases(tmp_path)
    told = look_or_tell(case, SETTINGS)
    assert isinstance(told, str)
    assert "shape" in told
    assert "\n" not in told
    write_kits_case(tmp_path / "b", 1)
    assert isinstance(look_or_tell(find_cases(tmp_path)[1], SETTINGS), CaseFacts)


def test_label_maps_with_values_have_no_names(kits_folder: Path) -> None:
    assert region_names(find_cases(kits_folder)) == []
