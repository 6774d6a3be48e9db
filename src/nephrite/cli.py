"""The command line: one command per stage, built from the stage's own signature.

Only the module of the command that was asked for is imported, so that `nephrite --help` answers at once.
"""

from __future__ import annotations

import ast
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import FrameType

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand

from nephrite import __version__, warm
from nephrite.command_examples import examples_text
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
    upload_command,
    verify_command,
)
from nephrite.config import as_yaml, explain_config, load_config
from nephrite.doctor_command import doctor_command
from nephrite.errors import NephriteError, StoppedError, did_you_mean
from nephrite.execution import Notes, command_name, run_stage
from nephrite.init_command import init_command
from nephrite.inspect_command import inspect_command
from nephrite.judge_command import judge_command
from nephrite.predict_command import PREDICT, predict_command
from nephrite.reader_study_command import reader_study_command
from nephrite.signatures import ALL_STAGES, APART, PATHS, STAGES
from nephrite.terminal import log_to_terminal
from nephrite.trial_command import plan_command, trial_command
from nephrite.ui_command import UI, ui_command
from nephrite.warm_command import WARM, warm_command

USE = {"predict": APART["predict"].text}
TEXTS = {stage: signature.text for stage, signature in STAGES.items()}
COMMANDS = TEXTS | CLUSTER | USE


class StageGroup(click.Group):
    """Commands that are made when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help."""
        return [command_name(stage) for stage in WHOLE | TEXTS | USE | ELSEWHERE | READERS | CLUSTER | FOR_DVC]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one stage; underscores are accepted too."""
        stage = cmd_name.replace("-", "_")
        special: Mapping[str, Callable[[], click.Command]] = {
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
            WARM: partial(warm_command, run_here),
        }
        if stage not in COMMANDS and stage not in special:
            return None
        command = special[stage]() if stage in special else stage_command(stage)
        command.epilog = examples_text(stage)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; one that there is not is told with those that are like it."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List all commands by what they are for, a line each, without importing them."""
        width = max(map(len, self.list_commands(ctx)))
        for title, commands in (
            ("A whole trial, in the order of use", WHOLE),
            ("Its stages, in the order in which 'trial' runs them", TEXTS),
            ("With the result, with arms trained elsewhere, with readers", USE | ELSEWHERE | READERS),
            ("For pipelines and DVC", CLUSTER | FOR_DVC),
        ):
            with formatter.section(title):
                formatter.write_dl([(command_name(name).ljust(width), text) for name, text in commands.items()])


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
    """Does synthetic data make my segmenter better? 'nephrite trial' runs all stages, 'nephrite STAGE' one of them.

    \b
    Examples:
      nephrite init my-scans
      nephrite trial --params my_scans.yaml
    """


def main() -> None:
    """Run the command line: in the warm process where there is one, else here."""
    if os.environ.get(warm.SOCKET) and sys.argv[1:2] != [WARM]:
        try:
            code = warm.ask(sys.argv[1:])
        except NephriteError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(2)
        if code is not None:
            sys.exit(code)
    run_here()


def run_here() -> None:
    """Run the command line; an error raised on purpose is one line for each finding, and exit code 2."""
    log_to_terminal()
    signal.signal(signal.SIGTERM, _terminate)  # so that 'finally' blocks run and nothing stays half-written
    try:
        sys.exit(group(standalone_mode=False) or 0)
    except StoppedError as stopped:
        click.echo(str(stopped), err=True)
        code = stopped.code
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(usage_line(error), err=True)
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Stopped.", err=True)
        code = 128 + signal.SIGINT
    except NephriteError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)
    # stopped: workers are ended and outputs whole; to take torch down would keep the prompt for seconds
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(1)  # of a pool whose workers have ended: it holds semaphores, which are given back below
    gc.collect()
    sys.stdout.flush()
    os._exit(code)


def usage_line(error: click.ClickException) -> str:
    """What is wrong with how a command was called, in one line, with the nearest name that there is."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "nephrite"
    see = f"see '{command} --help'"
    if isinstance(error, click.NoSuchOption):
        name, known = error.option_name, error.possibilities
        return f"{command}: no such option '{name}'; {did_you_mean(name, known) or see}"
    if isinstance(error, NoSuchCommand):
        name, known = error.command_name, error.possibilities
        return f"{command}: no such command '{name}'; {did_you_mean(name, known) or see}"
    finding = " ".join(error.format_message().split()).rstrip(".")
    return f"{command}: {finding[:1].lower()}{finding[1:]}; {see}"


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
