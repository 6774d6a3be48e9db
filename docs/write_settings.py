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

Written by `make docs` from `src/nephrite/config/`; do not edit by hand. A params file holds what differs from the last
column; what is **required** has no default, in a section or entry that is there. `nephrite settings --params FILE`
prints the whole that a file stands for, with the meaning of every value and a mark on those that the file gives. An
unknown key, a wrong type or an impossible combination stops every stage before it starts. All errors are told at once,
one line each; whether sections agree is looked at when each is right in itself. `NAME` stands for a name of your own.

Files are YAML 1.2, as DVC reads them. What YAML 1.1 would read differently is refused with its line: `010`, `1_000`,
`1:30`, `yes` and `off` without quotes, and a key that stands twice.

`--set KEY=VALUE` overrides any key, for every command. `dvc exp run -S KEY=VALUE` changes `params.yaml` itself, and
takes only keys that stand there; `-S ++KEY=VALUE` takes every key, e.g. `dvc exp run -S ++screen.memorization=report`.
Two things to know of `-S`: a label value under `prepare.classes` is given with all of its map
(`-S '++prepare.classes={1: liver, 2: tumor}'`), since DVC takes a number in a key for text; and an entry of a map that
the file does not give stands alone, so give all of `synthesize.edits.sizes`.
"""


CALLERS = ("arm", "painter")  # no settings of a file: what a stage is called for


def settings_page() -> str:
    """The whole page as Markdown."""
    return HEAD + "".join(_section(name, field) for name, field in Config.model_fields.items() if name not in CALLERS)


def _section(name: str, field: FieldInfo) -> str:
    (model,), own = _models(field.annotation)
    rows = "".join(f"| {' | '.join(row)} |\n" for row in _rows(model, f"{name}.NAME" if own else name))
    return f"\n## {name}\n\n{model.__doc__}\n\n| key | value | meaning | default |\n|---|---|---|---|\n{rows}"


def _rows(model: type[Settings], path: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        key = f"{path}.{name}"
        variants, own = _models(field.annotation)
        if own or not variants:
            yield (
                f"`{key}`",
                "map of NAME to section" if variants else _type(field),
                field.description or "",
                _default(field),
            )
        for variant in variants:
            yield from _rows(variant, f"{key}.NAME" if own else key)


def _default(field: FieldInfo) -> str:
    """As it would stand in a params file."""
    if field.is_required():
        return "**required**"
    if field.default_factory_takes_validated_data:
        return "one per class"
    default = field.get_default(call_default_factory=True)
    plain = [*default] if isinstance(default, tuple) else default
    return f"`{yaml.safe_dump(plain, default_flow_style=True, width=1000, sort_keys=False).splitlines()[0]}`"


def _models(kind: Any) -> tuple[list[type[Settings]], bool]:
    """Sections that a field may hold, and whether they stand under names of the user's own."""
    return sections_in(kind), typing.get_origin(kind) is dict


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
