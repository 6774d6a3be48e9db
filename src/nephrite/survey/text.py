"""Proposed settings as a params file, a reason behind each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from nephrite.survey.proposal import Line

FLAT = 10_000  # columns: a value stays in its line


def as_text(lines: Iterable[Line]) -> str:
    """YAML, a section after the other."""
    tree: dict[str, Any] = {}
    for line in lines:
        *sections, key = line.key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = line
    return "\n".join(_lines(tree, 0)) + "\n"


def _lines(tree: dict[str, Any], depth: int) -> Iterator[str]:
    for key, content in tree.items():
        start = f"{'  ' * depth}{key}:"
        if isinstance(content, Line):
            yield f"{start} {_value(content.value)}{f' # {content.why}' if content.why else ''}"
        else:
            yield start
            yield from _lines(content, depth + 1)


def _value(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=FLAT, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()
