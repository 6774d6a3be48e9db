from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.config import Arm, Config, Intake
from nephrite.errors import ConfigError
from nephrite.segmentation.demands import check_segmenters, check_trial
from nephrite.segmentation.unet import UNetSettings

Load = Callable[..., Config]
SETS = "trial.training_sets.real=[real, real+geometric, real+standard+copy_paste, real+standard+self_training]"
NONE = "train_segmenter.segmenters.fpn={kind: monai, network: DenseNet121}"


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


def test_a_network_that_is_no_segmenter_is_refused_where_the_trial_uses_it(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"segmenter of kind 'monai' \(network DenseNet121"):
        check_trial(load(NONE, "trial.segmenters=[light, fpn]"))
    check_trial(load(NONE, "trial.segmenters=[light]"))


@pytest.mark.parametrize("others", ["synthesize.labeler={segmenter: fpn, steps: 5}"])
def test_what_labels_scans_is_tried_where_there_are_scans_to_label(load: Load, others: str) -> None:
    with pytest.raises(ConfigError, match="DenseNet121"):
        check_trial(load(NONE, "trial.segmenters=[light]", others, "synthesize.unlabelled=0.5"))
    check_trial(load(NONE, "trial.segmenters=[light]", others, "synthesize.unlabelled=0"))
