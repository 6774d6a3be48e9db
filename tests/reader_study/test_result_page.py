from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from nephrite.reader_study.answers import AnswerBook
from nephrite.reader_study.result import StudyResult, score_study
from nephrite.reader_study.result_page import (
    FOOLED,
    draw_slices,
    found_by_all,
    most_fooling,
    result_markdown,
    summary_text,
)
from nephrite.reader_study.study import Study, read_study
from tests.reader_study.conftest import answer_all


def scored(out: Path) -> tuple[Study, StudyResult]:
    """Anna is right, Bert in all but the first three slices, Carla in all but the first."""
    study = read_study(out)
    for reader, wrong in (("anna", 0), ("bert", 3), ("carla", 1)):
        answer_all(out, study, reader, wrong=wrong)
    return study, score_study(study, AnswerBook(out, study).read_all())


def fakes(study: Study) -> list[int]:
    return [number for number, shown in enumerate(study.slices) if shown.kind == "synthetic"]


def test_slices_that_fooled_come_by_how_many_and_the_others_were_found_by_all(out: Path) -> None:
    study, result = scored(out)
    fooled = [each.number for each in most_fooling(result)]
    assert fooled == [number for number in fakes(study) if number < 3]
    assert [each.number for each in found_by_all(result)] == [number for number in fakes(study) if number >= 3]
    called = [each.called_synthetic for each in most_fooling(result)]
    assert called == sorted(called)


def test_the_text_has_numbers_for_readers_and_no_pseudonym(out: Path) -> None:
    study, result = scored(out)
    text = result_markdown(study, result, [FOOLED])
    assert not any(name in text for name in ("anna", "bert", "carla"))
    assert not any(shown.patient in text for shown in study.slices)
    assert "| 1 | 8 | 1.00 [0.63, 1.00] |" in text
    assert "| together |  | 0.83 [" in text
    assert re.search(r"Cohen's kappa 0\.\d\d, mean of 3 pairs; 75% of answers the same", text)
    assert f"]({FOOLED} " in text
    assert text.count("None.") == 1  # the picture that was not drawn
    assert "| seed | 1 |" in text


def test_the_terminal_alone_knows_the_pseudonyms(out: Path) -> None:
    study, result = scored(out)
    text = summary_text(study, result, ["anna", "bert", "carla"])
    assert text.splitlines()[0] == result.sentence
    assert "  reader 2 (bert): 8 of 8 judged, right in 62.5% [24.5%, 91.5%]" in text
    assert "agreement: Cohen's kappa" in text


def test_slices_are_drawn_on_white(out: Path, tmp_path: Path) -> None:
    _, result = scored(out)
    slices = [each for each in result.slices if each.synthetic]
    draw_slices(out, slices, 3, tmp_path / "some.png")
    picture = np.asarray(Image.open(tmp_path / "some.png").convert("L"))
    assert picture.shape[1] > 1000
    assert (picture == 255).mean() > 0.1
    assert (picture < 200).mean() > 0.3
