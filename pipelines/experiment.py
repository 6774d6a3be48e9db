"""What a params file asks of the cluster: resolved settings, arms, and where code and data come from.

The package itself reads and judges the settings, in a process of its own; this side only looks at the result.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.cluster import TRAINING_STEPS, Cluster
from pipelines.errors import ClusterError, ExperimentError

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[^/\s?#]+)+/?")
PATIENCE = 120  # seconds that the package may take to read a params file


@dataclass(frozen=True)
class Experiment:
    """Settings that were found right, and their arms as 'SET/SEGMENTER/CELL'."""

    text: str
    settings: dict[str, Any]

    @property
    def real_arms(self) -> list[str]:
        """Arms that see no synthetic slices."""
        return self._arms("real")

    @property
    def synthetic_arms(self) -> list[str]:
        """Arms that see synthetic slices."""
        return self._arms("synthetic")

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

    def _arms(self, kind: str) -> list[str]:
        trial = self.settings["trial"]
        product = itertools.product(trial["training_sets"][kind], trial["segmenters"], trial["cells"])
        return ["/".join(map(str, arm)) for arm in product]


def read_experiment(params: Path, overrides: Sequence[str] = (), arms: Sequence[str] = ()) -> Experiment:
    """Resolve a params file; `arms` keeps some arms of the trial, which must be a whole trial again.

    Raises:
        ExperimentError: the package refuses the settings, or a cluster cannot run them.
    """
    experiment = read_settings(params, overrides)
    if arms:
        experiment = read_settings(params, [*overrides, *_only(arms, experiment)])
    for kind, found in (("real", experiment.real_arms), ("synthetic", experiment.synthetic_arms)):
        if not found:
            remedy = "name a set of each kind, or run this trial with 'dvc repro'"
            raise ExperimentError(f"{params}: trial.training_sets.{kind}", "is empty; the pipeline needs both", remedy)
    if experiment.settings["acquire"]["source"] == "folder":
        remedy = "push the folder with 'nephrite publish' and take acquire.source 'dvc'"
        raise ExperimentError(f"{params}: acquire.source", "is 'folder', which no pod can see", remedy)
    return experiment


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
    sets, segmenters, cells = ([*dict.fromkeys(part)] for part in zip(*(arm.split("/") for arm in arms), strict=True))
    if len(set(arms)) != len(sets) * len(segmenters) * len(cells):
        finding = (
            f"{len(set(arms))} arms are no grid of {len(sets)} sets x {len(segmenters)} segmenters x {len(cells)} cells"
        )
        raise ExperimentError("--arm", finding, "name every arm of the grid, since the report compares them all")
    names = whole.settings["trial"]["training_sets"]
    kept = {kind: [name for name in names[kind] if name in sets] for kind in ("real", "synthetic")}
    return [
        f"trial.training_sets={json.dumps(kept)}",
        f"trial.segmenters={json.dumps(segmenters)}",
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
