"""The command `nephrite predict`: scans in, masks out, without a params file."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import click
from click.core import ParameterSource

from nephrite.commands import settings_options, stage_options
from nephrite.config import Config, as_yaml, load_config
from nephrite.errors import ConfigError, ModelNotRegisteredError
from nephrite.execution import Notes, run_stage
from nephrite.signatures import APART, PATHS
from nephrite.tracking_address import sqlite_file, tracking_uri

PREDICT, OUT = "predict", Path("predictions")
TEXT = f"""{APART[PREDICT].text}

SCANS is a NIfTI file, the folder of a DICOM series, or a folder of scans. Each gets a label map on its own voxels, in
a folder of masks; label maps beside the scans are ignored. What was found, and what is doubtful, is told at the end.
"""
MODEL = "models:/NAME@ALIAS, models:/NAME/VERSION, or the folder of a segmenter; default: the registered champion."
CARD = "segmenter.json"  # of the folder of a segmenter
VERSION, ALIAS = re.compile(r"models:/([^/@]+)/(\d+)"), re.compile(r"models:/([^/@]+)@([^/@]+)")
# A params file is of a whole trial. Of these values 'predict' reads none: its own sections have their defaults.
WITHOUT_FILE = """
trial: {name: predict, seed: 0, primary: any, reference: real, training_sets: {real: [real]}, synthesizers: [],
  segmenters: [light], label_fractions: [1.0], cells: [0]}
acquire: {source: phantom}
prepare: {classes: {1: any}, channels: {any: [1]}, intensity: {kind: window, center: 0, width: 400},
  in_plane: {kind: resize, size: 16}}
evaluate: {regions: {any: {labels: [1]}}}
promote: {model: nephrite-segmenter}
"""


def predict_command() -> click.Command:
    """The command that segments new scans."""

    def run(
        *,
        place: Path | None,
        scans: Path | None,
        masks: Path,
        model: str | None,
        dicom_seg: bool,
        params: Path,
        params_text: str | None,
        overrides: tuple[str, ...],
        dry_run: bool,
        lineage: str,
        page: Path | None,
        run_id: Path | None,
    ) -> None:
        given = place or scans
        if given is None or (place and scans):
            raise click.UsageError("Give SCANS: a file, the folder of a DICOM series, or a folder of scans.")
        # settings: of a file only where there is one
        told = click.get_current_context().get_parameter_source("params") is not ParameterSource.DEFAULT
        if params_text is None and not told and not params.is_file():
            params_text = WITHOUT_FILE
        named, asked = named_model(model) if model else (), ["predict.dicom_seg=true"] if dicom_seg else ()
        config = load_config(params, [*overrides, *named, *asked], text=params_text)
        if dry_run:
            click.echo(as_yaml(config), nl=False)
            return
        check_registry(config)
        run_stage(PREDICT, config, {"scans": given, "masks": masks}, Notes(lineage, page, run_id))
        from nephrite.stages.predict import SUMMARY

        click.echo((masks / SUMMARY).read_text(encoding="utf-8") + f"Masks: {masks}")

    return click.Command(PREDICT, params=_options(), callback=run, help=TEXT)


def _options() -> list[click.Parameter]:
    path = click.Path(path_type=Path)
    return [
        click.Argument(["place"], type=path, required=False, metavar="SCANS"),
        click.Option(["--out", "--masks", "masks"], type=path, default=OUT, show_default=True, metavar="PATH",
                     help=PATHS["masks"]),
        click.Option(["--model"], metavar="MODEL", help=MODEL),
        click.Option(["--dicom-seg"], is_flag=True, help="Write a DICOM SEG too, for each scan that is a series."),
        click.Option(["--scans"], type=path, metavar="PATH", help="SCANS, for pipelines."),
        *settings_options(),
        *stage_options(),
    ]  # fmt: skip


def named_model(text: str) -> list[str]:
    """The settings of 'predict' that name a model.

    Args:
        text: models:/NAME@ALIAS, models:/NAME/VERSION, or a folder.

    Raises:
        ConfigError: it is none of them.
    """
    if found := VERSION.fullmatch(text):
        return ["predict.folder=null", f"predict.model={found[1]}", f"predict.version={found[2]}"]
    if found := ALIAS.fullmatch(text):
        return ["predict.folder=null", "predict.version=null", f"predict.model={found[1]}", f"predict.alias={found[2]}"]
    if not (Path(text) / CARD).is_file():
        finding = f"is no registered model by its form, and no folder of a segmenter (it holds no {CARD})"
        raise ConfigError(f"--model {text}", finding, "write models:/NAME@champion, models:/NAME/3, or such a folder")
    return [f"predict.folder={json.dumps(text)}"]


def check_registry(config: Config) -> None:
    """Refuse a registered model where there is no registry: to ask for it would make an empty database.

    Raises:
        ModelNotRegisteredError: no server is named, and there is no database in the working folder.
    """
    uri = tracking_uri()
    if config.predict.folder or os.environ.get("MLFLOW_REGISTRY_URI") or not uri.startswith("sqlite"):
        return
    if not sqlite_file(uri).is_file():
        name = config.predict.model or config.promote.model
        finding = f"cannot be looked up: there is no {sqlite_file(uri).name} here, and no server is named"
        remedy = "go to the trial's folder, set MLFLOW_TRACKING_URI, or name the folder of a segmenter with '--model'"
        raise ModelNotRegisteredError(f"model '{name}'", finding, remedy)
