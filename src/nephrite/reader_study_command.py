"""The command `nephrite reader-study`: draw slices, serve their page to readers, and report what they said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import click
from click.core import ParameterSource

from nephrite.commands import READER_STUDY, READERS, settings_options, trial_folder
from nephrite.config import GeneratorRun, TrackingSettings, load_config
from nephrite.errors import ConfigError
from nephrite.layout import Layout
from nephrite.words import counted

if TYPE_CHECKING:
    from nephrite.reader_study.study import Study

OUT, PORT = Path("reader-study"), 8765
TEXT = f"""{READERS[READER_STUDY]}

As many real as synthetic slices are drawn once, and served on this machine alone. Each reader sees all of them in an
order of their own, one at a time, and can stop and go on. Start it again with --out alone to go on.
docs/reader-study.md says how to plan a study.
"""


class Sources(NamedTuple):
    """What a study is drawn of."""

    pairs: Path
    synthetic: Path
    painter: str


def reader_study_command() -> click.Command:
    """The command of reader studies."""

    def run(
        *,
        params: Path,
        params_text: str | None,
        overrides: tuple[str, ...],
        folder: Path | None,
        painter: str | None,
        pairs: Path | None,
        synthetic: Path | None,
        slices: int,
        per_patient: int | None,
        seed: int,
        out: Path,
        reader: str | None,
        port: int,
        report: bool,
        experiment: str,
        record: bool,
    ) -> None:
        if report:
            from nephrite.reader_study.evaluation import PAGE, REPORT, evaluate_study

            click.echo(evaluate_study(out, experiment=experiment if record else None))
            click.echo(f"The page: {out / REPORT / PAGE}")
            return
        from nephrite.reader_study.study import RECORD, Asked, check_same, draw_study, read_study

        name = read_pseudonym(reader) if reader else None
        told = _told("params", "params_text", "overrides")
        if (out / RECORD).exists() and not (told or _told("pairs", "synthetic", "folder", "painter")):
            study = read_study(out)
            given = {"count": slices, "per_patient": per_patient, "seed": seed}
            options = {"count": "slices", "per_patient": "per_patient", "seed": "seed"}
            check_same(study, {field: value for field, value in given.items() if _told(options[field])}, {}, out)
        else:
            config = load_config(params, overrides, text=params_text) if told or not synthetic else None
            root = folder or (trial_folder(params) if _told("params") else Path())
            sources = find_sources(Layout(root), config.trial.painters if config else [], painter, pairs, synthetic)
            asked = Asked(count=slices, per_patient=per_patient, seed=seed)
            study = draw_study(sources.pairs, sources.synthetic, asked, out, painter=sources.painter)
        serve(out, study, port, name)

    return click.Command(READER_STUDY.replace("_", "-"), params=_options(), callback=run, help=TEXT)


def _options() -> list[click.Parameter]:
    folder = click.Path(path_type=Path, file_okay=False)
    of_trial = "Folder of the trial; default: results/ and the params file's name, or this folder without --params."
    whose = "Whose slices, as in the folders of data/synthetic: pix2pix/1.0/0. Needed where the trial has several."
    most = "Most slices of one patient, of each kind; default: as few as there can be."
    return [
        *settings_options(),
        click.Option(["--folder"], type=folder, help=of_trial),
        click.Option(["--painter"], metavar="PAINTER", help=whose),
        click.Option(["--pairs"], type=folder, metavar="PATH", help="Prepared real slices; default: the trial's."),
        click.Option(
            ["--synthetic"], type=folder, metavar="PATH", help="Accepted synthetic slices, in place of PAINTER."
        ),
        click.Option(["--slices"], type=click.IntRange(2, 1000), default=30, show_default=True, help="Of each kind."),
        click.Option(["--per-patient"], type=click.IntRange(1, 1000), help=most),
        click.Option(
            ["--seed"], type=click.IntRange(0, 2**32), default=0, show_default=True, help="Of draw and orders."
        ),
        click.Option(["--out"], type=folder, default=OUT, show_default=True, help="Folder of the study."),
        click.Option(["--reader"], metavar="NAME", help="Pseudonym to begin with; default: the page asks."),
        click.Option(["--port"], type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Of the page."),
        click.Option(["--report"], is_flag=True, help="Report what was answered so far, in place of the page."),
        click.Option(
            ["--experiment"],
            default=TrackingSettings().experiment,
            show_default=True,
            help="MLflow experiment of the report's run.",
        ),
        click.Option(["--record/--no-record"], default=True, show_default=True, help="Record the report in MLflow."),
    ]


def find_sources(
    layout: Layout, painters: Sequence[GeneratorRun], painter: str | None, pairs: Path | None, synthetic: Path | None
) -> Sources:
    """The stores that are named, or those of a trial.

    Args:
        layout: of the trial's folder.
        painters: of the trial.
        painter: as written by the user; None takes the only one.
        pairs, synthetic: stores named by the user.

    Raises:
        ConfigError: no painter of the trial is named.
    """
    shown = ", ".join(map(str, painters))
    if painter is None and synthetic is None and len(painters) != 1:
        finding = f"is missing, and the trial has {counted(len(painters), 'painter')}{f': {shown}' if shown else ''}"
        raise ConfigError("--painter", finding, "name one of them, or a store with '--synthetic'")
    try:
        chosen = GeneratorRun.parse(painter) if painter else painters[0] if synthetic is None else None
    except ValueError:
        raise ConfigError("--painter", f"'{painter}' is no painter", "write it as 'pix2pix/1.0/0'") from None
    if chosen and synthetic is None and chosen not in painters:
        raise ConfigError("--painter", f"'{painter}' is no painter of the trial", f"name one of: {shown}")
    return Sources(pairs or layout.pairs, synthetic or layout.synthetic(cast(GeneratorRun, chosen)), str(chosen or ""))


def read_pseudonym(text: str) -> str:
    """A reader's pseudonym.

    Raises:
        ConfigError: it is none.
    """
    from nephrite.reader_study.answers import as_reader

    try:
        return as_reader(text)
    except ValueError as error:
        raise ConfigError("--reader", f"'{text}' is no pseudonym: {error}", "write one, as 'reader-1'") from None


def serve(out: Path, study: Study, port: int, reader: str | None) -> None:
    """Serve the page until Ctrl-C, then say how far each reader came.

    Raises:
        ConfigError: the port is taken.
    """
    from nephrite.reader_study.server import StudyServer

    with StudyServer(out, study, port) as server:
        kinds = f"{study.asked.count} real, {study.asked.count} synthetic"
        click.echo(
            f"{server.address(reader)}\n{len(study.slices)} slices ({kinds}). Stop with Ctrl-C; --out {out} goes on."
        )
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    for each in server.book.read_all():
        click.echo(f"{each.reader}: {len(each.last)} of {len(study.slices)} slices judged")


def _told(*options: str) -> bool:
    """Whether the user gave one of these options."""
    context = click.get_current_context()
    return any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in options)
