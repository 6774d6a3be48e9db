"""The digest of a module's code: of its syntax tree and of all that it imports, without comments and docstrings.

Code that cannot change an output is left out: settings (they are compared value by value), errors, words, progress
and the record of runs.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nephrite.errors import ConfigError, NephriteError
from nephrite.files import digest, read_record, write_json

PACKAGE = Path(__file__).resolve().parent
OUTSIDE = frozenset(
    f"nephrite.{name}"
    for name in (
        *("config", "errors", "words", "progress", "terminal"),
        *("recording", "tracking", "tracking_address", "lineage"),
    )
) | {"nephrite", "nephrite.commit", "nephrite.signatures", "nephrite.dependencies", "nephrite.code_digest"}


@cache
def code_digest(module: str) -> str:
    """Digest of a module and of all that it imports."""
    return digest({name: _source(name).digest for name in sorted(closure(module))})


def closure(module: str) -> frozenset[str]:
    """A module and all of the package that it imports, directly or not, without code that cannot change an output."""
    found, waiting = {module}, [module]
    while waiting:
        new = set(_source(waiting.pop()).imports) - found
        found |= new
        waiting.extend(new)
    return frozenset(found)


@dataclass(frozen=True)
class _Source:
    """What is kept of a module.

    Args:
        imports: modules of the package that it imports when it runs, at its top or in a function.
        digest: of its syntax tree, without comments and docstrings.
    """

    imports: list[str]
    digest: str


@dataclass(frozen=True)
class _Kept:
    """What is kept of all modules, and a digest of the bytes from which it follows."""

    state: str
    modules: dict[str, _Source]


def _source(module: str) -> _Source:
    return _sources()[module] if _file(module) else _parsed(_file_outside(module).read_text(encoding="utf-8"))


@cache
def _sources() -> dict[str, _Source]:
    """Every module of the package.

    Parsing them takes half a second at the start of every stage, so the answers are kept beside Python's own bytecode
    and hold as long as no byte of a module has changed.
    """
    # see whether what is kept is of this code
    texts = {_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    state = digest({name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()})
    kept = PACKAGE / "__pycache__" / "digests.json"
    with suppress(OSError, NephriteError):
        content = read_record(kept, _Kept, "it is written again")
        if content.state == state:
            return content.modules
    # parse, and keep the answers where that is allowed
    modules = {name: _parsed(text) for name, text in texts.items()}
    with suppress(OSError, NephriteError):
        write_json(kept, asdict(_Kept(state, modules)))
    return modules


def _parsed(text: str) -> _Source:
    tree = ast.parse(text)
    return _Source(sorted(_imports(tree)), hashlib.sha256(_plain(tree).encode()).hexdigest())


def _name(path: Path) -> str:
    """A module's dotted name."""
    place = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("nephrite", *place[: -1 if path.stem == "__init__" else None]))


def _imports(tree: ast.Module) -> frozenset[str]:
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inside if _file(name)} or {node.module}
    return frozenset(name for name in names if name.startswith("nephrite.") and _file(name) and not _is_outside(name))


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """All statements but those that only a type checker sees."""
    waiting = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.stmt):
                yield node
            # no import stands inside an expression
            if not isinstance(node, ast.expr):
                waiting.append(node)


def _is_outside(module: str) -> bool:
    return module in OUTSIDE or any(module.startswith(f"{name}.") for name in OUTSIDE - {"nephrite"})


@cache
def _file(module: str) -> Path | None:
    package, *names = module.split(".")
    if package != "nephrite":
        return None
    base = PACKAGE.joinpath(*names)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _file_outside(module: str) -> Path:
    """The file of a kind that a registry names and that is not of the package."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ConfigError(
            module, "is no module whose code can be read", "name a Python module in the registry of kinds"
        )
    return Path(spec.origin)


def _plain(node: Any) -> str:
    """A syntax tree as text: without docstrings, places, and fields that are empty, which differ between Pythons."""
    if isinstance(node, list):
        return f"[{','.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
        node, clean=False
    ):
        parts["body"] = node.body[1:]
    shown = (f"{name}={_plain(value)}" for name, value in parts.items() if value not in (None, []))
    return f"{type(node).__name__}({','.join(shown)})"
