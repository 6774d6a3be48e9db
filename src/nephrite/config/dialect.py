"""YAML as DVC reads it: version 1.2 only, without anything that another reader would read differently.

DVC reads params.yaml with ruamel.yaml, and so does this module. Text that YAML 1.1 and 1.2 read differently ('010',
'yes', '1:30', '1_000') is refused, as are keys that stand twice, tags, dates, and files beyond the bounds below.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from nephrite.errors import ConfigError

LARGEST = 2**18  # bytes; the longest params file of the project has 6,000
DEEPEST = 16  # sections within sections; the settings need 6
MOST = 20_000  # values, those that aliases stand for included; the settings have some 200
TAG = "tag:yaml.org,2002:"
PLAIN = {f"{TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")}
TWO_WAYS = (  # pattern of unquoted text; how it is read; what to write
    (
        r"[-+]?0[0-9_]+",
        "is octal in YAML 1.1 and decimal in YAML 1.2",
        "write it without the leading zero, or quote it",
    ),
    (r"0[ob][0-7_]+", "is a number in one version of YAML and text in the other", "write it in decimal, or quote it"),
    (
        r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?",
        "is a number in YAML 1.1 and text in YAML 1.2",
        "write it without '_', or quote it",
    ),
    (
        r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?",
        "is a number to base 60 in YAML 1.1 and text in YAML 1.2",
        "write the number, or quote it",
    ),
    (
        r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF",
        "is true or false in YAML 1.1 and text in YAML 1.2",
        "write true or false, or quote it",
    ),
)
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0x[0-9a-fA-F]+")  # in YAML 1.2
Finding = tuple[int, str, str]  # line, what is wrong, remedy


def read_yaml(text: str, place: object, *, lines: bool = True) -> Any:
    """Read YAML; sections that stand under several names by aliases become sections of their own.

    Args:
        text: the YAML; an empty one is None.
        place: what messages begin with.
        lines: whether they name the line.

    Raises:
        ConfigError: it is no YAML, is read differently by others, or is beyond the bounds; names every such line.
    """

    def refused(findings: list[Finding]) -> ConfigError:
        named = [(f"{place}, line {line}" if lines else str(place), what, remedy) for line, what, remedy in findings]
        return ConfigError.of([ConfigError(*words) for words in named])

    # bounds first: no parser sees a text that is too long
    if len(text) > LARGEST:
        raise refused([(1, f"has more than {LARGEST:,} characters", "no params file needs so many: name another one")])
    if found := [*_directives(text)]:
        raise refused(found)
    # nodes are checked before values are made of them
    try:
        constructor, _ = YAML(typ="safe", pure=True).get_constructor_parser(text)
        with warnings.catch_warnings(action="error", category=ReusedAnchorWarning):
            node = constructor.composer.get_single_node()
        if found := sorted({*_findings(node)} if node else ()):
            raise refused(found)
        return _unshared(constructor.construct_document(node)) if node else None
    except RecursionError:
        raise refused([(1, f"is nested more than {DEEPEST} deep", "mend the file")]) from None
    except ReusedAnchorWarning as warning:
        line = int(re.findall(r"\(line: (\d+)\)", str(warning))[-1])  # it has no attribute for it
        raise refused([(line, "has an anchor that stands twice", "give each '&' a name of its own")]) from None
    except (YAMLError, ValueError, KeyError, TypeError) as error:
        raise refused([_syntax(error)]) from None


def write_yaml(content: Any, *, flow: bool = False) -> str:
    """Write plain values so that every version of YAML reads them back alike.

    Args:
        content: sections, lists, numbers and text.
        flow: on one line, with braces and brackets.
    """
    width = 1_000_000 if flow else 120
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=width, default_flow_style=flow)
    return text.removesuffix("...\n")


class _Dumper(yaml.SafeDumper):
    """PyYAML's, which quotes what YAML 1.1 would not read as text; here also what 1.2 would not."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        quoted = NUMBER.fullmatch(data) or _two_ways(data)
        return self.represent_scalar(f"{TAG}str", data, style="'" if quoted else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _two_ways(text: str) -> tuple[str, str] | None:
    """How text without quotes is read in two ways, and what to write; None for all other text."""
    return next(((how, write) for pattern, how, write in TWO_WAYS if re.fullmatch(pattern, text)), None)


def _directives(text: str) -> Iterator[Finding]:
    for line, content in enumerate(text.splitlines(), 1):
        if content.startswith("%"):
            yield line, f"{content!r} asks for another YAML", "remove the line"


def _syntax(error: Exception) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or error
    remedy = "indent by spaces" if r"'\t'" in str(problem) else "mend it, or quote it"
    return (mark.line + 1 if mark else 1), f"is not readable YAML ({problem})", remedy


def _findings(root: Node) -> Iterator[Finding]:
    """All that is wrong with a document that can be parsed; stops at the bounds."""
    waiting, visited = [(root, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        visited += 1
        line = node.start_mark.line + 1
        # bounds of depth and number
        if depth > DEEPEST:
            yield line, f"is nested more than {DEEPEST} deep", "write fewer levels, and no alias inside of itself"
            return
        if visited > MOST:
            yield line, f"holds more than {MOST:,} values, by aliases of aliases", "write the values out"
            return
        # scalars that YAML 1.1 and 1.2 read differently, and unknown tags
        if node.tag not in PLAIN:
            name = str(node.tag).removeprefix(TAG)
            what = (
                f"{node.value!r} is read as '{name}'" if isinstance(node, ScalarNode) else f"this is read as '{name}'"
            )
            yield line, f"{what}, which no setting is", "quote it, or remove the tag"
        elif isinstance(node, ScalarNode) and not node.style and (words := _two_ways(node.value)):
            yield line, f"'{node.value}' {words[0]}", words[1]
        # then what lies inside
        if isinstance(node, MappingNode):
            yield from _keys(node)
            waiting += [(part, depth + 1) for pair in node.value for part in pair]
        if isinstance(node, SequenceNode):
            waiting += [(part, depth + 1) for part in node.value]


def _keys(section: MappingNode) -> Iterator[Finding]:
    """Keys that stand twice, or are neither text nor a whole number."""
    first: dict[str, int] = {}
    for key, _ in section.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode) or key.tag not in {f"{TAG}{name}" for name in ("str", "int", "merge")}:
            shown = f"'{key.value}'" if isinstance(key, ScalarNode) else "a key"
            yield line, f"{shown} is neither text nor a whole number, as keys are", "quote it"
        elif key.value in first:
            yield line, f"'{key.value}' stands here again, after line {first[key.value]}", "keep one of both"
        else:
            first[key.value] = line


def _unshared(value: Any) -> Any:
    """A copy in which nothing is one object under two names, so that an override changes one place alone."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value
