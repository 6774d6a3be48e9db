"""Write docs/reference-commands.md from the commands themselves: `make docs`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from nephrite.cli import group
from nephrite.commands import settings_options, stage_options
from nephrite_kubeflow.cli import group as pipeline

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference-commands.md"
HEAD = """# Commands, option by option

Written by `make docs` from the commands themselves; do not edit by hand. [Everyday commands](commands.md) shows them in
use. `nephrite COMMAND --help` says the same on the terminal.

**Exit codes.** 0: done. 1: `verify`, `inspect` or `doctor` found something. 2: refused, with one line that names the
place, the finding and the remedy ([all of them](errors.md)), or an option that does not exist. 128 and the number of
the signal: stopped by it; the same command goes on.
"""
EXAMPLES = re.compile(r"```text\n.*?\n```\n\n?", re.DOTALL)  # of a command's help
SETTINGS, STAGE = "Options of settings", "Options of a stage"
SHARED = {
    SETTINGS: ("Taken by every command that reads settings.", settings_options()),
    STAGE: ("Taken by every stage, beside those of settings.", stage_options()),
}


class Sections:
    """What a group writes its list of commands to, with the titles that it gives them; a formatter of click's."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """A section with its title."""
        self.found[title] = []
        yield

    def write_dl(self, rows: Sequence[tuple[str, str]], *_: object, **__: object) -> None:
        """The commands of the section that was begun last."""
        self.found[[*self.found][-1]] += [name.strip() for name, _ in rows]


def commands_page() -> str:
    """The whole page as Markdown."""
    context, titles = click.Context(group, info_name="nephrite"), Sections()
    group.format_commands(context, titles)  # type: ignore[arg-type]  # a formatter, as far as the group writes to it
    parts = [HEAD]
    for title, (text, options) in SHARED.items():
        parts.append(f"\n## {title}\n\n{text}\n\n{_table(options)}")
    for title, names in titles.found.items():
        parts.append(f"\n## {title}\n")
        parts += [_command(context, group, name) for name in names]
    # the commands on a cluster are a program of their own
    context = click.Context(pipeline, info_name="nephrite-pipeline")
    parts.append("\n## nephrite-pipeline\n\n" + _prose(pipeline.help or ""))
    parts += [_command(context, pipeline, name) for name in pipeline.list_commands(context)]
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


def _command(context: click.Context, commands: click.Group, name: str) -> str:
    command = commands.get_command(context, name)
    assert command is not None
    inner = click.Context(command, info_name=name, parent=context)
    usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
    if isinstance(command, click.Group):
        below = "".join(_command(inner, command, each) for each in command.list_commands(inner))
        return f"\n### {inner.command_path}\n\n{_prose(command.help or '')}{below}"
    shared = {str(option.opts): title for title, (_, options) in SHARED.items() for option in options}
    own = [option for option in command.params if str(option.opts) not in shared]
    titles = [title for title in SHARED if title in {shared.get(str(option.opts)) for option in command.params}]
    links = " and ".join(f"[{title[0].lower()}{title[1:]}](#{title.lower().replace(' ', '-')})" for title in titles)
    more = f"\n{'Also' if own else 'Takes'} the {links}.\n" if links else ""
    level = "#" * (2 + len(inner.command_path.split()) - 1)
    text = EXAMPLES.sub("", _prose(command.help or ""))
    shown = "".join(EXAMPLES.findall(_prose(command.help or "") + _prose(command.epilog or "")))
    table = f"\n{_table(own)}" if own else ""
    return f"\n{level} {inner.command_path}\n\n{text}```text\n{usage}\n```\n{table}{more}" + (
        f"\n{shown}" if shown else ""
    )


def _table(parameters: Sequence[click.Parameter]) -> str:
    rows = "".join(f"| {' | '.join(_cells(parameter))} |\n" for parameter in parameters)
    return f"| option | meaning | default |\n|---|---|---|\n{rows}"


def _cells(parameter: click.Parameter) -> tuple[str, str, str]:
    help_text = getattr(parameter, "help", None) or ""
    name = parameter.make_metavar(click.Context(click.Command("x")))
    if isinstance(parameter, click.Option):
        value = "" if parameter.is_flag else f" {name}"
        name = ", ".join([*parameter.opts, *parameter.secondary_opts]) + value
    more = " Repeatable." if parameter.multiple and "epeatable" not in help_text else ""
    default = "**required**" if parameter.required else _default(parameter.default)
    name = re.sub(r"(FLOAT|INTEGER)( RANGE)?$", "NUMBER", name)
    return f"`{name}`".replace("|", "\\|"), (help_text + more).replace("|", "\\|"), default


def _default(value: object) -> str:
    if isinstance(value, Path) and value.is_absolute():  # a file of ours
        value = value.resolve().relative_to(ROOT)
    plain = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    return f"`{value}`" if plain else ""


def _prose(text: str) -> str:
    """The help of a command as Markdown: paragraphs, what it refuses as a list, examples as they are typed."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            paragraphs.append(f"```text\n{paragraph.removeprefix(chr(8)).strip()}\n```")
        elif paragraph.startswith("Raises:"):
            entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", paragraph, re.MULTILINE)
            rows = [f"* `{error}`: {' '.join(words.split())}" for error, words in entries]
            paragraphs.append("It refuses, beside what all stages do:\n\n" + "\n".join(rows))
        elif paragraph:
            paragraphs.append(" ".join(paragraph.split()).replace("<", "&lt;").replace("*", "\\*"))
    return "".join(f"{paragraph}\n\n" for paragraph in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
