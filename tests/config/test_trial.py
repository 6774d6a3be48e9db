from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nephrite.config import Arm, Config, GeneratorRun
from nephrite.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "trial.reference=real+magic": r"trial: reference 'real\+magic' is not among",
    "trial.cells=[1, 1]": r"trial: 'cells' names one twice",
    "trial.synthesizers=[]": r"trial: 'synthesizers' is \[\]; the training sets use \['pix2pix'\]",
    "trial.label_fractions=[0]": r"trial\.label_fractions\.0: value 0",
    "painter=pix2pix/1.0": r"painter: a painter is written 'SYNTHESIZER/FRACTION/CELL'",
    "trial.questions=[{training_set: real+magic}]": r"trial: 'questions' names 'real\+magic', which is not among",
    "trial.questions=[{training_set: real, against: real}]": r"trial: 'questions' compares 'real' with itself",
    "trial.cells=[-1]": r"trial\.cells\.0: value -1",
    "arm=real": r"arm: an arm is written 'TRAINING_SET/SEGMENTER/FRACTION/CELL'",
    "arm=real/light/x": r"arm: an arm is written",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


def test_arm_reads_and_writes_its_name() -> None:
    arm = Arm.parse("real+synthetic+geometric/fpn/1.0/2")
    assert (str(arm), arm.segmenter, arm.cell) == ("real+synthetic+geometric/fpn/1.0/2", "fpn", 2)
    assert (arm.training_set, arm.fraction) == ("real+synthetic+geometric", 1.0)


def test_painters_are_one_for_each_fraction_and_cell(load: Load) -> None:
    trial = load("trial.cells=[0, 1]", "trial.label_fractions=[0.5, 1.0]").trial
    assert [str(painter) for painter in trial.painters] == [
        *("pix2pix/0.5/0", "pix2pix/0.5/1"),
        *("pix2pix/1.0/0", "pix2pix/1.0/1"),
    ]
    assert str(trial.painter(Arm.parse("real+synthetic/fpn/0.5/1"))) == "pix2pix/0.5/1"


def test_the_teacher_of_self_training_is_the_arm_of_its_cell_without_it(load: Load) -> None:
    fakes = "{name: real+synthetic+standard+self_training, synthesizer: pix2pix, way: append}"
    trial = load(
        "trial.training_sets.real=[real+standard, real+geometric, real+geometric+copy_paste+self_training, "
        "real+standard+self_training]",
        f"trial.training_sets.synthetic=[{fakes}]",
        "trial.label_fractions=[0.5]",
    ).trial
    for name in ("real+standard+self_training", "real+synthetic+standard+self_training"):
        assert str(trial.teacher(Arm.parse(f"{name}/light/0.5/0"))) == "real+standard/light/0.5/0"
    for name in ("real+standard", "real+geometric+copy_paste+self_training"):
        assert trial.teacher(Arm.parse(f"{name}/light/0.5/0")) is None


@pytest.mark.parametrize("choice", ["reference=real+null", "question=[real+synthetic, real+null]"])
def test_a_null_is_compared_with_its_own_set_alone(load: Load, choice: str) -> None:
    with pytest.raises(ConfigError, match="trial: 'reference' or 'question' names a null"):
        load("trial.training_sets.real=[real, real+null, real+geometric]", f"trial.{choice}")


def test_a_declared_question_is_a_synthetic_set_and_a_real_one(load: Load) -> None:
    assert load().trial.question is None
    declared = load("trial.question=[real+synthetic, real+geometric]")
    assert declared.trial.question == ("real+synthetic", "real+geometric")
    for question in ("[real, real+synthetic]", "[real+synthetic, real+synthetic+geometric]", "[real+other, real]"):
        with pytest.raises(ConfigError, match=r"trial: question .* is not a set of the list 'synthetic'"):
            load(f"trial.question={question}")


def test_arms_are_the_whole_product(load: Load) -> None:
    arms = load("trial.cells=[0, 1]").trial.arms
    assert len({str(arm) for arm in arms}) == 4 * 3 * 2


ENTRY = "{name: real+synthetic, synthesizer: pix2pix, way: append}"
WITHOUT = (
    "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 1.0}",
    *("screen.filter=all", f"trial.without_labels=[{ENTRY}]", "trial.cells=[0, 1]"),
)


def test_arms_without_labels_are_added_to_the_product_with_their_painters(load: Load) -> None:
    trial, plain = load(*WITHOUT).trial, load("trial.cells=[0, 1]").trial
    added = [str(arm) for arm in trial.arms if arm not in plain.arms]
    assert len(added) == 2 * len(trial.segmenters)
    assert "real+synthetic/light/0.0/1" in added
    assert [str(painter) for painter in trial.painters if painter not in plain.painters] == [
        "pix2pix/0.0/0",
        "pix2pix/0.0/1",
    ]
    arm = Arm.parse("real+synthetic/light/0.0/1")
    assert trial.painter(arm) == GeneratorRun.parse("pix2pix/0.0/1")
    assert load(*WITHOUT, f"arm={arm}").this_arm == arm
    with pytest.raises(ConfigError, match=r"arm 'real/light/0.0/0' is not among the trial's"):
        load(*WITHOUT, "arm=real/light/0.0/0")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "trial.without_labels=[{name: real+synthetic, synthesizer: pix2pix, share: 0.9}]",
            "'without_labels' has 'real.synthetic', which is no entry of the list 'synthetic'",
        ),
        (f"trial.without_labels=[{ENTRY}, {ENTRY}]", "'without_labels' names one twice"),
        ("trial.without_labels=[real+synthetic]", "names 'real.synthetic'; write its whole entry of"),
        (
            "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 0.9}",
            "whose synthesizer 'pix2pix' needs labels",
        ),
        ("train_gan.pix2pix.method={kind: randomized}", "whose synthesizer 'pix2pix' needs labels"),
        ("screen.filter=report", "and screening needs labels; set 'screen.filter' to 'all'"),
        ("train_segmenter.weights=best", "and the training asks validation labels"),
    ],
)
def test_what_needs_labels_is_refused_where_there_are_none(load: Load, override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(*WITHOUT, override)


def test_a_set_without_labels_has_no_baseline_that_needs_them(load: Load) -> None:
    sets = "trial.training_sets.synthetic=[{name: real+synthetic+copy_paste, synthesizer: pix2pix}]"
    with pytest.raises(ConfigError, match=r"has 'real\+synthetic\+copy_paste', whose baseline needs labels"):
        load(*WITHOUT, sets, sets.replace("training_sets.synthetic", "without_labels"), "trial.question=null")
