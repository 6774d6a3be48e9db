from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.report.curve_figure import equivalence_plot
from nephrite.report.summary import equivalence_record
from nephrite.report.trial_record import PlanRecord
from nephrite.verdict.equivalence import Equivalence, data_equivalence
from nephrite.verdict.trial import TrialPlan

BAND = (0xD6, 0xE4, 0xF0)
QUESTION = ("real+synthetic+standard", "real+standard")


def _draw(found: Equivalence, target: Path, segmenters: tuple[str, ...] = ("light",)) -> Path:
    plan = PlanRecord(**asdict(TrialPlan("tumor", "real+standard", QUESTION)))
    equivalence_plot(plan, [equivalence_record(name, QUESTION, found) for name in segmenters], target)
    return target


def _found(score: float, patients: int = 20, cells: int = 4) -> Equivalence:
    generator = np.random.default_rng(0)
    means = {5: 0.4, 10: 0.5, 40: 0.58}
    reference = {n: mean + 0.05 * generator.standard_normal((cells, patients)) for n, mean in means.items()}
    return data_equivalence(reference, {5: score + 0.05 * generator.standard_normal((cells, patients))})


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _band(path: Path) -> tuple[int, int]:
    """First and last column of the shaded band; (-1, -1) if there is none."""
    columns = np.flatnonzero((_pixels(path) == BAND).all(axis=2).sum(axis=0) > 200)
    return (int(columns[0]), int(columns[-1])) if len(columns) else (-1, -1)


def test_both_arms_and_the_interval_of_the_equivalence_are_drawn(tmp_path: Path) -> None:
    _draw(_found(0.5), tmp_path / "curve.png")
    colors = {tuple(color) for color in _pixels(tmp_path / "curve.png").reshape(-1, 3)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), BAND} <= colors


def test_an_open_interval_runs_to_the_edge(tmp_path: Path) -> None:
    for name, score in (("closed", 0.5), ("open", 0.58)):
        _draw(_found(score), tmp_path / f"{name}.png")
    assert 0 < _band(tmp_path / "closed.png")[1] < _band(tmp_path / "open.png")[1]


def test_an_equivalence_beyond_the_curve_is_shaded_at_the_edge_only(tmp_path: Path) -> None:
    first, last = _band(_draw(_found(0.9), tmp_path / "curve.png"))
    assert first > 900
    assert last - first < 100


@pytest.mark.parametrize(("score", "patients", "cells"), [(0.2, 20, 4), (0.5, 1, 4), (0.5, 20, 1)])
def test_losses_and_what_cannot_be_said_have_no_band(tmp_path: Path, score: float, patients: int, cells: int) -> None:
    assert _band(_draw(_found(score, patients, cells), tmp_path / "curve.png")) == (-1, -1)


def test_each_segmenter_has_a_panel(tmp_path: Path) -> None:
    one, two = (_draw(_found(0.5), tmp_path / f"{len(names)}.png", names) for names in (("a",), ("a", "b")))
    assert _pixels(two).shape[0] > 1.7 * _pixels(one).shape[0]


def test_the_same_equivalence_makes_the_same_picture(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        _draw(_found(0.5), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
