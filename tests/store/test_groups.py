from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import SourceError
from nephrite.store.groups import find_others
from nephrite.store.slices import EXTERNAL, LESION_FREE, UNLABELED


def test_scans_that_are_not_split_are_told_with_their_group(tmp_path: Path) -> None:
    for group, name in ((UNLABELED, "u"), (LESION_FREE, "f")):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.nii.gz").touch()
    for role in ("imaging", "segmentation"):
        (tmp_path / EXTERNAL / "e").mkdir(parents=True, exist_ok=True)
        (tmp_path / EXTERNAL / "e" / f"{role}.nii.gz").touch()
    cases, others = find_others(tmp_path, ["a"])
    assert others == {"u": UNLABELED, "f": LESION_FREE, "e": EXTERNAL}
    assert [case.patient for case in cases] == ["u", "f", "e"]
    with pytest.raises(SourceError, match=r"unlabeled/u: is of 'U', who stands among the labeled patients"):
        find_others(tmp_path, ["U"])
