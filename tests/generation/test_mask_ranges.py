from __future__ import annotations

from collections.abc import Callable

from nephrite.config import Config
from nephrite.generation.mask_ranges import mask_ranges, scan_ranges
from nephrite.synthesis.edits import EditRanges
from nephrite.synthesis.masks import MaskRanges

Load = Callable[..., Config]


def test_settings_defaults_are_those_of_the_masks(load: Load) -> None:
    ranges = mask_ranges(load().synthesize)
    assert ranges == MaskRanges(edits=EditRanges())


def test_scans_get_at_least_one_lesion_and_move_only_if_masks_are_new(load: Load) -> None:
    still, moved = (scan_ranges(load(f"synthesize.masks={masks}").synthesize) for masks in ("as_they_are", "new"))
    assert (still.strength, still.rotation, still.scale, still.shift) == (0, 0, 0, 0)
    assert moved.strength == 0.03
    assert (moved.edits.removed, moved.edits.rescaled, moved.edits.moved, moved.edits.added) == (0, 0, 0, 1)
