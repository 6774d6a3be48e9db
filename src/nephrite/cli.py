"""The command line: one command per stage, built from the stage's own signature.

Only the module of the command that was asked for is imported, so that `nephrite --help` answers at once.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from nephrite import __version__
from nephrite.config import Config, load_config
from nephrite.errors import NephriteError

STAGES = {
    "acquire": "Bring raw volumes from the phantom, KiTS19 or a folder.",
    "prepare": "Turn raw volumes into paired slices per patient, with index and split.",
    "train_gan": "Train the label-to-CT synthesizer on the training patients.",
    "synthesize": "Paint synthetic slices from the masks of training patients.",
    "train_segmenter": "Train the segmenter of one arm.",
    "evaluate": "Score one arm on the test patients.",
    "report": "Judge all arms: table, figures, verdict.",
    "promote": "Register the best segmenter as challenger, and maybe champion.",
}
ROLES = {
    "raw": "Raw volumes.",
    "pairs": "Paired slices of real patients.",
    "synthesizer": "Trained synthesizer.",
    "synthetic": "Paired synthetic slices.",
    "segmenter": "Trained segmenter of one arm.",
    "segmenters": "Folder of all trained segmenters.",
    "scores": "Scores: the file of one arm, or for 'report' the folder of all.",
    "report": "Report folder.",
    "promotion": "File with the promotion's decision.",
}
StageFunction = Callable[..., dict[str, float]]


def stage_function(name: str) -> StageFunction:
    """The function of a stage, imported now."""
    function: StageFunction = getattr(importlib.import_module(f"nephrite.stages.{name}"), name)
    return function


def stage_paths(function: StageFunction) -> dict[str, bool]:
    """Keyword-only arguments of a stage, all of them paths: name -> whether it must be given."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}


class StageGroup(click.Group):
    """Commands that are made when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All stages, in the order in which they run."""
        return [_command_name(stage) for stage in STAGES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one stage; underscores are accepted too."""
        stage = cmd_name.replace("-", "_")
        return stage_command(stage) if stage in STAGES else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the stages without importing them."""
        with formatter.section("Stages"):
            formatter.write_dl([(_command_name(stage), text) for stage, text in STAGES.items()])


def stage_command(stage: str) -> click.Command:
    """The command of one stage: its paths as options, and the settings."""
    function = stage_function(stage)
    path_type = click.Path(path_type=Path)
    options: list[click.Parameter] = [
        click.Option([f"--{_command_name(name)}"], type=path_type, required=required, metavar="PATH", help=ROLES[name])
        for name, required in stage_paths(function).items()
    ]
    options += [
        click.Option(["--params"], type=path_type, default=Path("params.yaml"), show_default=True, help="Settings."),
        click.Option(
            ["--set", "overrides"], multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."
        ),
        click.Option(["--dry-run"], is_flag=True, help="Print the resolved settings and stop."),
    ]

    def run(params: Path, overrides: tuple[str, ...], dry_run: bool, **paths: Path | None) -> None:
        config = load_config(params, overrides)
        if dry_run:
            click.echo(_as_yaml(config))
        else:
            run_stage(stage, function, config, paths)

    return click.Command(_command_name(stage), params=options, callback=run, help=inspect.getdoc(function))


def run_stage(stage: str, function: StageFunction, config: Config, paths: dict[str, Path | None]) -> None:
    """Run one stage inside the record of its own run, and print its metrics."""
    if config.compute.threads != "auto":
        os.environ.setdefault("OMP_NUM_THREADS", str(config.compute.threads))  # read once, when torch is imported
    from nephrite.tracking import open_run

    with open_run(config, stage) as run:
        metrics = function(config, run, **paths)
        run.metrics(metrics, step=0)
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    click.echo(f"{_command_name(stage)}{f' {config.arm}' if config.arm else ''}: {shown}")


@click.group(cls=StageGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nephrite")
def group() -> None:
    """Does synthetic data make my segmenter better? One command per stage; `dvc repro` runs them all."""


def main() -> None:
    """Run the command line; an error raised on purpose is one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _terminate)  # so that 'finally' blocks run and nothing stays half-written
    try:
        group(standalone_mode=True)
    except NephriteError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _command_name(stage: str) -> str:
    return stage.replace("_", "-")


def _as_yaml(config: Config) -> str:
    import yaml

    content: dict[str, Any] = config.model_dump(mode="json")
    return str(yaml.safe_dump(content, sort_keys=False, width=120)).rstrip()
