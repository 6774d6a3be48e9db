from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nephrite.config import Config, TrainingSets
from nephrite.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "trial.training_sets.real=[geometric]": r"trial\.training_sets: 'geometric' is not 'real', then any of",
    "trial.training_sets.real=[geometric+real]": r"'geometric\+real' is not 'real', then any of",
    "trial.training_sets.real=[real+geometric+standard]": r"has both 'geometric' and 'standard'",
    "trial.training_sets.synthetic=[{name: real+geometric, synthesizer: pix2pix, way: mix}]": r"has no component that",
    "trial.training_sets.real=[real+synthetic]": r"'real\+synthetic' of the list 'real' has the component 'synthetic'",
    "trial.training_sets.real=[real+standard+null]": r"\+null' .* is the null of 'real\+standard', which",
    "trial.training_sets.real=[real, real+null+geometric]": r"has the component 'null'",
    "trial.training_sets.synthetic=[{name: real+null, synthesizer: pix2pix, way: mix}]": r"has no component",
    "trial.training_sets.real=[real, real, real+geometric]": r"a training set is named twice",
    "trial.training_sets.real=[real, real+geometric, real+geometric+copy_paste, real+copy_paste+geometric]": (
        r"'real\+copy_paste\+geometric' is the same training set as 'real\+geometric\+copy_paste'"
    ),
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


def test_a_set_knows_its_fakes_and_itself_without_them(load: Load) -> None:
    sets = load().trial.training_sets
    assert sets.of("real").fakes is None
    fakes = sets.of("real+synthetic").fakes
    assert fakes is not None
    assert fakes.way == "append"
    assert sets.pairs == {"real+synthetic": "real", "real+synthetic+geometric": "real+geometric"}


def test_baselines_are_the_real_sets_with_pasted_lesions_or_pseudo_labels(load: Load) -> None:
    config = load("trial.training_sets.real=[real, real+geometric, real+copy_paste, real+standard+self_training]")
    assert config.trial.training_sets.baselines == ("real+copy_paste", "real+standard+self_training")


def test_a_copy_repeats_a_set_and_is_no_baseline(load: Load) -> None:
    sets = load(
        "trial.training_sets.real=[real, real+geometric, real+copy_paste, real+copy_paste+null]"
    ).trial.training_sets
    assert (sets.copies, sets.baselines) == ({"real+copy_paste+null": "real+copy_paste"}, ("real+copy_paste",))
    assert sets.of("real+copy_paste+null").pastes_lesions


@pytest.mark.parametrize(
    ("label", "augmentation", "baselines"),
    [
        ("real", "none", ()),
        ("real+geometric", "geometric", ()),
        ("real+standard+copy_paste", "standard", ("copy_paste",)),
        ("real+self_training+copy_paste", "none", ("self_training", "copy_paste")),
    ],
)
def test_a_label_is_read_into_fields(label: str, augmentation: str, baselines: tuple[str, ...]) -> None:
    (one,) = TrainingSets(real=(label,)).sets
    assert (one.augmentation, one.baselines, one.fakes, one.copy_of) == (augmentation, baselines, None, None)
    assert (one.pastes_lesions, one.trains_itself) == ("copy_paste" in baselines, "self_training" in baselines)


def test_labels_of_ones_own_mean_what_their_fields_say(load: Load) -> None:
    named = "{strong: {augmentation: standard}, pasted: {augmentation: standard, baselines: [copy_paste]}, " + (
        "painted: {augmentation: standard}}"
    )
    sets = load(
        f"trial.training_sets.named={named}",
        "trial.training_sets.real=[strong, strong+null, pasted]",
        "trial.training_sets.synthetic=[{name: painted, synthesizer: pix2pix, way: mix}]",
        "trial.reference=strong",
    ).trial.training_sets
    assert sets.pairs == {"painted": "strong"}
    assert (sets.copies, sets.baselines) == ({"strong+null": "strong"}, ("pasted",))
    assert [one.augmentation for one in sets.sets] == ["standard"] * 4


