"""Write docs/errors.md, all errors that are raised on purpose with their remedies, from the source: `make docs`.

Nothing is imported for it. Calls of the error classes are found in the syntax trees, and their texts are followed
through names, branches, constants and the callers of a function. What is known only when it happens stands as a name
in angle brackets.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from source_texts import (
    DEEPEST,
    STRAIGHT,
    Here,
    Module,
    Text,
    assigned_in,
    function_of,
    joined,
    modules,
    parameters_of,
    reaching,
    returned,
    says_something,
    texts,
)

PAGE = Path(__file__).resolve().parent / "errors.md"
BASE, OF_SETTINGS = "NephriteError", "nephrite.config"
SPLIT = "\0"
AREAS = {  # title of a section: what its modules begin with
    "Settings": ("config", "dependencies", "resolved", "init_command", "survey"),
    "Before a trial begins": ("preflight", "planning", "outlook", "costs", "pilots", "forecast", "trial_command"),
    "Scans and label maps": ("imaging", "stages.acquire", "stages.prepare", "inspect_command", "phantom"),
    "Patients, splits and slices": ("store",),
    "Privacy": ("privacy", "redaction"),
    "Generators": ("generation", "synthesis", "stages.train_gan", "stages.synthesize"),
    "Screening": ("screening", "stages.screen"),
    "Segmenters and training": ("segmentation", "training", "models", "augment", "stages.train_segmenter"),
    "Programs of your own": ("programs",),
    "Scores, verdict and report": (
        *("metrics", "verdict", "report", "look_ledger", "mlflow_looks"),
        *("stages.evaluate", "stages.report"),
    ),
    "Judging what was trained elsewhere": ("judging", "judge_command"),
    "Reader studies": ("reader_study", "reader_study_command"),
    "New scans": ("predicting", "predict_command", "stages.predict"),
    "Models and promotion": ("registry", "registration", "model_version", "mlflow_models", "stages.promote"),
    "Runs in MLflow": (
        *("tracking", "tracking_address", "mlflow_client", "mlflow_run", "mlflow_arms", "spool", "local_record"),
        *("run_artifacts", "ui_command", "record_fields"),
    ),
    "Data versions": ("versions", "object_store", "stages.publish"),
    "Outputs, locks and evidence": ("files", "ownership", "locks", "evidence", "verification", "code_digest"),
    "Running a trial": ("jobs", "runner", "execution", "workers", "warm", "errors", "processes", "lineage", "commit"),
    "On Kubeflow": ("nephrite_kubeflow",),
}


class Message(NamedTuple):
    """An error as it is shown; words that are known only when it happens are in angle brackets."""

    module: str
    error: str
    place: str
    finding: str
    remedy: str


@cache
def error_classes() -> frozenset[str]:
    """Names of all errors that are raised on purpose."""
    nodes = [node for module in modules().values() for node in module.nodes if isinstance(node, ast.ClassDef)]
    known = {BASE}
    for _ in range(DEEPEST):
        known |= {node.name for node in nodes if {ast.unparse(base) for base in node.bases} & known}
    return frozenset(known)


def messages() -> list[Message]:
    """Every error that is raised on purpose, in the order of the modules."""
    found = [message for here, error in sites() for message in at_site(here, error)]
    found += [message for module in modules().values() for message in _of_settings(module)]
    return list(dict.fromkeys(found))


def sites() -> Iterator[tuple[Here, str]]:
    """Where an error is made, and its class."""
    for module in modules().values():
        for node in module.nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in error_classes():
                yield Here(module, node), node.func.id
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "__init__":
                name = _class_about(module, node)
                yield from [(Here(module, node), name)] if name in error_classes() else []


def _class_about(module: Module, node: ast.AST) -> str:
    while (parent := module.parents.get(node)) is not None:
        if isinstance(parent, ast.ClassDef):
            return parent.name
        node = parent
    return ""


def at_site(here: Here, error: str) -> Iterator[Message]:
    """The messages of one place, by all that its callers may say."""
    for words in _words(here):
        for place, finding, remedy in _by_callers(words):
            split: list[Text] = [(SPLIT, STRAIGHT)]
            for line, _ in joined([texts(place), split, texts(finding), split, texts(remedy)]):
                where, what, advice = (" ".join(part.split()) for part in line.split(SPLIT))
                if says_something(what):
                    yield Message(here.module.name, error, where, what, advice)


def _words(here: Here) -> Iterator[tuple[Here, Here, Here]]:
    """Place, finding and remedy as an error is given them; several where they come as a tuple."""
    module, call = here
    assert isinstance(call, ast.Call)
    named = {each.arg: each.value for each in call.keywords}
    given = [*call.args, *(named[name] for name in ("place", "finding", "remedy")[len(call.args) :] if name in named)]
    first = [Here(module, part) for part in given if not isinstance(part, ast.Starred)][:3]
    if len(first) == 3:
        yield first[0], first[1], first[2]
    for part in given:
        if isinstance(part, ast.Starred):
            for rest in _tuples(Here(module, part.value), 3 - len(first)):
                found = [*first, *rest]
                yield found[0], found[1], found[2]


def _tuples(here: Here, length: int, depth: int = 0) -> Iterator[list[Here]]:
    """Tuples of a length that an expression holds, or the names and calls in it."""
    about = here.module.function_about(here.node)
    for node in ast.walk(here.node) if depth < DEEPEST else ():
        if isinstance(node, ast.Tuple) and len(node.elts) == length:
            yield [Here(here.module, part) for part in node.elts]
        elif isinstance(node, ast.Name) and about:
            for value in _all_values(node.id, about):
                yield from _tuples(Here(here.module, value), length, depth + 1)
        elif isinstance(node, ast.Call) and (function := function_of(here, node)):
            for value in returned(function.node):
                yield from _tuples(Here(function.module, value), length, depth + 1)


def _all_values(name: str, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """All that a function ever puts into a name, or adds to it."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            yield from (value for known, value in assigned_in(node) if known == name and value is not None)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and ast.unparse(node.target) == name and node.value:
            yield node.value


