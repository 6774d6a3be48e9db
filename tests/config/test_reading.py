from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nephrite.config import Config, as_yaml, load_config
from nephrite.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "train_gan.pix2pix.epohs=3": r"train_gan\.pix2pix\.epohs: unknown key; did you mean 'epochs'\?",
    "prepare.intensity.widht=3": r"prepare\.intensity\.widht: unknown key; did you mean 'width'\?",
    "train_segmenter.segmenters.light.encoder=x": r"light\.encoder: unknown key.*known here are base_width, depth",
    "nosuch.a=1": r"nosuch: unknown key; remove it; known here are acquire",
    "train_gan.pix2pix.epochs=many": r"train_gan\.pix2pix\.epochs: value 'many': .*integer",
    "train_gan.pix2pix.epochs=0": r"train_gan\.pix2pix\.epochs: value 0: .*greater than or equal to 1",
    "train_gan=3": r"train_gan: value 3: ",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


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


def test_written_settings_give_every_value_in_the_order_of_the_models_and_load_again(load: Load) -> None:
    config = load("train_gan.pix2pix.epochs=3", "arm=real/light/1.0/0")
    text = as_yaml(config)
    assert load_config(Path("unused"), text=text) == config
    assert list(yaml.safe_load(text)) == list(Config.model_fields)
    assert text.endswith("\n")
