"""Write docs/settings.md from the settings' own types, ranges and descriptions: `make docs`."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import annotated_types
import yaml
from pydantic.fields import FieldInfo

from nephrite.config import Config, Settings, sections_in

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# Settings, field by field

Written by `make docs` from `src/nephrite/config/`; do not edit by hand. The last column is the value in
`params.yaml`, the embedded default. An unknown key, a wrong type or an impossible combination stops every stage before
it starts. `NAME` stands for a name of your own.
"""


CALLERS = ("arm", "painter")  # no settings of a file: what a stage is called for


def settings_page() -> str:
    """The whole page as Markdown."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return HEAD + "".join(
        _section(name, field, values) for name, field in Config.model_fields.items() if name not in CALLERS
    )


def _section(name: str, field: FieldInfo, values: dict[str, Any]) -> str:
    (model,), own = _models(field.annotation)
    path, content = (f"{name}.NAME", None) if own else (name, values[name])
    rows = "".join(f"| {' | '.join(row)} |\n" for row in _rows(model, path, content))
    return f"\n## {name}\n\n{model.__doc__}\n\n| key | value | meaning | default |\n|---|---|---|---|\n{rows}"


def _rows(model: type[Settings], path: str, value: Any) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        key = f"{path}.{name}"
        inner = value.get(name, _default(field)) if isinstance(value, dict) else None
        variants, own = _models(field.annotation)
        if not variants:
            shown = "-" if value is None else f"`{_shown(inner)}`"
            yield f"`{key}`", _type(field), field.description or "", shown
        for variant in variants:
            yield from _rows(variant, f"{key}.NAME" if own else key, _matching(variant, inner, own))


def _shown(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).splitlines()[0]


def _default(field: FieldInfo) -> Any:
    """As it would stand in a params file."""
    if field.is_required():
        return None
    default = field.get_default(call_default_factory=True, validated_data={})
    return default.model_dump(mode="json") if isinstance(default, Settings) else default


def _models(kind: Any) -> tuple[list[type[Settings]], bool]:
    """Sections that a field may hold, and whether they stand under names of the user's own."""
    return sections_in(kind), typing.get_origin(kind) is dict


def _matching(variant: type[Settings], value: Any, own: bool) -> Any:
    """The default of this variant; None where the params file has another, or names of its own."""
    if own or not isinstance(value, dict):
        return None
    if "kind" in variant.model_fields and value["kind"] not in _type(variant.model_fields["kind"]):
        return None
    return value


def _type(field: FieldInfo) -> str:
    limits = [_limit(part) for part in field.metadata]
    return ", ".join([_name(field.annotation), *filter(None, limits)]).replace("|", "or")


def _name(kind: Any) -> str:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return ", ".join([_name(parts[0]), *filter(None, map(_limit, getattr(parts[1], "metadata", parts[1:])))])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(part) for part in parts)
    if origin is tuple:
        return (
            f"list of ({_name(parts[0])})" if typing.get_origin(parts[0]) is Annotated else f"list of {_name(parts[0])}"
        )
    if origin is dict:
        return f"map of {_name(parts[0])} to {_name(parts[1])}"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", type(None): "null"}
    return "anything" if kind is Any else names[kind]


def _limit(part: Any) -> str:
    signs = {annotated_types.Ge: ">= ", annotated_types.Gt: "> ", annotated_types.Le: "<= ", annotated_types.Lt: "< "}
    sign = signs.get(type(part))
    return f"{sign}{getattr(part, type(part).__name__.lower())}" if sign else ""


if __name__ == "__main__":
    (ROOT / "docs" / "settings.md").write_text(settings_page(), encoding="utf-8")
