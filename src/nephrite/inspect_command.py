"""The command `nephrite inspect`: a folder of scans as a page, the suspicious cases first."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nephrite.commands import INSPECT, WHOLE, json_option
from nephrite.config import load_config
from nephrite.files import whole_file
from nephrite.init_command import channel_option, read_classes

TEXT = f"""{WHOLE[INSPECT]}

DATA is a folder of scans with label maps, in any layout of docs/own-data.md. Every case goes through the checks of
'prepare', by the settings that 'nephrite init' proposes or those of --params. The page names the cases; it stays here.
Exit code 1: 'prepare' would refuse something.
"""


def inspect_command() -> click.Command:
    """The command that looks at scans."""

    def run(
        *,
        data: Path,
        out: Path | None,
        told: tuple[str, ...],
        channel: str | None,
        params: Path | None,
        processes: int,
        as_json: bool,
    ) -> None:
        from nephrite.survey.inspection import inspect
        from nephrite.survey.inspection_page import inspection_facts, inspection_page, summary
        from nephrite.survey.survey import as_name

        config = load_config(params) if params else None
        chosen = (channel,) if channel else config.acquire.channels if config else ()
        found = inspect(data, read_classes(told), processes=processes, config=config, channels=chosen)
        target = out or Path(f"{as_name(data.resolve().name)}-inspected.html")
        if out or not as_json:
            with whole_file(target) as partial:
                partial.write_text(inspection_page(found), encoding="utf-8")
        click.echo(
            json.dumps(inspection_facts(found), indent=2) if as_json else f"{summary(found)}\nThe page: {target}"
        )
        sys.exit(1 if found.refused else 0)

    folder, file = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path, dir_okay=False)
    name = "What a label value is, where no file says so: 1=kidney. Repeatable."
    options = [
        click.Argument(["data"], type=folder),
        click.Option(["--out"], type=file, metavar="FILE", help="The page; default: the folder's name, here."),
        click.Option(["--class", "told"], multiple=True, metavar="VALUE=NAME", help=name),
        channel_option(),
        click.Option(["--params"], type=file, help="Settings to check by; default: those that 'init' proposes."),
        click.Option(["--processes"], type=click.IntRange(1), default=2, show_default=True, help="Side by side."),
        json_option("Print the findings for a program; no page without --out."),
    ]
    return click.Command(INSPECT, params=options, callback=run, help=TEXT)
