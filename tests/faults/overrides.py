"""Strange settings are refused in one line each, or taken; what is refused is refused before anything is written."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from nephrite.config import load_config
from nephrite.errors import ConfigError
from tests.conftest import SMALL
from tests.faults.harness import CAPSTONE, Outcome

VALUES = (
    *("null", "true", "-1", "0", "1e309", ".nan", ".inf", "''", "'../x'", "[]", "{}", "[1, [2]]", "{a: {b: 1}}", "x"),
    *("*a", "!!python/object:os.system x", "2020-01-01", "0x10", "1_000", "'a\\nb'", "'patient'", "'a/b'", "9" * 21),
    *("'" + "y" * 5000 + "'", "- 1", "{", "\u00e4", "'\\0'", "<<", "~"),
)


def bad_settings(count: int, work: Path) -> Iterator[Outcome]:
    """Give random settings strange values, as `--set` and within a file."""
    source = random.Random("settings")
    content = load_config(CAPSTONE, SMALL).model_dump(mode="json")
    keys = sorted(_keys(content))
    for number in range(count):
        key, value = source.choice(keys), source.choice(VALUES)
        if source.random() < 0.1:
            key += source.choice([".x", ".", ".0", "..", "[0]"])
        fault = ""
        try:
            if number % 2:
                path = work / "params.yaml"
                path.write_text(_text(content, key, value), encoding="utf-8")
                load_config(path)
            else:
                load_config(CAPSTONE, [*SMALL, f"{key}={value}"])
        except ConfigError as error:
            fault = "" if all(line.strip() for line in str(error).splitlines()) else f"empty lines: {error!r}"
        except Exception as error:
            fault = f"traceback: {type(error).__name__}: {str(error)[:200]}"
        yield Outcome("settings", f"{key}={value[:40]}", fault)


def _keys(content: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{before}{key}.")


def _text(content: Mapping[str, Any], key: str, value: str) -> str:
    """The settings as YAML with one strange value, however it is spelled."""
    first, _, rest = key.partition(".")
    lines = []
    for name, part in content.items():
        shown = yaml.safe_dump({name: part}, sort_keys=False)
        if name != first:
            lines.append(shown)
        elif not rest or not isinstance(part, Mapping):
            lines.append(f"{name}: {value}\n")
        else:
            lines.append(f"{name}:\n" + "".join(f"  {line}\n" for line in _text(part, rest, value).splitlines()))
    return "".join(lines)
