"""The command `nephrite doctor`: whether machine, packages and servers are fit for a trial."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from nephrite.commands import DOCTOR, PARAMS, WHOLE, json_option
from nephrite.config import load_config

GPU_SECONDS = 60  # torch takes long to import on a busy machine
TEXT = f"""{WHOLE[DOCTOR]}

Each line is one check; where something needs mending, the line ends with what mends it. Credentials at hand are used
and never shown. Exit code 1: a check fails.
"""


def doctor_command() -> click.Command:
    """The command that looks at the machine and its servers."""

    def run(params: Path, seconds: float, *, as_json: bool) -> None:
        from nephrite.doctor import machine, services
        from nephrite.doctor.checks import failed, limited

        # settings say what is needed; without a params file their defaults do
        config = load_config(params) if params != PARAMS or params.is_file() else None
        wanted = config.compute.accelerator if config else "auto"
        checks = [
            limited("processor", machine.processor, seconds),
            limited("memory", machine.memory, seconds),
            limited("disk", lambda: machine.disk(Path.cwd()), seconds),
            limited("GPU", lambda: machine.gpu(wanted, GPU_SECONDS), GPU_SECONDS + seconds),
            limited("packages", lambda: machine.packages(Path(machine.LOCK)), seconds),
            limited("code", machine.code, seconds),
            limited("MLflow", services.mlflow, seconds),
            *(limited("DVC remote", partial(services.remote, place), seconds) for place in services.remotes(config)),
            limited("Kubeflow", services.kubeflow, seconds),
        ]
        # for people or programs
        count = failed(checks)
        if as_json:
            click.echo(json.dumps({"failed": count, "checks": [asdict(check) for check in checks]}, indent=2))
        else:
            for check in checks:
                click.echo(check.line)
            click.echo(f"{DOCTOR}: {len(checks) - count} of {len(checks)} checks pass")
        sys.exit(1 if count else 0)

    file = click.Path(path_type=Path)
    limit = click.FloatRange(0, min_open=True)
    options: list[click.Parameter] = [
        click.Option(["--params"], type=file, default=PARAMS, show_default=True, help="Settings."),
        click.Option(["--seconds"], type=limit, default=15, show_default=True, help="That a check may take."),
        json_option("Print the checks for programs."),
    ]
    return click.Command(DOCTOR, params=options, callback=run, help=TEXT)
