"""A small reader study of the stores of `tests/conftest.py`: four real and four synthetic slices."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.reader_study.answers import Answer, AnswerBook
from nephrite.reader_study.study import Asked, Study, draw_study

ASKED = Asked(count=4, seed=1)


@pytest.fixture
def out(pairs: Path, synthetic: Path, tmp_path: Path) -> Path:
    """The folder of a study."""
    draw_study(pairs, synthetic, ASKED, tmp_path / "study")
    return tmp_path / "study"


def answer_all(root: Path, study: Study, reader: str, *, wrong: int = 0, sure: bool = True) -> None:
    """Let a reader call every slice what it is but for the first `wrong` ones."""
    real, fake = (1, 4) if sure else (2, 3)
    for number, shown in enumerate(study.slices):
        is_fake = (shown.kind == "synthetic") != (number < wrong)
        AnswerBook(root, study).add(reader, Answer(number, fake if is_fake else real, 2.0 + number))
