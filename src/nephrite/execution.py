"""Runs one stage inside its own MLflow run; the stage's module is imported only then."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import click

from nephrite.config import Config
from nephrite.dependencies import check_lock
from nephrite.errors import StoreError, TrackingError
from nephrite.files import disk_errors, scratch_folder, whole_file
from nephrite.lineage import parse_lineage
from nephrite.ownership import check_apart, check_replaceable, check_replaceable_file
from nephrite.recording import Run, SilentRun
from nephrite.run_artifacts import KEPT, fetch_arms, names_runs
from nephrite.signatures import ALL_STAGES, ORDERS
from nephrite.spool import find_spools
from nephrite.tracking import open_run, send_records

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and numbers of glibc's malloc.h
MMAP_THRESHOLD = 32 * 2**20  # bytes: the most that glibc's manual allows
TRIM_THRESHOLD = 2**31 - 1  # bytes: the most that the parameter can be

logger = logging.getLogger(__name__)
StageFunction = Callable[..., dict[str, float]]


def command_name(stage: str) -> str:
    """A stage's name on the command line."""
    return stage.replace("_", "-")


def stage_function(name: str) -> StageFunction:
    """The function of a stage, imported now."""
    function: StageFunction = getattr(importlib.import_module(f"nephrite.stages.{name}"), name)
    return function


class Notes(NamedTuple):
    """What a pipeline passes to a step, and the files that it wants back."""

    lineage: str = "{}"
    page: Path | None = None
    run_id: Path | None = None


def run_stage(stage: str, config: Config, paths: dict[str, Path | None], notes: Notes) -> None:
    """Run one stage inside its own MLflow run, and print its metrics."""
    # before anything heavy is imported: the lock, memory, threads
    if os.environ.get("DVC_STAGE"):
        check_lock(stage)
    keep_freed_memory()
    _set_threads(config)
    # run the stage inside of its MLflow run
    output = check_places(stage, config, paths)
    function, facts = stage_function(stage), parse_lineage(notes.lineage)
    recorded = is_recorded(stage, config)
    opened = open_run(config, stage, facts, output) if recorded else nullcontext(SilentRun())
    with opened as run, _fetched(config, paths, output) as found:
        send_left(found)
        metrics = function(config, run, **found)
        if stage == "evaluate" and notes.run_id:
            _keep_shown(config, run, found.get("predictions"))
        if run.id is None and recorded:  # a further process of one training: only the first one records
            return
        # record and show the result
        run.metrics(metrics, step=0)
        title = " ".join(str(part) for part in (command_name(stage), config.arm or config.painter) if part)
        if notes.page:
            _write(notes.page, result_page(stage, title, metrics, {**facts, "mlflow run": run.id or "none"}, paths))
        if notes.run_id and run.id:
            _write(notes.run_id, run.id)
    click.echo(f"{title}: {', '.join(f'{name} {value:.4g}' for name, value in metrics.items())}")


def _set_threads(config: Config) -> None:
    """As many threads as the environment says, or else the settings."""
    if config.compute.threads != "auto":
        os.environ.setdefault("OMP_NUM_THREADS", str(config.compute.threads))  # read once, when torch is imported
    if torch := sys.modules.get("torch"):  # in a warm process it was
        said = os.environ.get("OMP_NUM_THREADS", "")
        torch.set_num_threads(int(said) if said.isdigit() else len(os.sched_getaffinity(0)))


def is_recorded(stage: str, config: Config) -> bool:
    """Whether a run is recorded: not of an order, nor where a segmenter of a folder is tried and no record is named."""
    tries = stage == "predict" and config.predict.folder is not None
    return stage not in ORDERS and (not tries or bool(os.environ.get("MLFLOW_TRACKING_URI")))


def _keep_shown(config: Config, run: Run, predictions: Path | None) -> None:
    """In a pipeline, let the run keep the label maps that the report shows: those of both arms of its question.

    Steps of a cluster share no folder, and label maps of all arms would be gigabytes.
    """
    from nephrite.verdict.trial import synthetic_question

    trial, arm = config.trial, config.this_arm
    asked = trial.question or synthetic_question(trial.training_sets.pairs, trial.reference)
    if predictions and asked and arm.training_set in asked and arm.fraction == min(trial.label_fractions):
        run.artifact(predictions, folder="predictions")


def send_left(paths: Mapping[str, Path | None]) -> None:
    """Send what earlier stages could not record: their spools lie beside what this one reads and writes, or below."""
    spools: set[Path] = set()
    for name, path in paths.items():
        if path is not None:
            spools |= {*find_spools(path.parent, deep=False), *(find_spools(path) if name in KEPT else ())}
    try:
        send_records(sorted(spools))
    except (TrackingError, StoreError) as error:
        logger.warning("what earlier stages recorded is not sent yet: %s", error)


def keep_freed_memory() -> None:
    """Let the process keep memory that was freed, where the C library is glibc.

    Each optimizer step frees and takes the same megabytes again. glibc gives them back to the system in between, which
    then has to clear every page anew; see `python benchmarks/run.py step`.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)


def result_page(
    stage: str, title: str, metrics: dict[str, float], facts: dict[str, str], paths: dict[str, Path | None]
) -> str:
    """The page of a stage; report and screening are pages themselves."""
    from nephrite.report.page import stage_page

    # these stages write their own page
    report, synthesizer, synthetic = (paths.get(name) for name in ("report", "synthesizer", "synthetic"))
    if stage == "report" and report:
        from nephrite.report.pages import PAGE

        return (report / PAGE).read_text(encoding="utf-8")
    if stage == "screen" and synthetic:
        from nephrite.stages.screen import PAGE as SCREENING

        if (synthetic / SCREENING).is_file():  # not where the filter is switched off
            return (synthetic / SCREENING).read_text(encoding="utf-8")
    return stage_page(title, metrics, facts, synthesizer if stage == "train_gan" else None)


def check_places(stage: str, config: Config, paths: Mapping[str, Path | None]) -> Path | None:
    """Refuse an output that would change an input or replace what is not Nephrite's; nothing has run.

    Returns:
        the output's path, if there is one.

    Raises:
        OutputError: names the output and what is there.
    """
    # everything that is read
    signature = ALL_STAGES[stage]
    inputs = {f"--{name}": paths.get(name) for name in signature.inputs}
    if stage == "acquire":
        inputs |= config.acquire.sources
    read = {name: path for name, path in inputs.items() if path is not None}
    # what it writes beside its output
    beside = paths.get(signature.beside) if signature.beside else None
    if signature.beside and beside:
        check_apart(beside, read)
        with disk_errors(beside):
            check_replaceable(beside.resolve(), signature.beside)
    # the output
    output = paths.get(signature.output)
    if output is None or not signature.writes:
        return output
    check_apart(output, read | ({f"--{signature.beside}": beside} if beside else {}))
    with disk_errors(output):
        if signature.record:
            check_replaceable_file(output, signature.record)
        else:
            check_replaceable(output.resolve(), signature.output)
    return output


@contextmanager
def _fetched(config: Config, paths: dict[str, Path | None], output: Path | None) -> Iterator[dict[str, Path | None]]:
    """The paths, with run ids replaced by folders fetched from MLflow, which stay as long as the block runs."""
    named = {name: str(path) for name, path in paths.items() if name in KEPT and names_runs(str(path))}
    if not named or output is None:
        yield paths
        return
    with scratch_folder(output) as folder:
        yield paths | {name: fetch_arms(name, text, folder / name, config) for name, text in named.items()}


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
