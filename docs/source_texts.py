"""What texts the source can make, as write_errors.py asks: followed through names, branches and constants."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"nephrite": ROOT / "src" / "nephrite", "nephrite_kubeflow": ROOT / "pipelines"}
MOST, DEEPEST, FEWEST_LETTERS = 24, 6, 4
Choice = tuple[str, int]  # a branch in the source: its condition, and the side that is taken
Text = tuple[str, frozenset[Choice]]
STRAIGHT: frozenset[Choice] = frozenset()


class Here(NamedTuple):
    """An expression, or several as one, where it stands in a module; None for what only the caller knows."""

    module: Module
    node: ast.AST


class Module:
    """The syntax tree of a file, with what is needed to follow a name in it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.tree = name, ast.parse(path.read_text(encoding="utf-8"))
        self.nodes = [*ast.walk(self.tree)]
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Names that are given a value once and for all."""
        nodes = [node for node in self.tree.body if isinstance(node, ast.Assign)]
        return {name: value for node in nodes for name, value in assigned_in(node) if value is not None}

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Functions and methods, inner ones too."""
        return {node.name: node for node in self.nodes if isinstance(node, ast.FunctionDef)}

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Name here to module and name there."""
        nodes = [node for node in self.nodes if isinstance(node, ast.ImportFrom) and node.module]
        return {each.asname or each.name: (node.module or "", each.name) for node in nodes for each in node.names}

    def function_about(self, node: ast.AST) -> ast.FunctionDef | None:
        """The function that a node stands in."""
        while (parent := self.parents.get(node)) is not None:
            if isinstance(parent, ast.FunctionDef):
                return parent
            node = parent
        return None


@cache
def modules() -> dict[str, Module]:
    """All modules, by their names."""
    found = {}
    for package, root in PACKAGES.items():
        for path in sorted(root.rglob("*.py")):
            parts = [package, *path.relative_to(root).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = path
    return {name: Module(name, path) for name, path in found.items()}


# --- following a name -------------------------------------------------------------------------------------------


def assigned_in(node: ast.Assign) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that an assignment gives values to, and the values as far as they are written there."""
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id, node.value
        if isinstance(target, ast.Tuple):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [None] * len(target.elts)
            for name, value in zip(target.elts, values, strict=False):
                if isinstance(name, ast.Name):
                    yield name.id, value


def _assigned(name: str, node: ast.stmt) -> Iterator[tuple[ast.expr | None, frozenset[Choice]]]:
    """Values that a statement may leave in a name, each with the branches in which it does."""
    if isinstance(node, ast.Assign):
        yield from ((value, STRAIGHT) for known, value in assigned_in(node) if known == name)
    elif isinstance(node, ast.For) and name in (names := _targets_in_order(node)) and isinstance(node.iter, ast.Tuple):
        rows = [row.elts for row in node.iter.elts if isinstance(row, ast.Tuple)]
        yield from ((row[names.index(name)], STRAIGHT) for row in rows)
    elif isinstance(node, ast.For | ast.With) and name in _targets(node):
        yield None, STRAIGHT
    elif isinstance(node, ast.If):
        for side, block in enumerate((node.body, node.orelse)):
            for value, choices in itertools.chain.from_iterable(_assigned(name, each) for each in block):
                yield value, choices | {(ast.unparse(node.test), side)}
    else:
        inner = [each for field in ("body", "handlers", "finalbody", "orelse") for each in getattr(node, field, [])]
        for each in inner if not isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
            yield from _assigned(name, each)


def _targets(node: ast.AST) -> set[str]:
    """Names that a loop, a comprehension or a 'with' binds."""
    parts = [getattr(node, "target", None), *(each.optional_vars for each in getattr(node, "items", []) or [])]
    parts += [each.target for each in getattr(node, "generators", [])]
    return {leaf.id for part in parts if part is not None for leaf in ast.walk(part) if isinstance(leaf, ast.Name)}


def _targets_in_order(node: ast.For) -> list[str]:
    parts = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
    return [getattr(part, "id", "") for part in parts]


def reaching(name: str, here: Here) -> list[tuple[ast.expr | None, frozenset[Choice]]] | None:
    """What a name may hold at a place: expressions, or None for what is only known when it runs; no list at all for
    a name that no function binds."""
    found: list[tuple[ast.expr | None, frozenset[Choice]]] = []
    node = here.node
    while (parent := here.module.parents.get(node)) is not None:
        if name in _targets(parent) and not isinstance(parent, ast.With):
            return [*found, *(_assigned(name, parent) if isinstance(parent, ast.For) else [(None, STRAIGHT)])]
        for field in ("body", "orelse", "handlers", "finalbody"):
            block = getattr(parent, field, None)
            if isinstance(block, list) and node in block and not isinstance(parent, ast.Module):
                for statement in reversed(block[: block.index(node)]):
                    before = [*_assigned(name, statement)]
                    found += before
                    sides = {side for _, choices in before for _, side in choices}
                    whole = isinstance(statement, ast.If) and sides == {0, 1}
                    if before and (isinstance(statement, ast.Assign | ast.For | ast.With) or whole):
                        return found
        if isinstance(parent, ast.FunctionDef) and name in parameters_of(parent):
            return [*found, (None, STRAIGHT)]
        node = parent
    return found or None


