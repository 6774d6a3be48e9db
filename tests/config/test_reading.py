from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml

from nephrite.config import Config, as_yaml, load_config
from nephrite.errors import ConfigError
from tests.conftest import CAPSTONE

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
        ConfigError,
        match=r"phantom\.yaml with '--set train_gan\.pix2pix\.epochs=0': train_gan\.pix2pix\.epochs",
    ):
        load("train_gan.pix2pix.epochs=0")


def test_all_errors_are_told_at_once_one_line_each_with_their_number_last(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("train_gan.pix2pix.epochs=0", "synthesize.ratio=-1", "report.tables=3")
    ratio, epochs, tables, number = sorted(str(caught.value).splitlines(), key=lambda line: "ratio" not in line)
    for line, key in ((ratio, "synthesize.ratio"), (epochs, "train_gan.pix2pix.epochs"), (tables, "report.tables")):
        assert re.search(rf"phantom\.yaml with '--set {key}=.*': {key}: .*; (change the value|remove it)", line)
    assert number == "3 errors in all"


def test_types_that_a_value_could_have_are_one_error(refusal: Refusal) -> None:
    message = refusal("compute.devices=many")
    assert re.search(r"compute\.devices: value 'many': .*integer.*; or: Input should be 'auto'; change", message)


def test_what_follows_from_an_error_is_no_error_of_its_own(root: Path, tmp_path: Path) -> None:
    text = (CAPSTONE).read_text().replace("classes: {1: kidney, 2: tumor}", "classes: {0: kidney}")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"prepare\.classes\.0: value 0: .*greater than or equal to 1") as caught:
        load_config(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_section_without_its_kind_is_told_the_key(refusal: Refusal) -> None:
    assert re.search(
        r"train_gan\.pix2pix\.method\.kind: is missing; add it", refusal("train_gan.pix2pix.method={depth: 3}")
    )


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [
        ("synthesize.edits.sizes.tiny=3", "synthesize.edits.sizes", {"tiny": 3, "small": 1, "medium": 1, "large": 1}),
        ("prepare.channels.both=[1, 2]", "prepare.channels", {"kidney": (1,), "tumor": (2,), "both": (1, 2)}),
    ],
)
def test_override_of_one_entry_leaves_the_default_others(override: str, key: str, expected: Any, load: Load) -> None:
    assert attrgetter(key)(load(override)) == expected


def test_override_of_a_default_segmenter_keeps_its_kind(root: Path, tmp_path: Path) -> None:
    text = (root / "configs" / "lidc.yaml").read_text()
    config = load_config(Path("unused"), ["train_segmenter.segmenters.light.depth=2"], text=text)
    assert config.train_segmenter.segmenters["light"].model_dump()["kind"] == "unet"
    assert config.train_segmenter.segmenters["light"].model_dump()["depth"] == 2


def test_override_of_one_section_leaves_its_alias_alone(root: Path) -> None:
    config = load_config(root / "configs" / "curvas.yaml", ["train_gan.spade.tissue.classes=8"])
    assert [config.train_gan[name].tissue.classes for name in ("pix2pix", "spade")] == [6, 8]


def test_values_of_overrides_follow_the_rules_of_the_file(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"--set trial\.cells=\[010\]: '010' is octal in YAML 1\.1") as caught:
        load("trial.cells=[010]")
    assert "line" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train_gan.pix2pix.epochs", "is not of the form section.key=value"),
        ("=3", "is not of the form section.key=value"),
        ("trial.name.x=3", "'name' is a value, not a section"),
        (
            "train_gan.pix2pix.epochs=[",
            r"--set train_gan\.pix2pix\.epochs=\[: is not readable YAML .*; mend it, or quote it",
        ),
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


def test_file_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes("trial: {name: träume}".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"p\.yaml: is not readable YAML \('utf-8' codec.*; save it as UTF-8"):
        load_config(tmp_path / "p.yaml")


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("# " + "x" * 400_000)
    with pytest.raises(ConfigError, match=r"has more than 262,144 characters"):
        load_config(tmp_path / "p.yaml")


def test_missing_section_is_named(root: Path, tmp_path: Path) -> None:
    content = yaml.safe_load((CAPSTONE).read_text())
    del content["prepare"]
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"p\.yaml: prepare: is missing; add it"):
        load_config(tmp_path / "p.yaml")


def test_later_override_wins_and_label_values_may_be_keys(load: Load) -> None:
    config = load(
        "train_gan.pix2pix.epochs=3", "train_gan.pix2pix.epochs=4", "prepare.classes.2=mass", "prepare.lesions={}"
    )
    assert config.train_gan["pix2pix"].epochs == 4
    assert config.prepare.classes == {1: "kidney", 2: "mass"}


def test_number_that_yaml_reads_as_text_is_still_a_number(load: Load) -> None:
    assert load("train_gan.pix2pix.learning_rate=1e-3").train_gan["pix2pix"].learning_rate == 0.001


def test_text_that_looks_like_a_number_is_written_as_text(load: Load) -> None:
    for salt in ("1e3", "0o10", "010", "yes", "1:30", "1_000", "12", ".5", "2024-01-01"):
        config = load(f"prepare.split.salt='{salt}'")
        assert load_config(Path("unused"), text=as_yaml(config)).prepare.split.salt == salt


def test_written_settings_give_every_value_in_the_order_of_the_models_and_load_again(load: Load) -> None:
    config = load("train_gan.pix2pix.epochs=3", "arm=real/light/1.0/0")
    text = as_yaml(config)
    assert load_config(Path("unused"), text=text) == config
    assert list(yaml.safe_load(text)) == list(Config.model_fields)
    assert text.endswith("\n")
