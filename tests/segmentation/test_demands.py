from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.config import Arm, Config, Intake
from nephrite.errors import ConfigError
from nephrite.segmentation.demands import check_segmenters
from nephrite.segmentation.unet import UNetSettings

Load = Callable[..., Config]
SETS = "trial.training_sets.real=[real, real+geometric, real+standard+copy_paste, real+standard+self_training]"


@pytest.mark.parametrize(
    ("training_set", "needed"),
    [
        ("real", []),
        ("real+geometric", [("augmentation", "augmentation from outside")]),
        ("real+standard+copy_paste", [("augmentation", "augmentation from outside")]),
        ("real+synthetic", [("synthetic", "synthetic slices")]),
        (
            "real+standard+self_training",
            [
                ("pseudo_labels", "pseudo-labels"),
                ("ignored", "labels that are to be ignored"),
                ("augmentation", "augmentation from outside"),
            ],
        ),
    ],
)
def test_an_arm_is_refused_a_segmenter_that_does_not_take_what_it_has(
    load: Load, monkeypatch: pytest.MonkeyPatch, training_set: str, needed: list[tuple[Intake, str]]
) -> None:
    config, everything = load(SETS), UNetSettings.TAKES
    arm = Arm(training_set=training_set, segmenter="light", fraction=1.0, cell=0)
    for intake, name in needed:
        monkeypatch.setattr(UNetSettings, "TAKES", everything - {intake})
        with pytest.raises(ConfigError, match=rf"needs a segmenter that takes {name}, and 'light' of kind 'unet' does"):
            check_segmenters(config, arms=[arm])
    monkeypatch.setattr(UNetSettings, "TAKES", frozenset(intake for intake, _ in needed))
    check_segmenters(config, arms=[arm])


def test_what_a_stage_trains_for_itself_is_tried(load: Load) -> None:
    config = load("train_segmenter.segmenters.fpn={kind: monai, network: DenseNet121}")
    with pytest.raises(ConfigError, match=r"segmenter of kind 'monai' \(network DenseNet121"):
        check_segmenters(config, others=["fpn"])
    check_segmenters(config, others=["light"])
