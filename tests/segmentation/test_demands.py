from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest

from nephrite.config import Arm, Config, Intake
from nephrite.errors import ConfigError
from nephrite.segmentation.backend import SliceShape
from nephrite.segmentation.demands import check_segmenters, check_trial
from nephrite.segmentation.in_process.unet import UNetSettings

Load = Callable[..., Config]
NONE = "train_segmenter.segmenters.fpn={kind: monai, network: DenseNet121}"
SETS = (
    "trial.training_sets.real=[real, real+geometric, real+standard+copy_paste, real+standard+self_training, "
    "real+negatives, real+paste_free]"
)


@pytest.mark.parametrize(
    ("training_set", "needed"),
    [
        ("real", []),
        ("real+geometric", [("augmentation", "augmentation from outside")]),
        (
            "real+standard+copy_paste",
            [("augmentation", "augmentation from outside"), ("pasting", "slices with lesions pasted into them")],
        ),
        ("real+synthetic", [("synthetic", "synthetic slices")]),
        (
            "real+negatives",
            [("pseudo_labels", "further scans as a share of each batch"), ("ignored", "labels that are to be ignored")],
        ),
        (
            "real+paste_free",
            [
                ("pseudo_labels", "further scans as a share of each batch"),
                ("ignored", "labels that are to be ignored"),
                ("pasting", "slices with lesions pasted into them"),
            ],
        ),
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
            check_segmenters(config, SliceShape(32, 2), arms=[arm])
    monkeypatch.setattr(UNetSettings, "TAKES", frozenset(intake for intake, _ in needed))
    check_segmenters(config, SliceShape(32, 2), arms=[arm])


def test_what_a_stage_trains_for_itself_is_tried(load: Load) -> None:
    config = load("train_segmenter.segmenters.fpn={kind: monai, network: DenseNet121}")
    with pytest.raises(ConfigError, match=r"segmenter of kind 'monai' \(network DenseNet121"):
        check_segmenters(config, SliceShape(32, 2), others=["fpn"])
    check_segmenters(config, SliceShape(32, 2), others=["light"])


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
        check_trial(load(NONE, "trial.segmenters=[light]", labeler, "synthesize.unlabeled=0.5"))
    check_trial(load(NONE, "trial.segmenters=[light]", labeler, "synthesize.unlabeled=0"))


def test_what_screens_is_tried_where_slices_are_screened(load: Load) -> None:
    screened = ("train_segmenter.segmenters.fpn={kind: smp, architecture: Unett, encoder: x, weights: none}",)
    config = ("trial.segmenters=[light]", "screen.segmenter=fpn")
    with pytest.raises(ConfigError, match="architecture 'Unett'"):
        check_trial(load(*screened, *config, "screen.filter=tests"))
    check_trial(load(*screened, *config, "screen.filter=all"))


def test_windows_larger_than_the_slices_are_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"train_segmenter\.window: is 33, and slices have 32 pixels per side"):
        check_trial(load("trial.segmenters=[light]", "train_segmenter.window=33"))
    check_trial(load("trial.segmenters=[light]", "train_segmenter.window=32"))


def test_slices_painted_on_lesion_free_scans_need_a_segmenter_that_ignores(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNetSettings, "TAKES", UNetSettings.TAKES - {"ignored"})
    painter = "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: %s}"
    check_trial(load("trial.segmenters=[light]", painter % 0))
    with pytest.raises(ConfigError, match=r"arm real\+synthetic.*needs a segmenter that takes labels that are to be"):
        check_trial(load("trial.segmenters=[light]", painter % 0.5))


@pytest.mark.parametrize(
    ("way", "refused"), [("mix", False), ("append", False), ("pretrain", True), ("schedule", True)]
)
def test_a_share_that_changes_needs_a_segmenter_that_takes_it(
    load: Load, monkeypatch: pytest.MonkeyPatch, way: str, refused: bool
) -> None:
    config = load(
        f"trial.training_sets.synthetic=[{{name: real+synthetic, synthesizer: pix2pix, way: {way}}}]",
    )
    arm = Arm(training_set="real+synthetic", segmenter="light", fraction=1.0, cell=0)
    monkeypatch.setattr(UNetSettings, "TAKES", UNetSettings.TAKES - {"schedules"})
    with pytest.raises(ConfigError, match="a share of synthetic slices that changes") if refused else nullcontext():
        check_segmenters(config, SliceShape(32, 2), arms=[arm])


def test_questions_about_probabilities_need_a_segmenter_that_gives_them(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNetSettings, "gives_probabilities", False)
    lesions = "evaluate.lesions={tumor: {}}"
    check_trial(load("trial.segmenters=[light]", lesions, "trial.metric=sensitivity"))
    with pytest.raises(
        ConfigError, match=r"trial\.metric: asks for 'cpm', which needs probabilities, and segmenter 'l"
    ):
        check_trial(load("trial.segmenters=[light]", lesions, "trial.metric=cpm"))
    with pytest.raises(ConfigError, match=r"trial\.questions: asks for 'brier', which needs probabilities"):
        check_trial(load("trial.segmenters=[light]", "trial.questions=[{metric: dice}, {metric: brier}]"))


def test_a_segmenter_without_a_seed_needs_an_arm_that_shows_what_chance_does(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNetSettings, "is_seeded", False)
    remedy = r"add 'real\+geometric\+null' to the list 'real'"
    with pytest.raises(ConfigError, match=rf"has no A/A arm, and segmenter 'light' is not seeded: .*; {remedy}"):
        check_trial(load("trial.segmenters=[light]"))
    null = "trial.training_sets.real=[real, real+geometric, real+geometric+null]"
    check_trial(load("trial.segmenters=[light]", null))


@pytest.mark.parametrize(
    ("override", "finding"),
    [
        ("prepare.intensity={kind: window, center: 0, width: 9}", "prepare.intensity: is one window"),
        (
            "trial.training_sets={real: [real], synthetic: [{name: real+synthetic, synthesizer: pix2pix}]}",
            "names 2, and synthesizers learn from one and paint one",
        ),
        ("trial.training_sets={real: [real, real+standard+copy_paste]}", "copy_paste' changes slices of one"),
        ("trial.cells=[0]", r"arm real/light/.*: needs a segmenter that takes several channels, and 'light' .* not"),
    ],
)
def test_several_channels_are_refused_where_one_is_read(load: Load, override: str, finding: str) -> None:
    alone = ("trial.training_sets={real: [real]}", "trial.synthesizers=[]", "trial.segmenters=[light]")
    several = ("acquire.source=folder", "acquire.folder.path=x", "acquire.channels=[T2, ADC]")
    painted = ["trial.synthesizers=[pix2pix]"] if "pix2pix" in override else []
    plain = ("trial.reference=real", "trial.question=null", "prepare.intensity={kind: percentile}")
    with pytest.raises(ConfigError, match=finding):
        check_trial(load(*several, *alone, *plain, override, *painted))
