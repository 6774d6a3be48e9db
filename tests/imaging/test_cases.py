from __future__ import annotations

from pathlib import Path

from nephrite.imaging.cases import Case, Scan
from nephrite.imaging.layouts.pairing import Channel


def test_a_case_without_its_label_map_is_a_scan_with_all_that_is_known_of_it() -> None:
    channels = (Channel(Path("a"), 0), Channel(Path("a"), 1))
    case = Case("s_1", "kits", Path("a"), Path("b"), "s", channels)
    assert case.scan == Scan("s_1", "nifti", Path("a"), "s", channels)
    assert Case("d", "moai", Path("a"), Path("b")).scan == Scan("d", "dicom", Path("a"))
