"""The ranges that new masks are drawn from, as the settings give them."""

from __future__ import annotations

from dataclasses import replace

from nephrite.config import SynthesizeSettings
from nephrite.synthesis.edits import EditRanges
from nephrite.synthesis.ellipsoids import EllipsoidRanges
from nephrite.synthesis.masks import MaskRanges


def mask_ranges(settings: SynthesizeSettings) -> MaskRanges:
    """Ranges for masks of patients whose labels are known."""
    edits = settings.edits.model_dump(exclude={"sizes", "elongation", "elastic"})
    sizes: dict[str, float] = dict(settings.edits.sizes.items())
    shapes = EllipsoidRanges(sizes, settings.edits.elongation, settings.edits.elastic)
    return MaskRanges(**settings.deformation.model_dump(), edits=EditRanges(**edits, ellipsoids=shapes))


def scan_ranges(settings: SynthesizeSettings) -> MaskRanges:
    """Ranges for scans without labels: in a scan that holds nothing, at least one new lesion is expected."""
    ranges = mask_ranges(settings)
    if settings.masks == "as_they_are":
        ranges = replace(ranges, rotation=0, scale=0, shift=0, strength=0)
    if settings.labeler is None:
        alone = replace(ranges.edits, removed=0, rescaled=0, moved=0, added=max(ranges.edits.added, 1.0))
        return replace(ranges, edits=alone)
    still = replace(ranges.edits, removed=0, rescaled=0, moved=0, added=0)
    return ranges if settings.masks == "new" else replace(ranges, edits=still)
