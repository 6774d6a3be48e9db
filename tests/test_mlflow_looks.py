from __future__ import annotations

import pytest

from nephrite.mlflow_looks import keep_look, kept_looks

pytestmark = pytest.mark.usefixtures("record")


def test_looks_are_kept_and_read_again_whatever_their_length() -> None:
    assert kept_looks() == []
    short, long = {"number": 1, "patients": ["a"]}, {"number": 2, "patients": [f"{n:016x}" for n in range(700)]}
    keep_look(short)
    keep_look(long)
    assert kept_looks() == [short, long]
