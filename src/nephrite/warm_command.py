"""`nephrite warm`: run a command whose stages start at once."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from nephrite.signatures import STAGES

WARM = "warm"
TEXT = "Run a command whose stages start at once, e.g. 'dvc repro'."
MORE = """

One process imports torch, Lightning and MLflow; every 'nephrite' command within is forked from it. Change no code
meanwhile: it keeps what it has imported. On other systems than Linux the command runs as it is.
"""
# what stages import on the way
LATER = ("torch", "nephrite.tracking", "mlflow.store.tracking.sqlalchemy_store", "scipy.ndimage")


def warm_command(main: Callable[[], None]) -> click.Command:
    """The command.

    Args:
        main: the command line, for what is asked of the warm process.
    """

    def run(command: tuple[str, ...]) -> None:
        from nephrite.warm import run_cold, serve

        if sys.platform != "linux":
            click.echo("warm: only Linux can fork what has imported torch; the command runs as it is", err=True)
            sys.exit(run_cold(command))
        modules = (*LATER, *(f"nephrite.stages.{stage}" for stage in STAGES))
        sys.exit(serve(command, modules, main))

    command = click.Argument(["command"], nargs=-1, required=True, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True, "allow_interspersed_args": False}
    return click.Command(WARM, params=[command], callback=run, help=TEXT + MORE, context_settings=settings)
