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
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NamedTuple

import click

from nephrite import __version__
from nephrite.config import Config, load_config
from nephrite.errors import NephriteError
from nephrite.files import whole_file

PARAMS = Path("params.yaml")
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
PUBLISH, CLOSE = "publish", "close_trial"
CLUSTER = {
    PUBLISH: "Push a folder of data as a DVC version that anyone can pull.",
    CLOSE: "End what a pipeline left open in MLflow.",
}
USE = {"predict": "Segment scans with the registered champion."}
COMMANDS = STAGES | CLUSTER | USE
ROLES = {
    "data": "Folder of raw or synthetic data.",
    "raw": "Raw volumes.",
    "pairs": "Paired slices of real patients.",
    "synthesizer": "Trained synthesizer.",
    "synthetic": "Paired synthetic slices.",
    "segmenter": "Trained segmenter of one arm.",
    "segmenters": "Folder of all trained segmenters.",
    "scores": "Scores: the file of one arm, or for 'report' the folder of all.",
    "report": "Report folder.",
    "promotion": "File with the promotion's decision.",
    "scans": "Folder of scans; label maps beside them are ignored.",
    "masks": "Folder of label maps, each on its scan's own voxels.",
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
        return [_command_name(stage) for stage in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one stage; underscores are accepted too."""
        stage = cmd_name.replace("-", "_")
        if stage == CLOSE:
            return close_command()
        return stage_command(stage) if stage in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the stages without importing them."""
        for title, commands in (("Stages", STAGES), ("In a cluster", CLUSTER), ("With the champion", USE)):
            with formatter.section(title):
                formatter.write_dl([(_command_name(name), text) for name, text in commands.items()])


def settings_options() -> list[click.Parameter]:
    """How every command gets its settings."""
    return [
        click.Option(
            ["--params"], type=click.Path(path_type=Path), default=PARAMS, show_default=True, help="Settings."
        ),
        click.Option(["--params-text"], metavar="YAML", help="Settings as text, in place of a file."),
        click.Option(
            ["--set", "overrides"], multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."
        ),
    ]


def stage_command(stage: str) -> click.Command:
    """The command of one stage: its paths as options, its settings, and what a pipeline wants to know of it."""
    function = stage_function(stage)
    path_type = click.Path(path_type=Path)
    options: list[click.Parameter] = [
        click.Option([f"--{_command_name(name)}"], type=path_type, required=required, metavar="PATH", help=ROLES[name])
        for name, required in stage_paths(function).items()
    ]
    options += settings_options()
    options += [
        click.Option(["--dry-run"], is_flag=True, help="Print the resolved settings and stop."),
        click.Option(["--lineage"], default="{}", metavar="JSON", help="Facts to record, e.g. commit and image."),
        click.Option(["--page"], type=path_type, metavar="FILE", help="Write a page about the result."),
        click.Option(["--run-id"], type=path_type, metavar="FILE", help="Write the id of the MLflow run."),
    ]

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
            click.echo(_as_yaml(config))
        else:
            run_stage(stage, config, paths, Notes(lineage, page, run_id))

    return click.Command(_command_name(stage), params=options, callback=run, help=inspect.getdoc(function))


def close_command() -> click.Command:
    """The command at the end of a pipeline."""

    def run(params: Path, params_text: str | None, overrides: tuple[str, ...]) -> None:
        from nephrite.tracking import close_trial

        click.echo(f"{_command_name(CLOSE)}: {close_trial(load_config(params, overrides, text=params_text))}")

    return click.Command(_command_name(CLOSE), params=settings_options(), callback=run, help=CLUSTER[CLOSE])


class Notes(NamedTuple):
    """What a pipeline hands to a step, and wants to know of it."""

    lineage: str = "{}"
    page: Path | None = None
    run_id: Path | None = None


def run_stage(stage: str, config: Config, paths: dict[str, Path | None], notes: Notes) -> None:
    """Run one stage inside the record of its own run, and print its metrics."""
    if config.compute.threads != "auto":
        os.environ.setdefault("OMP_NUM_THREADS", str(config.compute.threads))  # read once, when torch is imported
    from nephrite.lineage import parse_lineage
    from nephrite.tracking import open_run

    function, facts = stage_function(stage), parse_lineage(notes.lineage)
    with open_run(config, stage, facts) as run, TemporaryDirectory(prefix="nephrite-") as folder:
        metrics = function(config, run, **_fetched(paths, Path(folder)))
        if run.id is None:  # a further process of one training: the first one tells
            return
        run.metrics(metrics, step=0)
        title = f"{_command_name(stage)}{f' {config.arm}' if config.arm else ''}"
        if notes.page:
            _write(notes.page, result_page(stage, title, metrics, {**facts, "mlflow run": run.id}, paths))
        if notes.run_id:
            _write(notes.run_id, run.id)
    click.echo(f"{title}: {', '.join(f'{name} {value:.4g}' for name, value in metrics.items())}")


def result_page(
    stage: str, title: str, metrics: dict[str, float], facts: dict[str, str], paths: dict[str, Path | None]
) -> str:
    """The page of a stage; that of the report is the report itself."""
    from nephrite.evaluation.page import stage_page

    report, synthesizer = paths.get("report"), paths.get("synthesizer")
    if stage == "report" and report:
        from nephrite.stages.report import PAGE

        return (report / PAGE).read_text(encoding="utf-8")
    return stage_page(title, metrics, facts, synthesizer if stage == "train_gan" else None)


def _fetched(paths: dict[str, Path | None], folder: Path) -> dict[str, Path | None]:
    """The paths, after what stands for runs was fetched from MLflow."""
    from nephrite.courier import KEPT, PREFIX, fetch_arms

    named = {name: str(path) for name, path in paths.items() if name in KEPT and str(path).startswith(PREFIX)}
    return paths | {name: fetch_arms(name, text, folder / name) for name, text in named.items()}


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


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
