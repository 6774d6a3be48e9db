"""The commands on a whole trial: `nephrite plan`, which looks ahead, and `nephrite trial`, which runs it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from nephrite.commands import PLAN, TRIAL, WHOLE, json_option, quiet_option, settings_options, show_report, trial_folder
from nephrite.config import load_config
from nephrite.errors import ConfigError
from nephrite.terminal import quiet

PILOT_CELLS = 6  # with fewer, the upper limit of the spread between cells says little
TEXT = f"""{WHOLE[TRIAL]}

One bar shows how much of the planned work is done, and how long the rest will take. Ctrl-C ends it within seconds; the
same command goes on from there. What it tells on the way goes to standard error, the result to standard output.
"""


def whole_options() -> list[click.Parameter]:
    """Options of the commands that work on a whole trial."""
    folder = click.Path(path_type=Path, file_okay=False)
    return [
        *settings_options(),
        click.Option(
            ["--folder"], type=folder, help="Where the trial lies; default: results/ and the params file's name."
        ),
        click.Option(
            ["--processes"], type=click.IntRange(1), default=2, show_default=True, help="Trainings at a time."
        ),
    ]


def trial_command() -> click.Command:
    """The command that runs all stages."""

    def run(
        *,
        params: Path,
        params_text: str | None,
        overrides: tuple[str, ...],
        folder: Path | None,
        processes: int,
        silent: bool,
        as_json: bool,
    ) -> None:
        from nephrite.runner import run_trial

        config, started = load_config(params, overrides, text=params_text), time.monotonic()
        if not silent:
            click.echo("trial: settings, data and networks are checked before anything runs", err=True)
        with quiet(silent):
            report = run_trial(config, folder or trial_folder(params), processes=processes)
        show_report(report, silent=silent, as_json=as_json)
        if not (silent or as_json):
            took = time.monotonic() - started
            click.echo(f"\nThis took {took:,.0f} seconds; what was finished before is not in it.")

    options = [*whole_options(), quiet_option(), json_option("Print the verdict for programs.")]
    return click.Command(TRIAL, params=options, callback=run, help=TEXT)


def plan_command() -> click.Command:
    """The command that looks ahead."""

    def run(
        *,
        params: Path,
        params_text: str | None,
        overrides: tuple[str, ...],
        folder: Path | None,
        processes: int,
        finished: Path | None,
        minutes: float | None,
        prices: Path | None,
        tries: tuple[str, ...],
        pilot_cells: int,
        as_json: bool,
    ) -> None:
        from nephrite.costs import cost_line, read_prices
        from nephrite.layout import Layout
        from nephrite.planning import make_plan

        if tries and minutes is None:
            raise ConfigError("--try", "asks what sees most in some minutes, and none are named", "add '--minutes 60'")
        # the trial's own folder may hold prepared slices, whose patients are known
        place = folder or trial_folder(params)
        config, pairs = load_config(params, overrides, text=params_text), Layout(place).pairs
        table = read_prices(prices) if prices else None
        plan = make_plan(config, processes=processes, pairs=pairs, finished=finished, minutes=minutes)
        painting = plan.synthesizer_seconds if plan.synthesizers else 0
        painting = None if painting is None else painting * plan.processes
        cost = cost_line(table, plan.seconds * plan.processes, painting) if table else None
        proposal = None
        if minutes is not None:
            from nephrite.forecast import plan_by_pilots
            from nephrite.pilots import FOLDER, Source

            source, asked = Source(params, overrides, params_text), {"processes": processes, "cells": pilot_cells}
            proposal = plan_by_pilots(source, tries, place / FOLDER, minutes=minutes, **asked)
        if as_json:
            facts = asdict(plan) | {"cost": cost, "pilots": asdict(proposal) if proposal else None}
            click.echo(json.dumps(facts, indent=2, default=str))
            return
        for line in (*plan.lines(), *([f"cost  {cost}"] if cost else [])):
            click.echo(line)
        if proposal:
            click.echo("\n" + "\n".join(proposal.lines()))

    return click.Command(PLAN, params=plan_options(), callback=run, help=WHOLE[PLAN])


def plan_options() -> list[click.Parameter]:
    """Options of the command that looks ahead."""
    scores = click.Path(path_type=Path, file_okay=False)
    finished = click.Option(["--finished"], type=scores, help="Scores of a finished trial, whose spread is taken.")
    least = click.FloatRange(0, min_open=True)
    minutes = click.Option(["--minutes"], type=least, help="That it may take: how many cells fit, and what they see.")
    table = click.Path(path_type=Path, dir_okay=False)
    prices = click.Option(["--prices"], type=table, help="Prices of a cluster's hours: docs/cluster.md.")
    tried = click.Option(
        ["--try", "tries"],
        multiple=True,
        metavar="KEY=[VALUE, VALUE]",
        help="Run a pilot with each value, and propose what sees most in the minutes; repeatable: all combinations.",
    )
    few = click.Option(
        ["--pilot-cells"], type=click.IntRange(3), default=PILOT_CELLS, show_default=True, help="Cells of each pilot."
    )
    json_plan = json_option("Print the plan for programs.")
    return [*whole_options(), finished, minutes, prices, tried, few, json_plan]
