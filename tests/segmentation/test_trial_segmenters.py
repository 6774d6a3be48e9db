from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.segmentation.trial_segmenters import check_trial
from nephrite.segmentation.unet import UNetSettings

Load = Callable[..., Config]
NONE = "train_segmenter.segmenters.fpn={kind: monai, network: DenseNet121}"


def test_a_network_that_is_no_segmenter_is_refused_where_the_trial_uses_it(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"segmenter of kind 'monai' \(network DenseNet121"):
        check_trial(load(NONE, "trial.segmenters=[light, fpn]"))
    check_trial(load(NONE, "trial.segmenters=[light]"))


def test_every_arm_is_looked_at(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UNetSettings, "TAKES", UNetSettings.TAKES - {"synthetic"})
    with pytest.raises(ConfigError, match=r"arm real\+synthetic.*needs a segmenter that takes synthetic slices"):
        check_trial(load("trial.segmenters=[light]"))


def test_what_labels_scans_is_tried_where_there_are_scans_to_label(load: Load) -> None:
    labeler = "synthesize.labeler={segmenter: fpn, steps: 5}"
    with pytest.raises(ConfigError, match="DenseNet121"):
        check_trial(load(NONE, "trial.segmenters=[light]", labeler, "synthesize.unlabelled=0.5"))
    check_trial(load(NONE, "trial.segmenters=[light]", labeler, "synthesize.unlabelled=0"))


def test_what_screens_is_tried_where_slices_are_screened(load: Load) -> None:
    screened = ("train_segmenter.segmenters.fpn={kind: smp, architecture: Unett, encoder: x, weights: none}",)
    config = ("trial.segmenters=[light]", "screen.segmenter=fpn")
    with pytest.raises(ConfigError, match="architecture 'Unett'"):
        check_trial(load(*screened, *config, "screen.filter=tests"))
    check_trial(load(*screened, *config, "screen.filter=all"))
