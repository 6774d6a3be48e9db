"""README, docs and other pages: commands exist, cheap ones run, links lead somewhere, figures are those of trials."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml

from nephrite.cli import StageGroup
from nephrite.commands import PARAMS
from nephrite.config import load_config
from nephrite.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "docs" / "results"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "k8s" / "README.md"]
    + [path for path in (ROOT / "docs").rglob("*.md") if path.name != "report.md"]  # trials write those
)
GENERATED = {
    "settings.md",
    "trial-json.md",
    "reference-commands.md",
    "errors.md",
    "gallery.md",
}  # their words stand in src
LANGUAGES = {"sh", "python", "text", "yaml"}
MARKER = re.compile(r"<!-- (run|not run: \S.+) -->")
OPERATORS = {"&&", "||", "|", ";", "&", "(", ")", ">", ">>", "<", "))"}
KEYWORDS = {"do", "then", "else"}
BRITISH = re.compile(
    r"\w*isation\w*|optimis\w+|initialis\w+|randomis\w+|normalis\w+|recognis\w+|\w*labell\w+|\w*metres?\b|\w*litres?\b"
    r"|colour\w*|behaviour\w*|favour\w*|neighbour\w*|licence\w*|centre\w*|grey|catalogue|modell\w+|analys(?:e|ed|ing)\b",
    re.IGNORECASE,
)
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Any type hint:UserWarning"
)  # MLflow's own, as its command line is imported
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.fixture(autouse=True)
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that pages export before they submit."""
    monkeypatch.setenv("KFP_HOST", "https://kubeflow.example/pipeline")


class Block(NamedTuple):
    """A fenced block of a page: where it begins, what it is, the marker before it, its text."""

    place: str
    indent: int
    language: str
    marker: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    for begin, end in zip(fences[::2], fences[1::2], strict=True):
        indent = len(lines[begin]) - len(lines[begin].lstrip())
        text = "\n".join(line[indent:] for line in lines[begin + 1 : end]) + "\n"
        place = f"{page.relative_to(ROOT)}:{begin + 1}"
        yield Block(place, indent, lines[begin].strip("` "), lines[begin - 1].strip(), text)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Every command of a piece of shell, without comments, variables before it and keywords."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for token in [*lexer, ";"]:
            if token not in OPERATORS:
                words.append(token)
                continue
            while words and (words[0] in KEYWORDS or re.match(r"[A-Z_]+=", words[0])):
                words.pop(0)
            if words:
                yield words
            words = []


def check_settings(overrides: tuple[str, ...], params: Path | None = PARAMS) -> None:
    """Settings that a command gives exist; words in capitals stand for what a reader puts there."""
    given = [text.lstrip("+") for text in overrides if not re.search(r"\b[A-Z]{3,}\b", text)]
    load_config(ROOT / params if params and (ROOT / params).is_file() else ROOT / PARAMS, given)


def check_click(group: click.Group, words: list[str], *, complete: bool) -> click.Context | None:
    """A command of click, its subcommands and options exist; `complete`: required ones are there, values fit."""
    context = click.Context(group, info_name=words[0])
    command: click.Command = group
    arguments = [word for word in words[1:] if word != "..."]
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        assert found, f"{name!r} is no command of {command.name!r}"
        command = found
    if not complete or isinstance(command, click.Group):
        command.make_parser(context).parse_args(arguments)
        return None
    try:
        return command.make_context(command.name, arguments)
    except click.exceptions.Exit:  # --help
        return None


def check_nephrite(words: list[str], complete: bool) -> None:
    """Subcommand, options and settings of `nephrite`."""
    context = check_click(StageGroup("nephrite"), words, complete=complete)
    if context:
        check_settings(context.params.get("overrides", ()), context.params.get("params", PARAMS))


def check_pipeline(words: list[str], complete: bool) -> None:
    """Subcommand and options of `nephrite-pipeline`."""
    from nephrite_kubeflow.cli import group  # kfp takes a second

    check_click(group, words, complete=complete)


def check_mlflow(words: list[str], complete: bool) -> None:
    """Subcommand and options of `mlflow`; an entry point is one of MLproject's."""
    from mlflow.cli import cli  # takes seconds

    context = check_click(cli, words, complete=complete)
    if context and words[1] == "run":
        project = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
        assert context.params["entry_point"] in project["entry_points"]


