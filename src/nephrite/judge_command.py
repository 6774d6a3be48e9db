"""The command `nephrite judge`: its options, read into what is asked."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from nephrite.commands import ELSEWHERE, JUDGE, json_option, quiet_option, show_report
from nephrite.config import Metric
from nephrite.errors import ConfigError
from nephrite.record_fields import MOST
from nephrite.terminal import quiet

TEXT = f"""{ELSEWHERE[JUDGE]}

Either --scores FILE: CSV or JSON with the columns patient, arm, replicate, region, metric and value. Or --predictions
and --references: label maps ARM/REPLICATE/ID.nii.gz and ID.nii.gz, scored here on the voxels of each scan. A replicate
is one training of each arm, or one whole cross-validation. docs/bring-your-own.md has examples.
"""
REGION = "Region, with label values for label maps: tumor=2, kidney=1,2. Repeatable; the first one decides."


def judge_command() -> click.Command:
    """The command that judges what was trained elsewhere."""

    def run(
        *,
        question: str,
        regions: tuple[str, ...],
        copies: tuple[str, ...],
        metric: Metric,
        overlap: float,
        confidence: float,
        ledger: Path | None,
        out: Path,
        experiment: str,
        record: bool,
        scores: Path | None,
        predictions: Path | None,
        references: Path | None,
        tolerance: float,
        processes: int,
        patients: Path | None,
        scans: Path | None,
        silent: bool,
        as_json: bool,
    ) -> None:
        from nephrite.judging.judge import Asked, Source, judge

        named = read_regions(regions)
        source = Source(scores, predictions, references, named, tolerance, processes, patients, scans)
        asked = Asked(read_question(question), metric, read_copies(copies), overlap, confidence, ledger)
        with quiet(silent):
            judge(source, asked, out, experiment=experiment if record else None)
        show_report(out, silent=silent, as_json=as_json)

    return click.Command(JUDGE, params=_options(), callback=run, help=TEXT)


def _options() -> list[click.Parameter]:
    place, folder = click.Path(path_type=Path), click.Path(path_type=Path, file_okay=False)
    share = click.FloatRange(0, 1)
    confidence = click.FloatRange(0.5, 1, min_open=True, max_open=True)
    millimeters = click.FloatRange(0, MOST, min_open=True)
    two = "The two arms, with a comma: fakes,real asks for fakes minus real, the reference."
    again = "An A/A arm, and the arm that it repeats from another initialization; repeatable."
    known = "Share of its training patients that a replicate has in common with another; 1 = other seeds alone."
    seen = "Scans beside label maps, ID.nii.gz or ID_0000.nii.gz: the page then shows slices."
    whose = "CSV with the columns case and patient, where a patient has several scans."
    counted = "File in which looks at these patients are counted and paid for; without it, none is."
    return [
        click.Option(["--question"], required=True, metavar="ARM,ARM", help=two),
        click.Option(["--scores"], type=place, metavar="FILE", help="Scores of all arms, as CSV or JSON."),
        click.Option(["--predictions"], type=folder, metavar="PATH", help="Predicted label maps of all arms."),
        click.Option(["--references"], type=folder, metavar="PATH", help="The reader's label maps."),
        click.Option(["--scans"], type=folder, metavar="PATH", help=seen),
        click.Option(["--region", "regions"], multiple=True, metavar="NAME[=VALUES]", help=REGION),
        click.Option(["--patients"], type=place, metavar="FILE", help=whose),
        click.Option(["--metric"], type=click.Choice(_metrics()), default="dice", show_default=True, help="Decides."),
        click.Option(["--null", "copies"], multiple=True, metavar="ARM=ARM", help=again),
        click.Option(["--overlap"], type=share, default=1.0, show_default=True, help=known),
        click.Option(["--confidence"], type=confidence, default=0.95, show_default=True, help="Of intervals."),
        click.Option(["--tolerance"], type=millimeters, default=2.0, show_default=True, help="Mm, of surface Dice."),
        click.Option(["--ledger"], type=place, metavar="FILE", help=counted),
        click.Option(["--out"], type=folder, default=Path("judged"), show_default=True, help="Folder of the report."),
        click.Option(["--processes"], type=click.IntRange(1), default=2, show_default=True, help="That score maps."),
        click.Option(["--experiment"], default="nephrite", show_default=True, help="MLflow experiment of the run."),
        click.Option(["--record/--no-record"], default=True, show_default=True, help="Record a run in MLflow."),
        quiet_option(),
        json_option("Print the verdict for programs."),
    ]


def _metrics() -> list[str]:
    return [name for name in get_args(Metric) if name in ("dice", "surface_dice", "recall")]


def read_question(text: str) -> tuple[str, str]:
    """Read 'fakes,real'.

    Raises:
        ConfigError: these are not two names.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ConfigError("--question", f"'{text}' is not two arms", "name them with a comma: fakes,real")
    return parts[0], parts[1]


def read_copies(texts: tuple[str, ...]) -> dict[str, str]:
    """Read 'real2=real': an A/A arm, and the arm that it repeats.

    Raises:
        ConfigError: one is no pair of two names.
    """
    pairs = [tuple(part.strip() for part in text.split("=")) for text in texts]
    for pair, text in zip(pairs, texts, strict=True):
        if len(pair) != 2 or not all(pair) or pair[0] == pair[1]:
            raise ConfigError("--null", f"'{text}' is not two arms", "name the A/A arm first: real2=real")
    return {pair[0]: pair[1] for pair in pairs}


def read_regions(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Read 'tumor', or 'kidney=1,2'.

    Raises:
        ConfigError: a label value is no integer from 1 to 255, or a region is named twice.
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, values = (part.strip() for part in text.partition("="))
        numbers = [value.strip() for value in values.split(",")] if values else []
        if not name or any(not value.isdecimal() or not 1 <= int(value) <= 255 for value in numbers):
            finding = f"'{text}' is no region with label values from 1 to 255"
            raise ConfigError("--region", finding, "write NAME, or NAME=VALUES: kidney=1,2")
        if name in found:
            raise ConfigError("--region", f"'{name}' is named twice", "give all its label values at once: kidney=1,2")
        found[name] = tuple(map(int, numbers))
    return found