def test_the_order_of_components_makes_no_other_set(load: Load) -> None:
    fakes = "{name: real+copy_paste+synthetic+standard, synthesizer: pix2pix, way: append}"
    sets = load(
        "trial.training_sets.real=[real, real+geometric, real+standard+copy_paste]",
        f"trial.training_sets.synthetic=[{fakes}]",
    ).trial.training_sets
    assert sets.pairs == {"real+copy_paste+synthetic+standard": "real+standard+copy_paste"}


def test_a_named_set_that_is_another_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match="'strong' is the same training set as 'real'"):
        load("trial.training_sets.named={strong: {}}", "trial.training_sets.real=[real, strong, real+geometric]")


def test_lesion_free_scans_are_seen_as_they_are_or_pasted_onto(load: Load) -> None:
    sets = load(
        "trial.training_sets.real=[real, real+geometric, real+standard+negatives, real+standard+paste_free]"
    ).trial.training_sets
    plain, negatives, pasted = (
        sets.of(name) for name in ("real", "real+standard+negatives", "real+standard+paste_free")
    )
    assert [one.sees_lesion_free for one in (plain, negatives, pasted)] == [False, True, True]
    assert [one.pastes_onto_free for one in (plain, negatives, pasted)] == [False, False, True]
    assert sets.baselines == ("real+standard+negatives", "real+standard+paste_free")


def test_lesions_are_pasted_in_one_way(refusal: Refusal) -> None:
    text = refusal("trial.training_sets.real=[real, real+geometric, real+copy_paste+paste_free]")
    assert "'copy_paste' and 'paste_free' are not taken together" in text


def test_a_list_of_shares_is_a_set_for_each(load: Load) -> None:
    sweep = "{name: real+synthetic+geometric, synthesizer: pix2pix, share: [0.1, 0.25]}"
    given = (f"trial.training_sets.synthetic=[{sweep}]", "trial.question=null")
    sets = load(*given).trial.training_sets
    assert sets.all[-2:] == ("real+synthetic-0.1+geometric", "real+synthetic-0.25+geometric")
    assert [fakes.share for fakes in sets.synthetic] == [0.1, 0.25]
    assert set(sets.pairs.values()) == {"real+geometric"}
    one_by_one = [
        f"{{name: real+synthetic-{share}+geometric, synthesizer: pix2pix, share: {share}}}" for share in (0.1, 0.25)
    ]
    assert (
        load(f"trial.training_sets.synthetic=[{', '.join(one_by_one)}]", "trial.question=null").trial
        == load(*given).trial
    )
    assert len(load(*given, "trial.cells=[0, 1]").trial.painters) == 2  # all shares of a cell see the same slices


def test_labels_of_ones_own_get_the_share_at_their_end(load: Load) -> None:
    sets = load(
        "trial.training_sets.named={painted: {augmentation: standard}}",
        "trial.training_sets.synthetic=[{name: painted, synthesizer: pix2pix, way: pretrain, share: [0.5, 1]}]",
        "trial.question=null",
    ).trial.training_sets
    assert [one.name for one in sets.sets if one.fakes] == ["painted-0.5", "painted-1"]
    assert {one.augmentation for one in sets.sets if one.fakes} == {"standard"}


@pytest.mark.parametrize(
    ("fakes", "finding"),
    [
        ("share: []", "has an empty list of shares"),
        ("way: append, share: [0.1, 0.2]", "which 'append' does not take"),
        ("share: [0.1, 0.1]", "a training set is named twice"),
        ("share: [0.1, 2]", "less than or equal to 1"),
        ("share: [often]", "number"),
    ],
)
def test_lists_that_make_no_sets_are_refused(refusal: Refusal, fakes: str, finding: str) -> None:
    text = refusal(f"trial.training_sets.synthetic=[{{name: real+synthetic, synthesizer: pix2pix, {fakes}}}]")
    assert finding in text