def check_dvc(words: list[str], complete: bool) -> None:
    """Subcommand and options of `dvc`; targets of `dvc repro` are stages of dvc.yaml, settings exist."""
    from dvc.cli.parser import DvcParserError, get_main_parser  # takes a moment

    try:
        found: argparse.Namespace = get_main_parser().parse_args(words[1:])
    except DvcParserError as error:
        raise AssertionError(f"dvc does not take {words[1:]}") from error
    if found.cmd == "repro":
        assert set(found.targets) <= set(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    check_settings(tuple(getattr(found, "set_param", None) or ()))


def check_make(words: list[str], complete: bool) -> None:
    """Targets and variables of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    script = (ROOT / "tests" / "containers" / "build_image.sh").read_text(encoding="utf-8")  # reads PODMAN
    for word in words[1:]:
        name, assigned, _ = word.partition("=")
        if words[1] == "bench" and word != "bench" and not assigned:
            parts = (ROOT / "benchmarks" / "run.py").read_text(encoding="utf-8")
            assert name == "verdict" or f'"{name}": ' in parts, f"{name!r} is no part of the benchmarks"
            continue
        rule = rf"\$[({{]{name}\b|^{name} \?=|\b{name}:-" if assigned else rf"^{name}:"
        assert re.search(rule, makefile + script if assigned else makefile, re.MULTILINE), f"make knows no {name!r}"


def check_python(words: list[str], complete: bool) -> None:
    """The file that python is to run, or the tests that pytest is to run."""
    if words[1] == "-m":
        return  # a module, whose arguments are its own
    files = [word for word in words[1:] if re.match(r"[\w/]+(\.py|/\w+)$", word)]
    assert all((ROOT / file).exists() for file in files), files


CHECKS: dict[str, Callable[[list[str], bool], None]] = {
    "nephrite": check_nephrite,
    "nephrite-pipeline": check_pipeline,
    "mlflow": check_mlflow,
    "dvc": check_dvc,
    "make": check_make,
    "python": check_python,
    "pytest": check_python,
}


def check_all(text: str, *, complete: bool) -> None:
    """Check those commands in a piece of shell that can be checked."""
    for words in commands(text):
        if words[0] in CHECKS:
            CHECKS[words[0]](words, complete)


@every_page
def test_blocks_say_what_they_are_and_why_they_are_not_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block.place
        assert block.indent % 4 == 0, f"{block.place}: in a list, the site wants four spaces"
        if block.language in ("sh", "python"):
            found = MARKER.fullmatch(block.marker)
            assert found, f"{block.place}: the line before says neither <!-- run --> nor <!-- not run: REASON -->"
            assert all((ROOT / test).is_file() for test in re.findall(r"tests/\S+\.py", found[1])), block.place


@every_page
def test_commands_in_blocks_exist_with_their_options(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh":
            check_all(block.text, complete=True)


@every_page
def test_commands_in_sentences_exist_with_their_options(page: Path) -> None:
    for text in re.findall(r"`([^`\n]+)`", prose(page)):
        heads = rf"({'|'.join(CHECKS)}) [a-z-]"
        if re.match(heads, text) and text.count('"') % 2 == 0:
            check_all(text, complete=False)


@pytest.mark.parametrize("wrong", [
    "nephrite trane",
    "nephrite trial --folders x",
    "nephrite acquire --dry-run",
    "nephrite train-gan --dry-run --set train_gan.pix2pix.epoch=20",
    "make everything",
    "make trial CONFIGURATION=x",
    "dvc repro prepared",
    "dvc exp run -S ++train_gan.pix2pix.epoch=20",
    "mlflow run . -e train_gun",
    "nephrite-pipeline submit --hostess x",
    "cd somewhere && nephrite trane",
    "python benchmarks/none.py",
])  # fmt: skip
def test_a_command_that_does_not_exist_is_found(wrong: str) -> None:
    with pytest.raises((AssertionError, click.UsageError, ConfigError)):
        check_all(wrong, complete=True)


RUNNABLE = [block for page in PAGES for block in blocks(page) if block.marker == "<!-- run -->"]


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: block.place)
def test_block_runs(block: Block, tmp_path: Path) -> None:
    for name in ("params.yaml", "code.lock", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-W", "error", "-c"]
    subprocess.run([*program, block.text], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, timeout=180)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(page)):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@every_page
def test_spelling_is_american(page: Path) -> None:
    if page.name not in GENERATED:
        assert not BRITISH.findall(re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", prose(page)))


def test_site_is_whole_and_loads_nothing_from_the_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True, timeout=180)
    pages = {path.relative_to(tmp_path): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert {Path("index.html"), Path("settings.html"), Path("results/index.html")} <= set(pages)
    outside = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*\shref=\"?(?:https?:)?//|@import"
    )
    assert not [str(path) for path, text in pages.items() if outside.search(text)]


def test_readme_is_as_long_as_it_should_be() -> None:
    assert 500 <= len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 600


def test_results_in_the_readme_are_those_of_the_trials() -> None:
    rows = re.findall(r"\|([^|]+)\|([^|]+)\| \S+\((docs/results/[\w-]+)/report\.md\) \|", prose(ROOT / "README.md"))
    assert len(rows) == 2
    for difference, verdict, folder in rows:
        trial = json.loads((ROOT / folder / "trial.json").read_text(encoding="utf-8"))
        answer, report = trial["answer"], (ROOT / folder / "report.md").read_text(encoding="utf-8")
        assert difference.strip() == f"{answer['mean']:+.3f} [{answer['low']:+.3f}, {answer['high']:+.3f}]"
        assert f"Verdict: **{verdict.strip()}**" in report
