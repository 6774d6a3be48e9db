"""All settings as YAML with comments: what each value means, and where it comes from."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nephrite.config.dialect import write_yaml
from nephrite.config.params import Config
from nephrite.config.settings import Settings

WIDTH = 120
HEAD = "# Every setting. At the end of its line stands who gave it: the file, '--set', or nobody (default)."


def explain(config: Config, content: Mapping[Any, Any], overridden: Sequence[str]) -> str:
    """Settings as a params file that gives every value.

    Args:
        config: the settings.
        content: what was given, by file and overrides.
        overridden: keys of the overrides.
    """
    return "\n".join([HEAD, *_section(config, "", content, overridden)]) + "\n"


def _section(section: Settings, path: str, given: Any, overridden: Sequence[str]) -> Iterator[str]:
    """The lines of one section, at the depth of its path."""
    callers = () if path else ("arm", "painter")  # not settings of a file: they say what a stage was called for
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name in callers and value is None:
            continue
        if not path:
            yield ""
        meaning = field.description or (inspect.getdoc(type(value)) or "" if isinstance(value, Settings) else "")
        yield from _comment(meaning.partition("\n")[0], path.count("."))
        yield from _entry(name, value, path, given, overridden)


def _entry(name: Any, value: Any, path: str, given: Any, overridden: Sequence[str]) -> Iterator[str]:
    """One key: the sections below it, or its value and where it comes from."""
    indent, key = "  " * path.count("."), write_yaml([name], flow=True).strip()[1:-1]
    inner = given.get(name) if isinstance(given, Mapping) else None
    below = f"{path}{name}."
    named = isinstance(value, dict) and any(isinstance(part, Settings) for part in value.values())
    # a section: its own line, then its entries
    if isinstance(value, Settings) or named:
        yield f"{indent}{key}:"
        if named:
            for own, part in value.items():
                yield from _entry(own, part, below, inner, overridden)
        else:
            yield from _section(value, below, inner, overridden)
    else:
        # a value: with the place that it comes from
        listed = isinstance(value, tuple) and any(isinstance(part, Settings) for part in value)
        there = isinstance(given, Mapping) and name in given
        origin = "--set" if _is_among(below, overridden) else "file" if there else "default"
        yield f"{indent}{key}: # {origin}" if listed else f"{indent}{key}: {_flow(value)} # {origin}"
        yield from (f"{indent}  - {_flow(part)}" for part in (value if listed else ()))


def _is_among(path: str, overridden: Sequence[str]) -> bool:
    """Whether an override names this key, a section above it, or an entry of it."""
    return any(path.startswith(f"{key}.") or f"{key}.".startswith(path) for key in overridden)


def _flow(value: Any) -> str:
    return write_yaml(_plain(value), flow=True).strip()


def _plain(value: Any) -> Any:
    """The value as plain YAML types."""
    if isinstance(value, Settings):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _comment(text: str, depth: int) -> list[str]:
    start = "  " * depth + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=start)
