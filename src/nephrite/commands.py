"""Commands that are no stages: on a finished trial, on the record of runs, and for DVC; and what all commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nephrite.config import demand_single_shares, load_config
from nephrite.signatures import APART, ORDERS
from nephrite.ui_command import TEXT as UI_TEXT
from nephrite.ui_command import UI
from nephrite.warm_command import TEXT as WARM_TEXT
from nephrite.warm_command import WARM
from nephrite.words import counted

PARAMS = Path("params.yaml")
PUBLISH, CLOSE = "publish", "close_trial"
CLUSTER = {
    PUBLISH: APART[PUBLISH].text,
    CLOSE: "End what a pipeline left open in MLflow.",
    **{stage: signature.text for stage, signature in ORDERS.items()},
}
TRIAL, PLAN, SETTINGS, VERIFY, UPLOAD = "trial", "plan", "settings", "verify", "upload"
RESOLVE, LOCK, JUDGE = "resolve", "lock", "judge"
READER_STUDY = "reader_study"
INIT, INSPECT, DOCTOR = "init", "inspect", "doctor"
ELSEWHERE = {JUDGE: "Judge arms trained elsewhere, by scores or label maps."}
READERS = {READER_STUDY: "Let readers say which slices are real, and which synthetic."}
WHOLE = {
    INIT: "Look at a folder of scans, and propose a params file.",
    DOCTOR: "Whether machine, packages and servers are fit for a trial.",
    INSPECT: "Look at every case of a folder for what is wrong or odd.",
    SETTINGS: "Print every setting: value, meaning, where it comes from.",
    PLAN: "What a trial costs, and the smallest effect it could show.",
    TRIAL: "Run all stages, up to the report; finished work is kept.",
    UI: UI_TEXT,
    UPLOAD: "Send to MLflow what it did not take while it was away.",
    VERIFY: "Whether a trial, or one output, is whole and unchanged.",
}
FOR_DVC = {
    RESOLVE: "Write what every job depends on, for DVC to compare.",
    LOCK: "Write code.lock anew, after the code has changed.",
    WARM: WARM_TEXT,
}


def trial_folder(params: Path) -> Path:
    """Default folder of a trial: apart from the outputs of `dvc repro`."""
    return Path("results") / params.stem


def settings_options() -> list[click.Parameter]:
    """Options by which every command gets its settings."""
    return [
        click.Option(
            ["--params"], type=click.Path(path_type=Path), default=PARAMS, show_default=True, help="Settings."
        ),
        click.Option(["--params-text"], metavar="YAML", help="Settings as text, in place of a file."),
        click.Option(
            ["--set", "overrides"], multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."
        ),
    ]


def quiet_option() -> click.Option:
    """Tell nothing on the way."""
    return click.Option(["--quiet", "silent"], is_flag=True, help="Only errors, the verdict, and where the report is.")


def json_option(text: str) -> click.Option:
    """Write JSON to standard output, and nothing else."""
    return click.Option(["--json", "as_json"], is_flag=True, help=text)


def show_report(report: Path, *, silent: bool, as_json: bool) -> None:
    """Print what a report found: its summary, with `silent` the verdict alone, or the verdict for programs."""
    from nephrite.report.terminal import opened_line, verdict_facts
    from nephrite.report.trial_file import read_trial

    if not (silent or as_json):
        click.echo((report / "summary.txt").read_text(encoding="utf-8"), nl=False)
        return
    trial = read_trial(report / "trial.json")
    if as_json:
        click.echo(json.dumps(verdict_facts(trial, report), indent=2))
    else:
        click.echo(f"{trial.headline}\n{opened_line(report)}")


def stage_options() -> list[click.Parameter]:
    """What a pipeline tells a stage, and wants to know of it."""
    path_type = click.Path(path_type=Path)
    return [
        click.Option(["--dry-run"], is_flag=True, help="Print the resolved settings and stop."),
        click.Option(["--lineage"], default="{}", metavar="JSON", help="Facts to record, e.g. commit and image."),
        click.Option(["--page"], type=path_type, metavar="FILE", help="Write a page about the result."),
        click.Option(["--run-id"], type=path_type, metavar="FILE", help="Write the id of the MLflow run."),
    ]


def verify_command() -> click.Command:
    """The command that looks whether outputs are as they were written."""

    def run(folder: Path) -> None:
        from nephrite.verification import verify

        outputs = verify(folder)
        for output in outputs:
            click.echo(output.line)
        changed = sum(bool(output.problems) for output in outputs)
        click.echo(f"{VERIFY}: {len(outputs) - changed} of {len(outputs)} outputs are whole and unchanged")
        sys.exit(1 if changed else 0)

    folder = click.Argument(["folder"], type=click.Path(path_type=Path))
    text = (
        f"{WHOLE[VERIFY]}\n\nFOLDER is that of a trial, or of the output of one stage. Exit code 1: something changed."
    )
    return click.Command(VERIFY, params=[folder], callback=run, help=text)


def resolve_command() -> click.Command:
    """The first command of `dvc repro`."""

    def run(params: Path, params_text: str | None, overrides: tuple[str, ...], resolved: Path) -> None:
        from nephrite.dependencies import check_lock
        from nephrite.layout import Layout
        from nephrite.preflight import preflight
        from nephrite.resolved import write_resolved

        check_lock()
        demand_single_shares(params, overrides, text=params_text)
        config, layout = load_config(params, overrides, text=params_text), Layout(Path())
        preflight(config, pairs=layout.pairs, outputs=layout.outputs, here=True)
        jobs = write_resolved(config, resolved)
        click.echo(f"{RESOLVE}: {jobs} jobs")

    folder = click.Path(path_type=Path, file_okay=False)
    target = click.Option(["--resolved"], type=folder, required=True, metavar="PATH", help="Folder of these files.")
    return click.Command(RESOLVE, params=[target, *settings_options()], callback=run, help=FOR_DVC[RESOLVE])


def upload_command() -> click.Command:
    """The command after an outage of MLflow."""

    def run(folder: Path) -> None:
        from nephrite.spool import find_spools
        from nephrite.tracking import send_records

        count = send_records(find_spools(folder))
        click.echo(f"{UPLOAD}: {counted(count, 'run')} sent")

    place = click.Path(path_type=Path, file_okay=False, exists=True)
    option = click.Option(["--folder"], type=place, default=".", show_default=True, help="Searched, with all below it.")
    return click.Command(UPLOAD, params=[option], callback=run, help=WHOLE[UPLOAD])


def lock_command() -> click.Command:
    """The command after a change of code."""

    def run() -> None:
        from nephrite.dependencies import LOCK_FILE, write_lock

        write_lock()
        click.echo(f"{LOCK}: {LOCK_FILE} is written")

    return click.Command(LOCK, callback=run, help=FOR_DVC[LOCK])
