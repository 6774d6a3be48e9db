"""params.yaml read, overridden, validated, written again; a fault is one line that names key, value and rule."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from nephrite.config.kinds import sections_in
from nephrite.config.params import Config
from nephrite.config.settings import Settings
from nephrite.errors import ConfigError


def load_config(path: Path, overrides: Sequence[str] = (), *, text: str | None = None) -> Config:
    """Read and validate a params file.

    Args:
        path: the YAML file.
        overrides: 'section.key=value', the value as YAML; later ones win.
        text: YAML that stands in place of the file, for a caller without one.

    Raises:
        ConfigError: the file or an override is wrong; names key, value and rule.
    """
    path = path if text is None else Path("--params-text")
    content = _read_yaml(path, text)
    for override in overrides:
        _override(content, override)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise _explain(path, content, overrides, error) from None


def as_yaml(config: Config) -> str:
    """The settings as a params file that gives every value."""
    return str(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=120))


def _read_yaml(path: Path, text: str | None) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError:
        raise ConfigError(path, "is missing", "name a params file with '--params'") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(path, f"is not readable YAML ({error})", "mend the file") from None
    if not isinstance(content, dict):
        raise ConfigError(path, "holds no sections", "start from the params.yaml of the project")
    return content


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set {override}", "is not of the form section.key=value", "write e.g. 'train_gan.pix2pix.epochs=5'"
        )
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place.setdefault(_key(place, section), {})
        if not isinstance(place, dict):
            raise ConfigError(
                f"--set {override}", f"'{section}' is a value, not a section", "name a key inside a section"
            )
    try:
        place[_key(place, last)] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}", f"{value!r} is not a YAML value", "quote it") from None


def _key(section: Mapping[Any, Any], name: str) -> Any:
    """Label values are whole numbers in YAML, but text on the command line."""
    return int(name) if name.isdigit() and int(name) in section else name


def _explain(path: Path, content: object, overrides: Sequence[str], error: ValidationError) -> ConfigError:
    first, *others = error.errors()
    key = ".".join(_keys(content, first["loc"], absent=first["type"] == "missing"))
    given = [f" with '--set {text}'" for text in overrides if f"{key}.".startswith(f"{text.partition('=')[0]}.")]
    place = f"{path}{given[-1] if given else ''}: {key or '(whole file)'}"
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return ConfigError(place, f"unknown key{more}", _suggestion(first["loc"]))
    if first["type"] == "missing":
        return ConfigError(place, f"is missing{more}", "add it")
    rule = first["msg"].removeprefix("Value error, ")
    shown = "" if first["type"] == "value_error" else f"value {first['input']!r}: "
    return ConfigError(place, f"{shown}{rule}{more}", "change the value")


def _keys(content: object, location: Sequence[str | int], *, absent: bool) -> Iterator[str]:
    """The keys of a location as they stand in the file: without the tags that pydantic puts among them."""
    for number, part in enumerate(location, 1):
        inner = dict(enumerate(content)) if isinstance(content, list) else content
        if not isinstance(inner, dict):
            return
        if part in inner or (absent and number == len(location)):
            yield str(part)
            content = inner.get(part)


def _suggestion(location: Sequence[str | int]) -> str:
    """The nearest key that the section knows, else all of them."""
    sections: list[type[Settings]] = [Config]
    for part in location[:-1]:
        fields = [model.model_fields[str(part)] for model in sections if part in model.model_fields]
        below = [model for field in fields for model in sections_in(field.annotation)]
        sections = below or sections  # a tag or a name of the user's own leads nowhere
    known = sorted({name for model in sections if _kind(model) in (None, *location) for name in model.model_fields})
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"remove it; known here are {', '.join(known)}"


def _kind(model: type[Settings]) -> Any:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field else None
