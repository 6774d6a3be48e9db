"""`nephrite ui`: MLflow's page on the recorded runs, and the address at which it shows a trial's arms side by side."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from nephrite.config import TrackingSettings
from nephrite.errors import TrackingError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

UI = "ui"
TEXT = "Show the recorded runs on MLflow's page."
HOST = "127.0.0.1"
ARMS = "metrics.dice >= 0"  # which runs of scores have, and no others; see `metrics.means`
VIEW = "nephrite-arms"  # name of the saved view
VIEWS = "mlflow.sharedViewState."  # tags in which MLflow's page keeps views
COLUMNS = ("metrics.`dice`", *(f"params.`{name}`" for name in ("training_set", "segmenter", "fraction", "replicate")))


def ui_command() -> click.Command:
    """The command that starts MLflow's page on this machine's record, or names that of a server."""

    def run(port: int, experiment: str) -> None:
        from nephrite.mlflow_client import connect
        from nephrite.tracking_address import tracking_uri

        uri, client = tracking_uri(), connect()
        found = client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else None
        saved = number is not None and save_view(client, number)
        # a server has its page already
        if uri.startswith("http"):
            click.echo(page_address(uri.rstrip("/"), number, saved=saved))
            return
        check_port(port)
        click.echo(f"{page_address(f'http://{HOST}:{port}', number, saved=saved)}\nStop it with Ctrl-C.")
        sys.stdout.flush()
        os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        program = shutil.which("mlflow", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        words = ["server", "--workers", "1", "--host", HOST, "--port", str(port), "--backend-store-uri", uri]
        os.execv(str(program), ["mlflow", *words])  # noqa: S606 - the program that our own environment brings

    options: list[click.Parameter] = [
        click.Option(["--port"], type=click.IntRange(1, 65535), default=5000, show_default=True, help="Of the page."),
        click.Option(
            ["--experiment"],
            default=TrackingSettings().experiment,
            show_default=True,
            help="That the page opens on ('tracking.experiment').",
        ),
    ]
    text = (
        f"{TEXT}\n\nReads MLFLOW_TRACKING_URI, or mlflow.db of the working folder. Group the runs by 'training_set' "
        "and chart 'dice'."
    )
    return click.Command(UI, params=options, callback=run, help=text)


def check_port(port: int) -> None:
    """Refuse a port that something else listens on.

    Raises:
        TrackingError: it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does; a port just closed is free
        try:
            probe.bind((HOST, port))
        except OSError:
            finding = "is taken, perhaps by an earlier page"
            raise TrackingError(f"port {port}", finding, f"end that, or take another: --port {port + 1}") from None


def save_view(client: MlflowClient, experiment: str) -> bool:
    """Keep the view on the arms with the record, as MLflow's page shares one: without it, the page hides metrics.

    Args:
        client: of the store.
        experiment: id of the experiment.

    Returns:
        Whether it was kept; who may only read a server keeps none.
    """
    from mlflow.exceptions import MlflowException

    wanted = {
        **{"searchFilter": ARMS, "orderByKey": COLUMNS[0], "orderByAsc": False, "startTime": "ALL"},
        **{"lifecycleFilter": "Active", "modelVersionFilter": "All Runs", "datasetsFilter": []},
        **{"selectedColumns": list(COLUMNS), "runsExpanded": {}, "runsPinned": [], "runsHidden": []},
        **{"runsVisibilityMap": {}, "runsHiddenMode": "FIRST_10_RUNS", "groupBy": None, "groupsExpanded": {}},
        **{"useGroupedValuesInCharts": True, "hideEmptyCharts": True},
    }
    try:
        client.set_experiment_tag(experiment, f"{VIEWS}{VIEW}", json.dumps(wanted))
    except MlflowException:
        return False
    return True


def page_address(root: str, experiment: str | None, *, saved: bool = False) -> str:
    """Where the page shows all arms, the best first; its front where nothing is recorded yet.

    Args:
        root: address of the server.
        experiment: id of the experiment.
        saved: whether `save_view` kept the view, which has the arms' scores as columns.
    """
    if experiment is None:
        return root
    if saved:
        return f"{root}/#/experiments/{experiment}/runs?viewStateShareKey={VIEW}"
    order = f"orderByKey={quote(COLUMNS[0])}&orderByAsc=false"
    return f"{root}/#/experiments/{experiment}/runs?searchFilter={quote(ARMS)}&{order}"
