from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nephrite.survey.case_facts import CaseFacts, ClassFacts
from nephrite.survey.survey import Survey

KIDNEY = ClassFacts(voxels=9000, pieces=(5000, 4000), low=-20.0, high=180.0, inside=0)
TUMOR = ClassFacts(voxels=600, pieces=(500, 100), low=0.0, high=120.0, inside=1)
CASE = CaseFacts(
    patient="a",
    shape=(40, 512, 512),
    spacing=(5.0, 0.8, 0.8),
    unit_given=True,
    least=-1024.0,
    most=1500.0,
    classes={1: KIDNEY, 2: TUMOR},
)


@pytest.fixture
def found() -> Callable[..., Survey]:
    """A survey of equal CT cases of a kidney with a tumor, some of whose facts may be changed."""

    def make(count: int = 40, names: dict[int, str] | None = None, **changes: Any) -> Survey:
        cases = [replace(CASE, patient=f"p{number}", **changes) for number in range(count)]
        return Survey(Path("my scans"), cases, [], {1: "kidney", 2: "tumor"} if names is None else names, {})

    return make
