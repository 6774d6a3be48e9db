from __future__ import annotations

import itertools
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nephrite.config import Arm, Config, Settings, load_config, sections_in
from nephrite.errors import ConfigError

Load = Callable[..., Config]

REFUSED = {
    "train_gan.pix2pix.epohs=3": r"train_gan\.pix2pix\.epohs: unknown key; did you mean 'epochs'\?",
    "prepare.intensity.widht=3": r"prepare\.intensity\.widht: unknown key; did you mean 'width'\?",
    "train_segmenter.segmenters.light.encoder=x": r"light\.encoder: unknown key.*known here are base_width, depth",
    "nosuch.a=1": r"nosuch: unknown key; remove it; known here are acquire",
    "train_gan.pix2pix.epochs=many": r"train_gan\.pix2pix\.epochs: value 'many': .*integer",
    "train_gan.pix2pix.epochs=0": r"train_gan\.pix2pix\.epochs: value 0: .*greater than or equal to 1",
    "train_gan.pix2pix.epochs=yes": r"train_gan\.pix2pix: 'epochs' is true",
    "train_gan.pix2pix.learning_rate=.nan": r"learning_rate: value nan: .*finite",
    "train_gan=3": r"train_gan: value 3: ",
    "compute.precision=64": r"compute\.precision: value 64: ",
    "compute.devices=0": r"compute\.devices: value 0: ",
    "prepare.in_plane={kind: resize}": r"prepare\.in_plane\.size: is missing; add it",
    "prepare.intensity={kind: percentile, low: 9, high: 2}": r"prepare\.intensity: 'low' 9.0 is not below 'high' 2.0",
    "prepare.split.test=0.5": r"prepare\.split: train \+ validation \+ test is 1\.2, not 1",
    "prepare.lesions={mass: kidney}": r"prepare: 'lesions' names \['mass'\]; the classes are \['kidney', 'tumor'\]",
    "train_gan.pix2pix.method={kind: magic}": (
        r"train_gan\.pix2pix\.method: .*'pix2pix', 'spade', 'paint_in', 'randomised', 'diffusion'"
    ),
    "train_gan.pix2pix.method={kind: diffusion, base_width: 8, depth: 1, noise_steps: 9, sampling_steps: 10}": (
        r"train_gan\.pix2pix\.method: 'sampling_steps' 10 is more than 'noise_steps' 9"
    ),
    "train_gan.pix2pix.differentiable_augmentation=[flip]": r"differentiable_augmentation.*value 'flip'",
    "train_gan.pix2pix.tissue.classes=1": r"train_gan\.pix2pix\.tissue\.classes: value 1",
    "prepare.classes={0: body}": r"prepare\.classes\.0: ",
    "acquire.source=folder": r"acquire: source 'folder' needs 'acquire\.folder\.path'",
    "acquire.source=dvc": r"acquire: source 'dvc' needs 'acquire\.dvc\.remote' and 'acquire\.dvc\.version'",
    "acquire.dvc.version=4933b152": r"acquire\.dvc\.version: value '4933b152': .*\\.dir",
    "acquire.dvc.remote=https://store/dvc": r"acquire\.dvc\.remote: value 'https://store/dvc': .*s3://",
    "publish.remote=gs://bucket/dvc": r"publish\.remote: value 'gs://bucket/dvc': .*s3://",
    "acquire.kits19={first_case: 9, last_case: 3, revision: a, images_url: a, labels_url: a}": r"'kits19\.last_case'",
    "trial.reference=real+magic": r"trial: reference 'real\+magic' is not among",
    "trial.cells=[1, 1]": r"trial: 'cells' names one twice",
    "screen.agreement=[0.9, 0.3]": r"screen.agreement: the first of \[0.9, 0.3\] is above the second",
    "screen.segmenter=none": r"'screen.segmenter' is 'none'; not under 'train_segmenter.segmenters'",
    "screen.intensity_distance=-1": r"screen.intensity_distance",
    "trial.synthesizers=[]": r"trial: 'synthesizers' is \[\]; the training sets use \['pix2pix'\]",
    "trial.label_fractions=[0]": r"trial\.label_fractions\.0: value 0",
    "synthesize.deformation.strength=0.2": r"synthesize\.deformation\.strength: value 0\.2: .*less than",
    "synthesize.edits.removed=0.6": r"synthesize\.edits: removed \+ rescaled \+ moved is 1\.1, more than 1",
    "synthesize.edits.factor=[0, 1]": r"synthesize\.edits: 'factor' \[0\.0, 1\.0\] begins at 0",
    "synthesize.edits.sizes={tiny: 0}": r"synthesize\.edits: 'sizes' gives no size a weight above 0",
    "synthesize.edits.sizes={huge: 1}": r"synthesize\.edits\.sizes\.huge: ",
    "synthesize.masks=other": r"synthesize\.masks: value 'other'",
    "synthesize.unlabelled=1.2": r"synthesize\.unlabelled: value 1\.2",
    "prepare.lesions={cyst: kidney}": r"prepare: 'lesions' names \['cyst'\]",
    "train_segmenter.intensity.gamma=[2, 1]": r"the first of \[2\.0, 1\.0\] is above the second",
    "painter=pix2pix/1.0": r"painter: a painter is written 'SYNTHESIZER/FRACTION/CELL'",
    "painter=spade/1.0/0": r"painter 'spade/1.0/0' is not among the trial's",
    "trial.cells=[-1]": r"trial\.cells\.0: value -1",
    "trial.segmenters=[light, giant]": r"'trial\.segmenters' names \['giant'\]",
    "trial.primary=liver": r"'trial\.primary' is 'liver'; not among 'evaluate\.regions'",
    "trial.training_sets.real=[geometric]": r"trial\.training_sets: 'geometric' is not 'real', then any of",
    "trial.training_sets.real=[geometric+real]": r"'geometric\+real' is not 'real', then any of",
    "trial.training_sets.real=[real+geometric+standard]": r"has both 'geometric' and 'standard'",
    "trial.training_sets.synthetic=[{name: real+geometric, synthesizer: pix2pix, way: mix}]": r"has no component that",
    "trial.training_sets.real=[real+synthetic]": r"'real\+synthetic' of the list 'real' has the component 'synthetic'",
    "trial.training_sets.real=[real, real, real+geometric]": r"a training set is named twice",
    "evaluate.regions.tumor.labels=[3]": r"region 'tumor' with labels \[3\] is not a union of 'prepare\.channels'",
    "arm=real": r"arm: an arm is written 'TRAINING_SET/SEGMENTER/FRACTION/CELL'",
    "arm=real/light/x": r"arm: an arm is written",
    "arm=real/light/1.0/99": r"arm 'real/light/1.0/99' is not among the trial's",
}