def parameters_of(function: ast.FunctionDef) -> list[str]:
    """Names of a function's parameters."""
    arguments = function.args
    return [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def function_of(here: Here, call: ast.Call) -> Here | None:
    """The function of ours that a call calls."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    own = not isinstance(call.func, ast.Attribute) or getattr(call.func.value, "id", "") in ("self", "cls")
    if own and name in here.module.functions:
        return Here(here.module, here.module.functions[name])
    place, known = here.module.imports.get(name, ("", ""))
    there = modules().get(place)
    return Here(there, there.functions[known]) if there and known in there.functions else None


# --- texts --------------------------------------------------------------------------------------------------------


def texts(here: Here, depth: int = 0) -> list[Text]:  # noqa: PLR0911 - one for each kind of expression
    """What an expression may say."""
    module, node = here

    def each(*parts: ast.expr) -> list[list[Text]]:
        return [texts(Here(module, part), depth) for part in parts]

    if isinstance(node, ast.Constant):
        return [(str(node.value), STRAIGHT)]
    if isinstance(node, ast.JoinedStr):
        return joined(each(*node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div) and not _is_number(node.right):
        left, right = each(node.left, node.right)
        return joined([left, [("/" if isinstance(node.op, ast.Div) else "", STRAIGHT)], right])
    if isinstance(node, ast.IfExp):
        test, sides = ast.unparse(node.test), enumerate(each(node.body, node.orelse))
        return [(text, told | {(test, side)}) for side, found in sides for text, told in found]
    if isinstance(node, ast.FormattedValue):
        return texts(Here(module, node.value), depth)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        found = [said for side in each(*node.values) for said in side if said[0] != str(None)]
        if any(says_something(text) for text, _ in found):
            return found
    unknown = [(f"<{hole(node)}>", STRAIGHT)]
    if depth < DEEPEST:
        known = [(texts(inner, depth + 1) if inner else unknown, choices) for inner, choices in _behind(here)]
        found = [(text, told | choices) for inner, choices in known for text, told in inner]
        if any(says_something(text) for text, _ in found):
            return found
    return unknown


def _behind(here: Here) -> Iterator[tuple[Here | None, frozenset[Choice]]]:
    """The expressions that a name or a call of ours stands for; None for what is only known when it happens."""
    node, module = here.node, here.module
    if isinstance(node, ast.Name):
        bound = reaching(node.id, here)
        if bound is not None:
            yield from ((Here(module, value) if value else None, choices) for value, choices in bound)
            return
        place, name = module.imports.get(node.id, (module.name, node.id))
        there = modules().get(place)
        if there and name in there.constants:
            yield Here(there, there.constants[name]), STRAIGHT
    function = function_of(here, node) if isinstance(node, ast.Call) else None
    if isinstance(node, ast.Attribute) and node.attr == "remedy":  # a record says what to do about its own file
        function = next((Here(m, m.functions["remedy"]) for m in modules().values() if "remedy" in m.functions), None)
    if function:
        yield from ((Here(function.module, value), STRAIGHT) for value in returned(function.node))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


@cache
def returned(function: ast.AST) -> list[ast.expr]:
    """What a function returns, wherever it does."""
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]


def joined(parts: Sequence[Sequence[Text]]) -> list[Text]:
    """All texts that parts make together, those left out that would need two sides of one branch."""
    found: list[Text] = [("", STRAIGHT)]
    for part in parts:
        pairs = itertools.product(found, part)
        found = [(text + more, one | two) for (text, one), (more, two) in pairs if _agree(one | two)][:MOST]
    return found


def _agree(choices: frozenset[Choice]) -> bool:
    return len({test for test, _ in choices}) == len(choices)


def says_something(text: str) -> bool:
    """Whether a text has letters of its own, outside of angle brackets."""
    depth = letters = 0
    for sign in text:
        depth += (sign == "<") - (sign == ">")
        letters += sign.isalpha() and depth == 0
    return letters >= FEWEST_LETTERS


def hole(node: ast.AST) -> str:
    """A name for what is only known when it happens."""
    name: object = getattr(node, "id", None) or getattr(node, "value", None)  # of a name, or a constant
    if isinstance(node, ast.Call):
        name = _hole_of_call(node)
    elif isinstance(node, ast.Attribute):
        whole = node.attr not in PARTS or hole(node.value) == "self"
        name = "kind of error" if node.attr == "__name__" else node.attr if whole else hole(node.value)
    elif isinstance(node, ast.Subscript | ast.Starred | ast.FormattedValue):
        name = hole(node.value)
    elif isinstance(node, ast.BoolOp | ast.BinOp):
        name = hole(node.values[0] if isinstance(node, ast.BoolOp) else node.left)
    elif isinstance(node, ast.GeneratorExp | ast.ListComp):
        name = hole(node.generators[0].iter)
    return name.strip("_").lower().replace("_", " ") if isinstance(name, str) else "value"


def _hole_of_call(node: ast.Call) -> str:
    name: str = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
    if name == "counted" and isinstance(node.args[1], ast.Constant):
        return f"number of {node.args[1].value}s"
    if name in COUNTS:
        return "number"
    if name in SAME and node.args:  # of 'get' the key says what it is
        return hole(node.args[0])
    return hole(node.func.value) if isinstance(node.func, ast.Attribute) and name in ASKED else name


PARTS = ("name", "stem", "root", "args", "value", "text", "id")  # of what they are parts of, the name says more
COUNTS = ("len", "sum", "count_nonzero", "counted")
ASKED = ("relative_to", "lower", "total", "items", "keys", "values")
SAME = {  # functions after which a value is still itself
    *("str", "repr", "list", "tuple", "sorted", "set", "min", "max", "next", "type", "dict", "round", "abs", "float"),
    *("int", "join", "shown", "hide_keys", "map", "fspath", "get"),
}
