"""The command line: one command per stage, built from the stage's own signature.

Only the module of the command that was asked for is imported, so that `nephrite --help` answers at once.
"""

from __future__ import annotations

import ast
import gc
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click

from nephrite import __version__
from nephrite.commands import (
    CLOSE,
    CLUSTER,
    DOCTOR,
    ELSEWHERE,
    FOR_DVC,
    INIT,
    INSPECT,
    JUDGE,
    LOCK,
    PLAN,
    READER_STUDY,
    READERS,
    RESOLVE,
    SETTINGS,
    TRIAL,
    UPLOAD,
    VERIFY,
    WHOLE,
    lock_command,
    resolve_command,
    settings_options,
    stage_options,
    trial_folder,
    upload_command,
    verify_command,
)
from nephrite.config import as_yaml, explain_config, load_config
from nephrite.doctor_command import doctor_command
from nephrite.errors import NephriteError, StoppedError
from nephrite.execution import Notes, command_name, run_stage
from nephrite.init_command import init_command
from nephrite.inspect_command import inspect_command
from nephrite.judge_command import judge_command
from nephrite.predict_command import PREDICT, predict_command
from nephrite.reader_study_command import reader_study_command
from nephrite.signatures import ALL_STAGES, APART, PATHS, STAGES
from nephrite.ui_command import UI, ui_command

USE = {"predict": APART["predict"].text}
TEXTS = {stage: signature.text for stage, signature in STAGES.items()}
COMMANDS = TEXTS | CLUSTER | USE


class StageGroup(click.Group):
    """Commands that are made when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All stages, in the order in which they run."""
        return [command_name(stage) for stage in COMMANDS | WHOLE | READERS | ELSEWHERE | FOR_DVC]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one stage; underscores are accepted too."""
        stage = cmd_name.replace("-", "_")
        special = {
            CLOSE: close_command,
            TRIAL: trial_command,
            PLAN: plan_command,
            SETTINGS: settings_command,
            UPLOAD: upload_command,
            VERIFY: verify_command,
            RESOLVE: resolve_command,
            LOCK: lock_command,
            JUDGE: judge_command,
            INIT: init_command,
            UI: ui_command,
            INSPECT: inspect_command,
            DOCTOR: doctor_command,
            PREDICT: predict_command,
            READER_STUDY: reader_study_command,
        }
        if stage in special:
            return special[stage]()
        return stage_command(stage) if stage in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the stages without importing them."""
        for title, commands in (
            ("The whole trial", WHOLE),
            ("Stages", TEXTS),
            ("In a cluster", CLUSTER),
            ("On new scans", USE),
            ("By people", READERS),
            ("Trained elsewhere", ELSEWHERE),
            ("For DVC", FOR_DVC),
        ):
            with formatter.section(title):
                formatter.write_dl([(command_name(name), text) for name, text in commands.items()])


def stage_command(stage: str) -> click.Command:
    """The command of one stage: its paths as options, its settings, and what a pipeline wants to know of it."""
    # options: the stage's paths, settings, what all stages share
    signature = ALL_STAGES[stage]
    path_type = click.Path(path_type=Path)
    options: list[click.Parameter] = [
        click.Option([f"--{command_name(name)}"], type=path_type, required=required, metavar="PATH", help=PATHS[name])
        for name, required in signature.paths.items()
    ]
    options += [*settings_options(), *stage_options()]

    def run(
        *,
        params: Path,
        params_text: str | None,
        overrides: tuple[str, ...],
        dry_run: bool,
        lineage: str,
        page: Path | None,
        run_id: Path | None,
        **paths: Path | None,
    ) -> None:
        config = load_config(params, overrides, text=params_text)
        if dry_run:
            click.echo(as_yaml(config), nl=False)
        else:
            run_stage(stage, config, paths, Notes(lineage, page, run_id))

    return click.Command(command_name(stage), params=options, callback=run, help=stage_help(stage))


def close_command() -> click.Command:
    """The command at the end of a pipeline."""

    def run(params: Path, params_text: str | None, overrides: tuple[str, ...]) -> None:
        from nephrite.tracking import close_trial

        click.echo(f"{command_name(CLOSE)}: {close_trial(load_config(params, overrides, text=params_text))}")

    return click.Command(command_name(CLOSE), params=settings_options(), callback=run, help=CLUSTER[CLOSE])


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
        params: Path, params_text: str | None, overrides: tuple[str, ...], folder: Path | None, processes: int
    ) -> None:
        from nephrite.runner import run_trial

        config = load_config(params, overrides, text=params_text)
        started = time.monotonic()
        report = run_trial(config, folder or trial_folder(params), processes=processes)
        click.echo((report / "summary.txt").read_text(encoding="utf-8"))
        click.echo(f"This took {time.monotonic() - started:,.0f} seconds; what was finished before is not in it.")

    return click.Command(TRIAL, params=whole_options(), callback=run, help=WHOLE[TRIAL])


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
    ) -> None:
        from nephrite.costs import cost_line, read_prices
        from nephrite.layout import Layout
        from nephrite.planning import make_plan

        # the trial's own folder may hold prepared slices, whose patients are known
        config, pairs = load_config(params, overrides, text=params_text), Layout(folder or trial_folder(params)).pairs
        table = read_prices(prices) if prices else None
        plan = make_plan(config, processes=processes, pairs=pairs, finished=finished, minutes=minutes)
        for line in plan.lines():
            click.echo(line)
        if table:
            painting = plan.synthesizer_seconds if plan.synthesizers else 0
            painting = None if painting is None else painting * plan.processes
            click.echo(f"cost  {cost_line(table, plan.seconds * plan.processes, painting)}")

    scores = click.Path(path_type=Path, file_okay=False)
    finished = click.Option(["--finished"], type=scores, help="Scores of a finished trial, whose spread is taken.")
    least = click.FloatRange(0, min_open=True)
    minutes = click.Option(
        ["--minutes"], type=least, help="That the trial may take: how many cells fit, what they see."
    )
    table = click.Path(path_type=Path, dir_okay=False)
    prices = click.Option(["--prices"], type=table, help="Prices of a cluster's hours: docs/cluster.md.")
    return click.Command(PLAN, params=[*whole_options(), finished, minutes, prices], callback=run, help=WHOLE[PLAN])


def settings_command() -> click.Command:
    """The command that shows what a params file stands for."""

    def run(params: Path, params_text: str | None, overrides: tuple[str, ...]) -> None:
        click.echo(explain_config(params, overrides, text=params_text), nl=False)

    return click.Command(SETTINGS, params=settings_options(), callback=run, help=WHOLE[SETTINGS])


def stage_help(stage: str) -> str:
    """The text of a stage's function, read from its source: nothing is imported for it."""
    text = Path(__file__).with_name("stages").joinpath(f"{stage}.py").read_text(encoding="utf-8")
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == stage)
    return ast.get_docstring(next(functions)) or ""


@click.group(cls=StageGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nephrite")
def group() -> None:
    """Does synthetic data make my segmenter better? One command per stage; `dvc repro` runs them all."""


def main() -> None:
    """Run the command line; an error raised on purpose is one line for each finding, and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _terminate)  # so that 'finally' blocks run and nothing stays half-written
    try:
        group(standalone_mode=True)
    except StoppedError as stopped:
        click.echo(str(stopped), err=True)
        code = stopped.code
    except NephriteError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
    # a trial was stopped: workers are ended and outputs whole; to take torch down would keep the prompt for seconds
    gc.collect()
    sys.stdout.flush()
    os._exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