@cache
def _callers() -> dict[ast.AST, list[Here]]:
    """A function of ours to its calls."""
    found: dict[ast.AST, list[Here]] = {}
    for module in modules().values():
        for node in module.nodes:
            if isinstance(node, ast.Call) and (function := function_of(Here(module, node), node)):
                found.setdefault(function.node, []).append(Here(module, node))
    return found


def _by_callers(words: tuple[Here, Here, Here], depth: int = 0) -> Iterator[tuple[Here, Here, Here]]:
    """The words, or what the callers of the function say where it only hands on finding or remedy."""
    handed = [part for part in words[1:] if _is_parameter(part)]
    function = handed[0].module.function_about(handed[0].node) if handed and depth < DEEPEST else None
    for call in _callers().get(function, []) if function else []:
        given = _given(function, call)
        first, second, third = (given.get(_parameter_of(part, function), part) for part in words)
        if (second, third) != words[1:]:
            yield from _by_callers((first, second, third), depth + 1)
    if not handed or not function or not _callers().get(function):
        yield words


def _given(function: ast.FunctionDef, call: Here) -> dict[str, Here]:
    """Parameter to what a call gives for it, or its default."""
    node = call.node
    assert isinstance(node, ast.Call)
    names = [name for name in parameters_of(function) if name not in ("self", "cls")]
    module = call.module
    given = dict(zip(names, node.args, strict=False)) | {each.arg: each.value for each in node.keywords if each.arg}
    return {name: Here(module, value) for name, value in given.items() if not isinstance(value, ast.Starred)}


def _parameter_of(here: Here, function: ast.FunctionDef) -> str:
    """The parameter of a function that an expression in it is; empty if it is none."""
    inside = here.module.function_about(here.node) is function
    return here.node.id if inside and isinstance(here.node, ast.Name) and _is_parameter(here) else ""


def _is_parameter(here: Here) -> bool:
    function = here.module.function_about(here.node)
    named = isinstance(here.node, ast.Name) and function is not None and here.node.id in parameters_of(function)
    return named and reaching(here.node.id, here) == [(None, STRAIGHT)]


def _of_settings(module: Module) -> Iterator[Message]:
    """What the models of settings refuse, and what the reader of YAML does."""
    if not module.name.startswith((OF_SETTINGS, "nephrite_kubeflow.cluster")):
        return
    for node in module.nodes:
        told: list[Text] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "refuse":
            told = [text for arg in node.args for text in _listed(Here(module, arg))]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "ValueError":
            told = texts(Here(module, node.args[0]))
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and module.name == f"{OF_SETTINGS}.dialect":
            about = "" if module.function_about(node) else "'<text>' "
            for (what, _), (remedy, _) in itertools.product(*(texts(Here(module, part)) for part in node.elts[1:])):
                if says_something(what):
                    yield Message(module.name, "ConfigError", "<file>, line <line>", f"{about}{what}", remedy)
        for text, _ in told:
            if says_something(text):
                yield Message(module.name, "ConfigError", "<file>: <key>", " ".join(text.split()), "change the value")


