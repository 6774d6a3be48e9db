"""Reads, overrides, validates and writes params.yaml; every error is one line that names key, value and rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nephrite.config.dialect import LARGEST, read_yaml, write_yaml
from nephrite.config.explaining import explain
from nephrite.config.kinds import sections_in
from nephrite.config.params import Config
from nephrite.config.settings import Settings
from nephrite.errors import ConfigError, did_you_mean

Content = dict[Any, Any]


def load_config(path: Path, overrides: Sequence[str] = (), *, text: str | None = None) -> Config:
    """Read and validate a params file.

    Args:
        path: the YAML file.
        overrides: 'section.key=value', the value as YAML; later ones win.
        text: YAML that stands in place of the file, for a caller without one.

    Raises:
        ConfigError: the file or an override is wrong; names key, value and rule of everything that was found.
    """
    return _validated(_given(path, overrides, text), overrides)


def explain_config(path: Path, overrides: Sequence[str] = (), *, text: str | None = None) -> str:
    """The settings as a params file that gives every value, with its meaning and where it comes from.

    Args and Raises: as `load_config`.
    """
    given = _given(path, overrides, text)
    return explain(_validated(given, overrides), given.content, [key.partition("=")[0] for key in overrides])


def demand_single_shares(path: Path, overrides: Sequence[str] = (), *, text: str | None = None) -> None:
    """Refuse lists of shares for a reader who takes the params file as it stands: each set of a matrix is one entry.

    Args: as `load_config`.

    Raises:
        ConfigError: names the first set with a list.
    """
    content = _given(path, overrides, text).content
    trial = content.get("trial")
    sets = trial.get("training_sets") if isinstance(trial, dict) else None
    given = sets.get("synthetic") if isinstance(sets, dict) else None
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict) and isinstance(one.get("share"), list):
            finding = f"of '{one.get('name')}' is a list, and dvc.yaml takes the sets as they stand in the file"
            remedy = "write a set for each share, or run 'nephrite trial'"
            raise ConfigError("trial.training_sets.synthetic.share", finding, remedy)


def as_yaml(config: Config) -> str:
    """The settings as a params file that gives every value."""
    return write_yaml(config.model_dump(mode="json"))


class _Given(NamedTuple):
    """The content of file and overrides, and the name of the file in messages."""

    place: Path
    content: Content


def _given(path: Path, overrides: Sequence[str], text: str | None) -> _Given:
    place = path if text is None else Path("--params-text")
    content = read_yaml(_text(path) if text is None else text, place)
    if not isinstance(content, dict):
        raise ConfigError(place, "holds no sections", "start from the params.yaml of the project")
    for override in overrides:
        _override(content, override)
    return _Given(place, content)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(path, "is missing", "name a params file with '--params'") from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, f"is not readable YAML ({error})", "save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(path, f"is not readable YAML ({error})", "mend the file") from None


def _override(content: Content, override: str) -> None:
    # split the text
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set {override}", "is not of the form section.key=value", "write e.g. 'train_gan.pix2pix.epochs=5'"
        )
    *sections, last = key.split(".")
    place: Content = content
    models: Sequence[type[Settings]] = [Config]
    # walk down to the section, making those that only have defaults
    for section in sections:
        name = _key(place, section)
        if name not in place:
            place[name] = _default_map(models, section, place)
        place, models = place[name], _below(models, section)
        if not isinstance(place, dict):
            raise ConfigError(
                f"--set {override}", f"'{section}' is a value, not a section", "name a key inside a section"
            )
    # the value is YAML, as in the file
    place[_key(place, last)] = read_yaml(value, f"--set {override}", lines=False)


def _key(section: Mapping[Any, Any], name: str) -> Any:
    """Label values are whole numbers in YAML, but text on the command line."""
    return int(name) if name.isdigit() and int(name) in section else name


def _default_map(models: Sequence[type[Settings]], name: str, place: Content) -> Content:
    """The default entries of a map, so that an override of one entry keeps the others."""
    for field in [model.model_fields[name] for model in models if name in model.model_fields]:
        if get_origin(field.annotation) is dict and not field.is_required():
            known = isinstance(place.get("classes"), dict) or not field.default_factory_takes_validated_data
            return dict(field.get_default(call_default_factory=True, validated_data=place)) if known else {}
    return {}


def _validated(given: _Given, overrides: Sequence[str]) -> Config:
    try:
        return Config.model_validate(given.content)
    except ValidationError as error:
        findings = [*_findings(given, overrides, error.errors())]
    raise ConfigError.of(findings)


def _findings(given: _Given, overrides: Sequence[str], errors: Sequence[ErrorDetails]) -> Iterator[ConfigError]:
    """One error per key; if a value matches none of several types, all of them are named in one line."""
    # one finding per key
    by_key: dict[str, list[ErrorDetails]] = {}
    for error in errors:
        if not _follows(error, errors):
            key = ".".join(_keys(given.content, error["loc"], absent=error["type"] == "missing"))
            by_key.setdefault(key, []).append(error)
    for key, (first, *others) in by_key.items():
        # where the value came from: file or --set
        texts = [text for text in overrides if f"{key}.".startswith(f"{text.partition('=')[0]}.")]
        override = f" with '--set {texts[-1]}'" if texts else ""
        place = f"{given.place}{override}: {key or '(whole file)'}"
        # the rule and the remedy
        if first["type"] == "extra_forbidden":
            yield ConfigError(place, "unknown key", _suggestion(first["loc"]))
        elif first["type"] == "missing":
            yield ConfigError(place, "is missing", "add it")
        elif first["type"] == "union_tag_not_found":
            yield ConfigError(f"{place}.kind", "is missing", "add it")
        else:
            rules = dict.fromkeys(error["msg"].removeprefix("Value error, ") for error in (first, *others))
            own = first["type"] == "value_error"  # names its values itself, and may hold several findings
            lines = "\n".join(rules).split("\n") if own else [f"value {first['input']!r}: {'; or: '.join(rules)}"]
            yield from (ConfigError(place, line, "change the value") for line in lines)


def _follows(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether an error only follows from another one, e.g. a list that lacks an invalid entry."""
    place = error["loc"]
    entries = any(other["loc"][: len(place)] == place and other is not error for other in errors)
    return error["type"] == "default_factory_not_called" or (error["type"] == "too_short" and entries)


def _keys(content: object, location: Sequence[str | int], *, absent: bool) -> Iterator[str]:
    """The keys of a location as in the file: without the tags that pydantic adds."""
    for number, part in enumerate(location, 1):
        inner = dict(enumerate(content)) if isinstance(content, list) else content
        if not isinstance(inner, dict):
            return
        if part in inner or (absent and number == len(location)):
            yield str(part)
            content = inner.get(part)


def _suggestion(location: Sequence[str | int]) -> str:
    """The nearest key that the section knows, else all of them."""
    models: Sequence[type[Settings]] = [Config]
    for part in location[:-1]:
        models = _below(models, str(part))
    known = sorted({name for model in models if _kind(model) in (None, *location) for name in model.model_fields})
    return did_you_mean(str(location[-1]), known) or f"remove it; known here are {', '.join(known)}"


def _below(models: Sequence[type[Settings]], part: str) -> Sequence[type[Settings]]:
    """The sections under a key; the same sections if the key is a tag or a name chosen by the user."""
    fields = [model.model_fields[part] for model in models if part in model.model_fields]
    return [model for field in fields for model in sections_in(field.annotation)] or models


def _kind(model: type[Settings]) -> Any:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field else None
