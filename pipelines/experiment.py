"""What a params file asks of the cluster: resolved settings, arms, and where code and data come from.

The package itself reads and judges the settings, in a process of its own; this side only looks at the result.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines.cluster import TRAINING_STEPS, Cluster
from pipelines.errors import ClusterError, ExperimentError

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[^/\s?#]+)+/?")
PATIENCE = 120  # seconds that the package may take to read a params file
# Kubeflow describes a run in one object of Kubernetes, of at most 1.5 MiB, and hands the graph to a pod as one argument
# of at most 128 KiB (kubeflow/pipelines#13738, #12453): each painter takes 24 KiB and 3.4 KiB of these, each arm 2 KiB.
MOST_PAINTERS, MOST_ARMS = 32, 200
PARTS = ("set", "segmenter", "fraction", "cell")


class Painting(NamedTuple):
    """One training of a synthesizer, and the arms that see its slices.

    Attributes:
        painter: 'SYNTHESIZER/FRACTION/CELL'.
        arms: 'SET/SEGMENTER/FRACTION/CELL'.
    """

    painter: str
    arms: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """Settings that were found right, and the arms and painters of their trial."""

    text: str
    settings: dict[str, Any]

    @property
    def real_arms(self) -> list[str]:
        """Arms that see no synthetic slices."""
        trial = self.settings["trial"]
        return [
            f"{name}/{segmenter}/{fraction}/{cell}"
            for name in trial["training_sets"]["real"]
            for segmenter in trial["segmenters"]
            for fraction in trial["label_fractions"]
            for cell in trial["cells"]
        ]

    @property
    def paintings(self) -> list[Painting]:
        """Every synthesizer of every label fraction and cell, with its arms."""
        trial = self.settings["trial"]
        return [
            Painting(f"{synthesizer}/{fraction}/{cell}", tuple(self._arms_of(synthesizer, f"{fraction}/{cell}")))
            for synthesizer in trial["synthesizers"]
            for fraction in trial["label_fractions"]
            for cell in trial["cells"]
        ]

    @property
    def synthetic_arms(self) -> list[str]:
        """Arms that see synthetic slices."""
        return [arm for painting in self.paintings for arm in painting.arms]

    @property
    def data_version(self) -> str:
        """The source with its revision, or with a hash of what else defines it."""
        acquire = self.settings["acquire"]
        source = acquire["source"]
        told = acquire.get(source) or {}
        revision = (
            told.get("revision")
            or told.get("version")
            or hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        )
        return f"{source}@{revision}"

    def _arms_of(self, synthesizer: str, place: str) -> Iterator[str]:
        trial = self.settings["trial"]
        for fakes in trial["training_sets"]["synthetic"]:
            if fakes["synthesizer"] == synthesizer:
                yield from (f"{fakes['name']}/{segmenter}/{place}" for segmenter in trial["segmenters"])


def read_experiment(params: Path, overrides: Sequence[str] = (), arms: Sequence[str] = ()) -> Experiment:
    """Resolve a params file; `arms` keeps some arms of the trial, which must be a whole trial again.

    Raises:
        ExperimentError: the package refuses the settings, or a cluster cannot run them.
    """
    experiment = read_settings(params, overrides)
    if arms:
        experiment = read_settings(params, [*overrides, *_only(arms, experiment)])
    _check_size(params, experiment)
    _check_source(params, experiment.settings["acquire"])
    return experiment


def _check_size(params: Path, experiment: Experiment) -> None:
    """Refuse a trial whose workflow Kubernetes would not store: the graph holds every painter, its state every arm."""
    counts = {"painters": len(experiment.paintings), "arms": len(experiment.real_arms) + len(experiment.synthetic_arms)}
    for name, most in (("painters", MOST_PAINTERS), ("arms", MOST_ARMS)):
        if counts[name] > most:
            finding = f"makes {counts[name]} {name}; one pipeline takes {most}"
            remedy = "name fewer synthesizers, label fractions or cells (--set, --arm), or run 'nephrite trial'"
            raise ExperimentError(f"{params}: trial", finding, remedy)


def _check_source(params: Path, acquire: dict[str, Any]) -> None:
    """Refuse data that only this machine has."""
    if acquire["source"] == "folder":
        remedy = "push the folder with 'nephrite publish' and take acquire.source 'dvc'"
        raise ExperimentError(f"{params}: acquire.source", "is 'folder', which no pod can see", remedy)
    if acquire["unlabelled"]:
        remedy = "run 'nephrite acquire' here, push its output with 'nephrite publish', and take acquire.source 'dvc'"
        finding = f"is the folder '{acquire['unlabelled']}', which no pod can see"
        raise ExperimentError(f"{params}: acquire.unlabelled", finding, remedy)


def read_settings(params: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Resolve a params file, whatever its trial and its source of data are.

    Raises:
        ExperimentError: the package refuses the settings.
    """
    options = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "nephrite", "acquire", "--raw", "unused", "--params", str(params), "--dry-run"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=PATIENCE)  # noqa: S603 - our own package, no shell
    except subprocess.TimeoutExpired:
        raise ExperimentError(params, f"was not read within {PATIENCE} s", "try again on a less busy machine") from None
    if done.returncode:
        raise _handed_on(params, done.stderr.strip().splitlines() or ["no message"])
    return Experiment(done.stdout, yaml.safe_load(done.stdout))


