"""The command `nephrite init`: from a folder of scans to a params file that runs."""

from __future__ import annotations

from pathlib import Path

import click

from nephrite.commands import INIT, WHOLE
from nephrite.errors import ConfigError
from nephrite.words import counted

HEAD = """# What 'nephrite init' proposes for these scans, and why. All else has its default: docs/settings.md.
# Next: nephrite trial --params {name}

"""
TEXT = f"""{WHOLE[INIT]}

DATA is a folder of scans with label maps, in any layout of docs/own-data.md. Every case is read once. What cannot be
seen in them, names of label values above all, is said by --class.
"""


def init_command() -> click.Command:
    """The command that proposes settings."""

    def run(
        *, data: Path, out: Path | None, told: tuple[str, ...], channel: str | None, minutes: float, processes: int
    ) -> None:
        from nephrite.imaging.layouts.filed import count_unlabeled
        from nephrite.survey.budget import budgeted
        from nephrite.survey.proposal import propose
        from nephrite.survey.survey import as_name, survey
        from nephrite.survey.text import as_text

        target = out or Path(f"{as_name(data.resolve().name)}.yaml")
        if target.exists():
            raise ConfigError(target, "is there already", "name another file, '--out', or remove it")
        found = survey(data, read_classes(told), processes=processes, channels=(channel,) if channel else ())
        lines = budgeted(propose(found), minutes, processes=processes)
        text = HEAD.format(name=target) + as_text(lines)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        if count := count_unlabeled(data, found.channels):
            click.echo(f"without label maps, and no patients of the trial: {counted(count, 'scan')}", err=True)
        for problem in found.unread:
            click.echo(f"not read: {problem}", err=True)
        click.echo(text, nl=False)

    return click.Command(INIT, params=_options(), callback=run, help=TEXT)


def read_classes(told: tuple[str, ...]) -> dict[int, str]:
    """Names of label values.

    Args:
        told: '1=kidney'.

    Raises:
        ConfigError: no number, no name, or a number twice.
    """
    names: dict[int, str] = {}
    for text in told:
        value, _, name = text.partition("=")
        if not value.isdecimal() or not 0 < int(value) < 255 or not name or int(value) in names:
            raise ConfigError(
                f"--class {text}",
                "is no label value from 1 to 254 with a name of its own",
                "write --class 1=kidney, once for each",
            )
        names[int(value)] = name
    return names


def channel_option() -> click.Option:
    """Which channel is meant, for scans that have several."""
    return click.Option(["--channel"], metavar="NAME", help="The one to take, where scans have several: T2.")


def _options() -> list[click.Parameter]:
    folder, file = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path, dir_okay=False)
    number, minutes = click.IntRange(1), click.FloatRange(1)
    name = "What a label value is, where no file says so: 1=kidney. Repeatable."
    return [
        click.Argument(["data"], type=folder),
        click.Option(["--out"], type=file, metavar="FILE", help="The params file; default: the folder's name."),
        click.Option(["--class", "told"], multiple=True, metavar="VALUE=NAME", help=name),
        channel_option(),
        click.Option(["--minutes"], type=minutes, default=60, show_default=True, help="That the trial may take."),
        click.Option(["--processes"], type=number, default=2, show_default=True, help="Side by side."),
    ]