def fields(model: type[Settings] = Config, path: str = "") -> dict[str, Any]:
    """Every field of the settings that is no section itself, by dotted name."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        below = sections_in(field.annotation)
        inner = [fields(section, f"{path}{name}.{section.__name__}.") for section in below]
        found |= dict(itertools.chain.from_iterable(part.items() for part in inner)) or {f"{path}{name}": field}
    return found


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("params", 12), ("configs/kits19", 12), ("configs/moai", 12), ("configs/lidc", 6), ("configs/curvas", 4)],
)
def test_shipped_settings_are_valid(name: str, kinds: int, root: Path) -> None:
    config = load_config(root / f"{name}.yaml")
    assert len(config.trial.arms) == kinds * len(config.trial.cells)


def test_capstone_settings_are_the_capstones(root: Path) -> None:
    config = load_config(root / "configs" / "moai.yaml")
    training, split = config.train_segmenter, config.prepare.split
    assert (training.epochs, training.learning_rate, training.plateau_patience) == (100, 0.001, 6)
    assert (split.train, split.validation, split.test) == (0.7, 0.2, 0.1)
    assert config.prepare.intensity.model_dump() == {"kind": "window", "center": 0, "width": 400}
    assert training.geometric.model_dump() == {"rotation": 45, "scale": 0.15, "shift": 0.10}
    assert training.steps_per_epoch * training.batch_size == 70 * 64


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, load: Load) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(override)
    assert "\n" not in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_error_in_an_override_names_the_override(load: Load) -> None:
    with pytest.raises(
        ConfigError, match=r"params\.yaml with '--set train_gan\.pix2pix\.epochs=0': train_gan\.pix2pix\.epochs"
    ):
        load("train_gan.pix2pix.epochs=0")


def test_further_errors_are_counted(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"\(and 1 more\)"):
        load("train_gan.pix2pix.epochs=0", "synthesize.ratio=-1")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train_gan.pix2pix.epochs", "is not of the form section.key=value"),
        ("=3", "is not of the form section.key=value"),
        ("trial.name.x=3", "'name' is a value, not a section"),
        ("train_gan.pix2pix.epochs=[", "is not a YAML value"),
    ],
)
def test_override_that_cannot_be_read_is_refused(override: str, message: str, load: Load) -> None:
    with pytest.raises(ConfigError, match=message):
        load(override)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "is missing"), ("a: [", "is not readable YAML"), ("- 1", "holds no sections"), ("", "no s")],
)
def test_file_that_is_no_settings_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "p.yaml")


def test_missing_section_is_named(root: Path, tmp_path: Path) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    del content["report"]
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"p\.yaml: report: is missing; add it"):
        load_config(tmp_path / "p.yaml")


def test_later_override_wins_and_label_values_may_be_keys(load: Load) -> None:
    config = load(
        "train_gan.pix2pix.epochs=3", "train_gan.pix2pix.epochs=4", "prepare.classes.2=mass", "prepare.lesions={}"
    )
    assert config.train_gan["pix2pix"].epochs == 4
    assert config.prepare.classes == {1: "kidney", 2: "mass"}


def test_number_that_yaml_reads_as_text_is_still_a_number(load: Load) -> None:
    assert load("train_gan.pix2pix.learning_rate=1e-3").train_gan["pix2pix"].learning_rate == 0.001


def test_settings_cannot_be_changed_after_validation(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().train_gan["pix2pix"].epochs = 3


def test_arm_reads_and_writes_its_name() -> None:
    arm = Arm.parse("real+synthetic+geometric/fpn/1.0/2")
    assert (str(arm), arm.segmenter, arm.cell) == ("real+synthetic+geometric/fpn/1.0/2", "fpn", 2)
    assert (arm.has("synthetic"), arm.has("geometric"), arm.fraction) == (True, True, 1.0)
    assert not Arm.parse("real/fpn/0.25/2").has("geometric")


def test_a_set_knows_its_fakes_and_itself_without_them(load: Load) -> None:
    sets = load().trial.training_sets
    assert sets.fakes("real") is None
    assert sets.fakes("real+synthetic").way == "append"  # type: ignore[union-attr] # it has some
    assert sets.pairs == {"real+synthetic": "real", "real+synthetic+geometric": "real+geometric"}


def test_painters_are_one_for_each_fraction_and_cell(load: Load) -> None:
    trial = load("trial.cells=[0, 1]", "trial.label_fractions=[0.5, 1.0]").trial
    assert [str(painter) for painter in trial.painters] == [
        *("pix2pix/0.5/0", "pix2pix/0.5/1"),
        *("pix2pix/1.0/0", "pix2pix/1.0/1"),
    ]
    assert str(trial.painter(Arm.parse("real+synthetic/fpn/0.5/1"))) == "pix2pix/0.5/1"


def test_rivals_are_the_real_sets_with_pasted_lesions_or_pseudo_labels(load: Load) -> None:
    config = load("trial.training_sets.real=[real, real+geometric, real+copy_paste, real+standard+self_training]")
    assert config.trial.training_sets.rivals == ("real+copy_paste", "real+standard+self_training")


def test_a_declared_question_is_a_synthetic_set_and_a_real_one(load: Load) -> None:
    assert load().trial.question is None
    declared = load("trial.question=[real+synthetic, real+geometric]")
    assert declared.trial.question == ("real+synthetic", "real+geometric")
    for question in ("[real, real+synthetic]", "[real+synthetic, real+synthetic+geometric]", "[real+other, real]"):
        with pytest.raises(ConfigError, match=r"trial: question .* is not a set of the list 'synthetic'"):
            load(f"trial.question={question}")


def test_the_only_painter_need_not_be_named(load: Load) -> None:
    assert str(load().this_painter) == "pix2pix/1.0/0"
    with pytest.raises(ConfigError, match=r"add '--set painter=pix2pix/1.0/0'"):
        _ = load("trial.cells=[0, 1]").this_painter


def test_lesions_are_named_by_class_and_found_by_value(load: Load) -> None:
    assert load().prepare.lesion_values == {2: 1}
    assert load("prepare.lesions={kidney: null}").prepare.lesion_values == {1: None}


def test_arms_are_the_whole_product(load: Load) -> None:
    arms = load("trial.cells=[0, 1]").trial.arms
    assert len({str(arm) for arm in arms}) == 4 * 3 * 2


def test_stage_without_its_arm_says_how_to_name_one(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"add '--set arm=real/light/1.0/0'"):
        _ = load().this_arm
    assert load("arm=real/light/1.0/0").this_arm.training_set == "real"


@pytest.mark.parametrize("name", [name for name in fields() if not name.startswith("arm.")])
def test_every_setting_has_its_sentence(name: str) -> None:
    assert (fields()[name].description or "").endswith(".")


def test_settings_page_is_current(root: Path) -> None:
    page = runpy.run_path(str(root / "docs" / "write_settings.py"))["settings_page"]()
    assert (root / "docs" / "settings.md").read_text(encoding="utf-8") == page, "run 'make docs'"
