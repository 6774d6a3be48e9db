from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "train_gan.pix2pix.epochs=true": r"train_gan\.pix2pix: 'epochs' is true",
    "train_gan.pix2pix.learning_rate=.nan": r"learning_rate: value nan: .*finite",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


def test_settings_cannot_be_changed_after_validation(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().train_gan["pix2pix"].epochs = 3


def bounds(schema: object, place: str = "") -> Iterator[tuple[str, bool]]:
    """Every number in a JSON schema, and whether it has both ends."""
    if isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from bounds(part, f"{place}.{number}")
    if isinstance(schema, dict):
        if schema.get("type") in ("number", "integer") and "enum" not in schema:
            low, high = ({f"{end}imum", f"exclusive{end.title()}imum"} for end in ("min", "max"))
            yield place, bool(low & {*schema}) and bool(high & {*schema})
        for name, part in schema.items():
            yield from bounds(part, f"{place}.{name}")


def test_every_number_has_a_least_and_a_greatest_value() -> None:
    schema = Config.model_json_schema()
    assert [place for place, both in bounds(schema) if not both] == []
    assert len([*bounds(schema)]) > 100


@pytest.mark.parametrize("name", ["..", "a/b", "../up", ".hidden", "-x", "a..b", "a b", "a\nb", "", "x" * 101, "a."])
def test_names_lead_to_no_other_folder(name: str, load: Load) -> None:
    for key in (f"trial={{name: {json.dumps(name)}}}", f"trial.segmenters=[{json.dumps(name)}]"):
        with pytest.raises(ConfigError):
            load(key)


@pytest.mark.parametrize("name", ["..", "a/b", "../up", ".hidden", "a..b", "a b", "a\nb", "", "x" * 201, "a."])
def test_labels_of_training_sets_lead_to_no_other_folder(name: str, load: Load) -> None:
    with pytest.raises(ConfigError, match=r"training_sets"):
        load(f"trial.training_sets.synthetic=[{{name: {json.dumps('real+' + name)}, synthesizer: pix2pix}}]")


@pytest.mark.parametrize("name", ["patient", "slice", "split", "Patient", "source_slice"])
def test_no_class_has_the_name_of_a_column(name: str, load: Load) -> None:
    with pytest.raises(ConfigError, match=rf"'{name}' is a column of index\.csv"):
        load(f"prepare.classes={{1: kidney, 2: {name}}}", "prepare.channels={kidney: [1], tumor: [2]}")
