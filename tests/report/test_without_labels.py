"""Arms without any label are told beside the reference at each label fraction."""

from __future__ import annotations

from collections.abc import Callable

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