def _listed(here: Here) -> Iterator[Text]:
    """The texts of a list, of whatever was put into it, or of what a function yields."""
    module, node = here
    if isinstance(node, ast.List | ast.Tuple):
        for part in node.elts:
            yield from _listed(Here(module, part.value)) if isinstance(part, ast.Starred) else texts(Here(module, part))
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield from texts(Here(module, node.elt))
    elif isinstance(node, ast.IfExp):
        yield from itertools.chain(_listed(Here(module, node.body)), _listed(Here(module, node.orelse)))
    elif isinstance(node, ast.Name) and (about := module.function_about(node)):
        for value in _all_values(node.id, about):
            yield from _listed(Here(module, value))
        for each in ast.walk(about):
            if isinstance(each, ast.Call) and ast.unparse(each.func) == f"{node.id}.append":
                yield from texts(Here(module, each.args[0]))
    elif isinstance(node, ast.Call) and (function := function_of(here, node)):
        for each in ast.walk(function.node):
            if isinstance(each, ast.Yield) and each.value is not None:
                yield from texts(Here(function.module, each.value))
        for value in returned(function.node):
            yield from _listed(Here(function.module, value))


# --- the page -----------------------------------------------------------------------------------------------------

HEAD = """# Errors, and what to do about them

Written by `make docs` from the source; do not edit by hand. An error raised on purpose is one line: the place, what was
found there, and the remedy. The command ends with exit code 2, and nothing half-written is left. To find a message,
search this page in the browser (Ctrl-F) for words after its colon; the site's search leads here too. What differs from
case to case stands in angle brackets, e.g. `<path>`.

{number} messages stand here. Two kinds do not: a value of the wrong type or out of its range, which is told as
`<file>: <key>: value <value>: <rule>; change the value` ([settings](settings.md) has types and ranges), and a command
or option that does not exist, which is told with the one that is most like it ([commands](reference-commands.md)). An
error with a traceback is a bug of Nephrite: please report it, without names of patients.
"""


def errors_page() -> str:
    """The whole page as Markdown: a section for each area, a heading for each message, so that the search finds it."""
    areas: dict[str, dict[tuple[str, str], list[Message]]] = {area: {} for area in AREAS}
    for message in messages():
        areas[area_of(message.module)].setdefault((message.error, message.finding), []).append(message)
    sections = "".join(_section(area, found) for area, found in areas.items())
    return HEAD.format(number=sum(map(len, areas.values()))) + sections


def area_of(module: str) -> str:
    """The section that a module's errors stand in: the longest beginning decides."""
    path = module.removeprefix("nephrite.")
    starts = [(start, area) for area, known in AREAS.items() for start in known]
    fits = [(len(start), area) for start, area in starts if f"{path}.".startswith(f"{start}.")]
    if not fits:
        raise ValueError(f"{module} raises errors, and no entry of AREAS in docs/write_errors.py names it")
    return max(fits)[1]


def _section(area: str, found: dict[tuple[str, str], list[Message]]) -> str:
    entries = (_entry(error, finding, told) for (error, finding), told in found.items())
    return f"\n## {area}\n" + "".join(entries)


def _entry(error: str, finding: str, told: Sequence[Message]) -> str:
    places = list(dict.fromkeys(message.place for message in told))
    place = places[0] if len(places) == 1 else "<place>"
    remedies = list(dict.fromkeys(message.remedy for message in told if says_something(message.remedy)))
    if not remedies:
        raise ValueError(f"{told[0].module}: no remedy was found for '{finding}'; see docs/write_errors.py")
    ticks = "``" if "`" in finding + place else "`"
    return f"\n#### {ticks}{place}: {finding}{ticks}\n\n{_advice(remedies)} (`{error}`)\n"


def _advice(remedies: Sequence[str]) -> str:
    """One sentence; where the place decides which remedy is told, a list."""
    escaped = [one.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_") for one in remedies]
    sentences = [f"{one[0].upper()}{one[1:]}{'' if one.endswith('?') else '.'}" for one in escaped]
    if len(sentences) == 1:
        return sentences[0]
    return "One of these, by the place:\n\n" + "".join(f"* {one}\n" for one in sentences) + "\n"


if __name__ == "__main__":
    PAGE.write_text(errors_page(), encoding="utf-8")
