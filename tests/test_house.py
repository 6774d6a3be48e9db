"""The rules of the house, read off the source: names, sizes, imports, tests that mirror the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "nephrite"
FILES = sorted(PACKAGE.rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc"}
LONGEST_FUNCTION, LONGEST_FILE = 60, 300
FRONTS = {"config"}  # packages whose __init__ hands out what they hold: callers need not know in which part it stands
TESTED_BY = {  # parts of one picture, which only show when it is drawn
    f"phantom/{part}.py": "phantom/test_phantom.py" for part in ("anatomy", "canvas", "kidneys", "skeleton")
}
WITHOUT_MIRROR = {
    "test_house.py",
    "test_faces.py",
    "test_dvc.py",
    "test_docs.py",
    "test_packaging.py",
    "test_damaged_records.py",  # every field of every record
    "test_privacy.py",
    "test_serve.py",  # `make serve` and its client
    "trial/test_judge.py",  # the judge as a whole: false alarms, power, coverage
    "trial/test_curves.py",  # the same for measures of sets: their coverage
    "trial/test_worth.py",  # the same for the worth in real patients
    "trial/test_elsewhere.py",  # a trial to another hospital, through all stages
    "trial/test_planted.py",  # the judge with real trainings: planted harm, planted leaks
    "training/test_golden.py",  # a fixed seed, three steps, losses stored
    "generation/test_golden.py",  # the same for every kind of generator: weights and painted slices
}
OUTSIDE = {
    "components",
    "pipelines",
    "containers",
    "k8s",
    "faults",
    "browser",
    "docs",
}  # folders of tests of what is not in the package
HEAVY = {"torch", "lightning", "mlflow", "numpy", "scipy", "matplotlib", "nibabel", "pydicom", "pandas", "timm", "kfp"}
UK_SPELLING = re.compile(  # stems, with the endings that tell them from US words ('optimistic')
    r"\w*(?:(?:initial|random|normal|organ|recogn|summar|minim|optim|visual|standard|regular|general|quant|serial|util)"
    r"is(?:e|ed|es|er|ers|ing|ation|ations)(?![a-z])"
    r"|labell|cancell|modell|neighbour|colour|favour|behaviour|judgement|(?:milli|centi|kilo)?met(?:re|res)(?![a-z])|millilitre|centre|artefact)\w*",
    re.IGNORECASE,
)
NAMES_OF_OTHERS = {  # names in libraries and older data that spell as the UK does
    "unlabelled",  # a folder in raw data of earlier versions
    "create_table_neighbour_code_to_surface_area",  # surface_distance
    "ENCODE_NEIGHBOURHOOD_3D_KERNEL",  # surface_distance
}
TEXTS = {".py", ".yaml", ".json"}  # that people read and write
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) and function.body[1:] else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports anywhere."""
    nodes = list(ast.walk(tree(path)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls in a file, each with the name as it is written, e.g. 'torch.load'."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@every_file
def test_module_name_says_what_it_holds(path: Path) -> None:
    assert not {path.stem, path.parent.name} & VAGUE


@every_file
def test_file_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines"


@every_file
def test_functions_are_short(path: Path) -> None:
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {f.name: body_length(f) for f in functions if body_length(f) > LONGEST_FUNCTION}


@every_file
def test_package_neither_prints_nor_pickles_nor_knows_kubeflow(path: Path) -> None:
    assert not {name for name, _ in calls(path)} & {"print", "eval", "exec"}
    assert not imported(path) & {"kfp", "pickle", "cloudpickle", "joblib", "dill"}


@every_file
def test_weights_are_never_unpickled(path: Path) -> None:
    loads = [node for name, node in calls(path) if name == "torch.load"]
    safe = [any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords) for node in loads]
    assert all(safe)


@every_file
def test_file_has_a_mirror_among_the_tests(path: Path) -> None:
    place = path.relative_to(PACKAGE)
    mirror = ROOT / "tests" / TESTED_BY.get(str(place), str(place.with_name(f"test_{place.name}")))
    assert path.name == "__init__.py" or mirror.is_file(), f"no {mirror.relative_to(ROOT)}"


def test_test_files_mirror_a_file_or_hold_a_rule_of_the_house() -> None:
    known = {path.relative_to(PACKAGE).with_name(f"test_{path.name}") for path in FILES}
    found = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    found = {path for path in found if path.parts[0] not in OUTSIDE}
    assert {str(path) for path in found - known} <= WITHOUT_MIRROR


@every_file
def test_package_files_hold_no_work_at_import(path: Path) -> None:
    nodes = tree(path).body
    assert not [ast.unparse(n) for n in nodes if isinstance(n, ast.For | ast.While | ast.With)], "work at import"
    if path.name == "__init__.py" and path.parent != PACKAGE:
        own = [n for n in nodes[1:] if not isinstance(n, ast.ImportFrom) and not ast.unparse(n).startswith("__all__ =")]
        assert not own, "a package's __init__ holds nothing of its own"
        assert len(nodes) == 1 or path.parent.name in FRONTS, "a package's __init__ holds its docstring only"


@pytest.mark.parametrize("folder", ["src", "pipelines", "components"])
def test_spelling_is_that_of_the_us(folder: str) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.*") if path.suffix in TEXTS}
    found = {
        path: {hit.group() for hit in UK_SPELLING.finditer(text)} - NAMES_OF_OTHERS for path, text in texts.items()
    }
    assert texts
    assert not {str(path.relative_to(ROOT)): words for path, words in found.items() if words}


@pytest.mark.parametrize(
    "word", ["Initialised", "re-normalisation", "neighbours", "_colour", "millimetres", "centred", "UNLABELLED"]
)
def test_spelling_of_the_uk_is_seen(word: str) -> None:
    assert UK_SPELLING.search(word)


@pytest.mark.parametrize(
    "word", ["optimistic", "organism", "parameter", "symmetries", "center", "minimize", "random is"]
)
def test_spelling_of_the_us_passes(word: str) -> None:
    assert not UK_SPELLING.search(word)


def modules_after(script: str) -> set[str]:
    """Top-level modules that a process has imported at the end of a script."""
    told = "import atexit, sys; atexit.register(lambda: print('', *{name.split('.')[0] for name in sys.modules}))\n"
    done = subprocess.run([sys.executable, "-c", told + script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--help"], ["train-gan", "--help"], ["plan", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = f"import sys; sys.argv[1:] = {words}; from nephrite.cli import main; main()"
    assert not modules_after(script) & HEAVY


@pytest.mark.parametrize("module", ["stages.acquire", "stages.prepare", "runner"])
def test_what_computes_without_torch_does_not_import_it(module: str) -> None:
    assert not modules_after(f"import nephrite.{module}") & {"torch", "lightning", "mlflow", "monai", "timm"}


def test_workers_of_prepare_start_without_the_slow_parts_of_scipy() -> None:
    slow = {"scipy.fft", "scipy.stats", "scipy.ndimage"}
    script = f"import nephrite.stages.prepare, sys; print(*{slow} & {{*sys.modules}})"
    assert not subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_configs_and_faces_name_no_place_of_this_machine() -> None:
    named = ["params.yaml", "dvc.yaml", "MLproject", "Makefile", "pyproject.toml"]
    named += [str(path.relative_to(ROOT)) for path in (ROOT / "configs").iterdir()]
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in named]
    assert not [name for name, text in zip(named, texts, strict=True) if str(ROOT) in text or "/home/" in text]
