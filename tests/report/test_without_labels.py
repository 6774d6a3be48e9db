"""Arms without any label are told beside the reference at each label fraction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nephrite.metrics.scores import ArmScores
from nephrite.report.without_labels import unlabeled_notes


def test_the_scores_of_arms_without_labels_stand_beside_the_references(make_arm: Callable[..., ArmScores]) -> None:
    arms = [make_arm("real", "light", cell, {"a": 0.5 + 0.1 * cell, "b": 0.7}, fraction=0.1) for cell in (0, 1)]
    arms += [make_arm("real", "light", 0, {"a": 0.8, "b": 0.8})]
    arms += [make_arm("real+painted", "light", cell, {"a": 0.2, "b": 0.4}, fraction=0.0) for cell in (0, 1)]
    (note,) = unlabeled_notes(arms, "tumor", "real")
    assert "real+painted (light) has a mean Dice of 0.300" in note
    assert "real has 0.625 with 10 %, 0.800 with 100 %" in note
    assert unlabeled_notes(arms[:3], "tumor", "real") == []


def test_where_the_headline_is_about_another_hospital_these_scores_are_too(make_arm: Callable[..., ArmScores]) -> None:
    home = [make_arm("real", "light", 0, {"a": 0.8}), make_arm("real+painted", "light", 0, {"a": 0.4}, fraction=0.0)]
    there = [make_arm("real", "light", 0, {"e": 0.3}), make_arm("real", "light", 0, {"e": 0.2})]
    arms = [replace(run, external=other.patients) for run, other in zip(home, there, strict=True)]
    (note,) = unlabeled_notes(arms, "tumor", "real", "external")
    assert "has a mean Dice of 0.200 on the external test set; real has 0.300 with 100 %" in note
