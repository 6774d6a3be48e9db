from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nephrite.config.dialect import DEEPEST, read_yaml, write_yaml
from nephrite.errors import ConfigError

REFUSED = {
    "a: 010": "line 1: '010' is octal in YAML 1.1 and decimal in YAML 1.2; write",
    "a: 1\nb: -08": "line 2: '-08' is octal",
    "a: [0o10]": "line 1: '0o10' is a number in one version of YAML",
    "a: 0b11": "line 1: '0b11' is a number in one version",
    "a: 1_000": "line 1: '1_000' is a number in YAML 1.1 and text in YAML 1.2",
    "a: 1:30": "line 1: '1:30' is a number to base 60",
    "a: 1:30:05.5": "line 1: '1:30:05.5' is a number to base 60",
    "a: yes": "line 1: 'yes' is true or false in YAML 1.1",
    "a: {b: Off}": "line 1: 'Off' is true or false in YAML 1.1",
    "on: 3": "line 1: 'on' is true or false in YAML 1.1",
    "a: 1\nb: 2\na: 3": "line 3: 'a' stands here again, after line 1; keep one of both",
    "a:\n  x: {1: a, 1: b}": "line 2: '1' stands here again, after line 2",
    "1.5: a": "line 1: '1.5' is neither text nor a whole number, as keys are",
    "~: a": "line 1: '~' is neither text nor",
    "? [1, 2]\n: a": "line 1: a key is neither text nor",
    "a: 2024-01-01": "line 1: '2024-01-01' is read as 'timestamp', which no setting is; quote it",
    "a: !!python/object:os.system x": "line 1: 'x' is read as 'python/object:os.system', which no setting is",
    "a: !!set {b}": "line 1: this is read as 'set'",
    "a: !own 3": "line 1: '3' is read as '!own'",
    "a: =": "line 1: '=' is read as 'value'",
    "a: !!bool maybe": "line 1: is not readable YAML",
    "%YAML 1.1\n---\na: 1": "line 1: '%YAML 1.1' asks for another YAML; remove the line",
    "a: 1\n---\nb: 2": "line 2: is not readable YAML (but found another document)",
    "a: 1\n\tb: 2": r"line 2: is not readable YAML (found character '\t' that cannot start any token); indent",
    "a: *b": "line 1: is not readable YAML (found undefined alias 'b')",
    "a: &x 1\nb: &x 2": "line 2: has an anchor that stands twice; give each '&' a name of its own",
    "a: [1": "line 1: is not readable YAML",
    "a: b: c": "line 1: is not readable YAML (mapping values are not allowed here)",
    "a: \0": "line 1: is not readable YAML",
    "<<: 3": "line 1: is not readable YAML",
    "a: &a [*a]": f"line 1: is nested more than {DEEPEST} deep",
    f"a: {'[' * 30}{']' * 30}": f"line 1: is nested more than {DEEPEST} deep",
    "[" * 5000: f"line 1: is nested more than {DEEPEST} deep",
    "a: &a [x,x,x,x,x,x,x,x]\n"
    + "\n".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 8)}]" for a, b in zip("abcde", "bcdef", strict=True)
    ): "holds more than 20,000 values, by aliases of aliases",
    "x" * 300_000: "line 1: has more than 262,144 characters",
}
READ: dict[str, Any] = {
    "a: 1e3": {"a": 1000.0},
    "a: 1.5e-3": {"a": 0.0015},
    "a: 0x1F": {"a": 31},
    "a: -0.5": {"a": -0.5},
    "a: 0": {"a": 0},
    "a: .inf": {"a": math.inf},
    "a: ~\nb:": {"a": None, "b": None},
    "a: TRUE": {"a": True},
    "a: '010'\nb: \"yes\"": {"a": "010", "b": "yes"},
    "a: |\n  yes\n": {"a": "yes\n"},
    "1: kidney\n'2': x": {1: "kidney", "2": "x"},
    "\ufeffa: 1": {"a": 1},
    "a: 1\r\nb: 2\r\n": {"a": 1, "b": 2},
    "---\na: 1\n...\n": {"a": 1},
    "a: &x {p: 1}\nb: *x\nc: {<<: *x, p: 2, q: 3}": {"a": {"p": 1}, "b": {"p": 1}, "c": {"p": 2, "q": 3}},
    "- 1": [1],
    "": None,
    "# nothing": None,
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[text[:30] for text in REFUSED])
def test_what_others_read_differently_is_refused_in_one_line_that_names_the_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "p.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("p.yaml, line ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "content"), READ.items())
def test_all_else_is_read_as_dvc_reads_it(text: str, content: Any) -> None:
    assert repr(read_yaml(text, "p.yaml")) == repr(content)
    assert YAML(typ="safe").load(text) == content


def test_every_fault_is_told_in_the_order_of_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml("a: on\nb: 010\na: 1:30\n", "p.yaml")
    places = re.findall(r"^p\.yaml, line (\d)", str(caught.value), flags=re.MULTILINE)
    assert places == ["1", "2", "3", "3"]
    assert str(caught.value).endswith("4 errors in all")


def test_aliased_sections_are_not_one_object() -> None:
    content = read_yaml("a: &x {p: [1]}\nb: *x", "p.yaml")
    content["a"]["p"].append(2)
    assert content["b"] == {"p": [1]}


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=12))
def test_written_text_is_read_back_as_text(text: str) -> None:
    assert read_yaml(write_yaml({"a": text, text: "b"}), "p.yaml") == {"a": text, text: "b"}


@pytest.mark.parametrize(
    "text", ["1e3", "0o10", "010", "yes", "1:30", "1_000", "0x1F", ".5", "1.", "null", "2024-01-01", "="]
)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    assert YAML(typ="safe").load(write_yaml([text])) == [text]
    assert read_yaml(write_yaml([text], flow=True), "p.yaml") == [text]