def _handed_on(params: Path, lines: list[str]) -> ExperimentError:
    """The package's own one-line error, or the last line of whatever else went wrong."""
    told = re.fullmatch(r"\w+Error: (.+?): (.+); (.+?)", lines[-1])
    if told:
        return ExperimentError(*told.groups())
    return ExperimentError(params, f"cannot be read: {lines[-1]}", f"try '{sys.executable} -m nephrite acquire --help'")


def _only(arms: Sequence[str], whole: Experiment) -> list[str]:
    """Overrides that leave these arms of the trial."""
    known = [*whole.real_arms, *whole.synthetic_arms]
    for arm in arms:
        if arm not in known:
            raise ExperimentError(f"--arm {arm}", "is no arm of the trial", f"choose from {', '.join(known)}")
    columns = [[*dict.fromkeys(part)] for part in zip(*(arm.split("/") for arm in arms), strict=True)]
    if len(set(arms)) != math.prod(map(len, columns)):
        grid = " x ".join(f"{len(column)} {part}s" for part, column in zip(PARTS, columns, strict=True))
        remedy = "name every arm of the grid, since the report compares them all"
        raise ExperimentError("--arm", f"{len(set(arms))} arms are no grid of {grid}", remedy)
    sets, segmenters, fractions, cells = columns
    names = whole.settings["trial"]["training_sets"]
    kept = {
        "real": [name for name in names["real"] if name in sets],
        "synthetic": [fakes for fakes in names["synthetic"] if fakes["name"] in sets],
    }
    return [
        f"trial.training_sets={json.dumps(kept)}",
        f"trial.synthesizers={json.dumps([*dict.fromkeys(fakes['synthesizer'] for fakes in kept['synthetic'])])}",
        f"trial.segmenters={json.dumps(segmenters)}",
        f"trial.label_fractions=[{', '.join(fractions)}]",
        f"trial.cells=[{', '.join(cells)}]",
    ]


def check_fit(
    experiment: Experiment, cluster: Cluster, cluster_file: Path, steps: Sequence[str] = TRAINING_STEPS
) -> None:
    """Compare the devices that the settings want with those that the cluster file gives to these steps.

    Raises:
        ClusterError: one has GPUs and the other not, or fewer of them.
    """
    wanted, devices = experiment.settings["compute"]["accelerator"], experiment.settings["compute"]["devices"]
    if cluster.has_gpu and wanted == "cpu":
        remedy = "set compute.accelerator to 'gpu' or 'auto', or take the cluster file without GPUs"
        raise ClusterError(cluster_file, "asks for GPUs, but compute.accelerator is 'cpu'", remedy)
    for step in steps if wanted != "cpu" else ():
        accelerator = cluster.steps[step].accelerator
        given = accelerator.count if accelerator else 0
        least = 1 if devices == "auto" or step not in TRAINING_STEPS else devices  # only training takes several
        if given < least and (accelerator or wanted != "auto"):  # 'auto' goes without
            finding = f"gives {given} accelerators, but the settings want {least} ('{wanted}')"
            raise ClusterError(f"{cluster_file}: steps.{step}", finding, "raise accelerator.count or change 'compute'")


def check_scans(scans: str | None) -> str:
    """The folder of scans, which must be one that pods can fetch.

    Raises:
        ExperimentError: no folder is named, or one that is no s3:// folder.
    """
    if scans is None:
        raise ExperimentError("--scans", "is missing", "name the folder to segment, e.g. 's3://bucket/folder'")
    if not FOLDER.fullmatch(scans):
        remedy = "copy the scans into an object store and give 's3://bucket/folder'"
        raise ExperimentError(f"--scans {scans}", "is no s3:// folder", remedy)
    return scans.rstrip("/")


def check_image(image: str, *, allow_tag: bool) -> None:
    """Refuse an image that may change behind its name: the step cache and the record both go by the name.

    Raises:
        ExperimentError: the reference has no digest.
    """
    if not DIGEST.search(image) and not allow_tag:
        remedy = "give 'NAME@sha256:...' (--image or NEPHRITE_IMAGE), or add --allow-tag for a local trial"
        raise ExperimentError(f"--image {image}", "has no digest", remedy)


def check_publish(experiment: Experiment, params: Path, *, publish: bool) -> None:
    """Refuse to publish to nowhere.

    Raises:
        ExperimentError: the settings name no remote.
    """
    if publish and not (experiment.settings.get("publish") or {}).get("remote"):
        remedy = "set it to e.g. 's3://dvc/nephrite', or leave --publish out"
        raise ExperimentError(f"{params}: publish.remote", "is not set, so there is nowhere to publish to", remedy)


def find_commit() -> str:
    """The commit of the working folder, '-dirty' if files differ from it; NEPHRITE_COMMIT or 'unknown' without git."""
    try:
        commit, state = (
            subprocess.run(["git", *words], capture_output=True, text=True, check=True, timeout=30).stdout.strip()  # noqa: S603, S607 - fixed words
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("NEPHRITE_COMMIT", "unknown")
    return f"{commit}-dirty" if state else commit
