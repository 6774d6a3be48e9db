"""A params file as an experiment on a cluster: its settings, arms and data source; refuses what no cluster can run."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from nephrite.config import Arm, Config, GeneratorRun, as_yaml, load_config
from nephrite_kubeflow.cluster import TRAINING_STEPS, Cluster
from nephrite_kubeflow.errors import ClusterError, ExperimentError

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
FOLDER = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[^/\s?#]+)+/?")
# Kubeflow describes a run in one object of Kubernetes, of at most 1.5 MiB, and hands the graph to a pod as one argument
# of at most 128 KiB (kubeflow/pipelines#13738, #12453): each painter takes 24 KiB and 3.4 KiB of these, each arm 2 KiB.
MOST_PAINTERS, MOST_ARMS = 32, 200
PARTS = {"training_set": "set", "segmenter": "segmenter", "fraction": "fraction", "cell": "cell"}  # of an arm, as shown


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
    """Settings that were found right, and the arms and painters of their trial, or of a part of it.

    Attributes:
        config: of the whole trial.
        cells: of the part; None for all.
        part: its number, from 1.
        parts: how many pipelines the trial takes.
    """

    config: Config
    cells: tuple[int, ...] | None = None
    part: int = 1
    parts: int = 1

    def split(self) -> list[Experiment]:
        """The trial in parts of whole cells, each small enough for one pipeline; the last one is to report.

        Raises:
            ExperimentError: one cell alone is too large.
        """
        groups: list[tuple[int, ...]] = []
        for cell in self.config.trial.cells:
            if groups and not replace(self, cells=(*groups[-1], cell)).excess():
                groups[-1] += (cell,)
            else:
                groups.append((cell,))
                if found := replace(self, cells=groups[-1]).excess():
                    remedy = "name fewer synthesizers, training sets or label fractions, or run 'nephrite trial'"
                    raise ExperimentError(f"trial.cells: {cell}", found, remedy)
        parts = [Experiment(self.config, cells, number, len(groups)) for number, cells in enumerate(groups, 1)]
        return [self] if len(parts) == 1 else parts

    def excess(self) -> str:
        """What is too much for one pipeline: the graph holds every painter, its state every arm; empty if nothing."""
        counts = {
            "painters": (len(self.paintings), MOST_PAINTERS),
            "arms": (sum(map(self._weight, [*self.real_arms, *self.synthetic_arms])), MOST_ARMS),
        }
        found = [
            f"makes {count} {name}; one pipeline takes {most}" for name, (count, most) in counts.items() if count > most
        ]
        return found[0] if found else ""

    @property
    def text(self) -> str:
        """The settings as YAML, as every step is given them."""
        return as_yaml(self.config)

    @property
    def real_arms(self) -> list[str]:
        """Arms that see no synthetic slices."""
        return self._arms_by_painter()[None]

    @property
    def paintings(self) -> list[Painting]:
        """Every synthesizer of every label fraction and cell, with its arms."""
        return [Painting(str(painter), tuple(arms)) for painter, arms in self._arms_by_painter().items() if painter]

    @property
    def synthetic_arms(self) -> list[str]:
        """Arms that see synthetic slices."""
        return [arm for painting in self.paintings for arm in painting.arms]

    @property
    def apart(self) -> dict[str, str]:
        """Segmenters of the trial whose program lies in an image of its own, with that image."""
        known = self.config.train_segmenter.segmenters
        return {name: image for name in self.config.trial.segmenters if (image := known[name].lies_in)}

    @property
    def data_version(self) -> str:
        """The source with its revision, or with a hash of what else defines it."""
        acquire = self.config.acquire.model_dump(mode="json")
        source = acquire["source"]
        told = acquire[source]
        revision = (
            told.get("revision")
            or told.get("version")
            or hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        )
        return f"{source}@{revision}"

    def _weight(self, arm: str) -> int:
        """As how many arms it counts: one with an image of its own has three times the steps."""
        return 3 if arm.split("/")[1] in self.apart else 1

    def _arms_by_painter(self) -> dict[GeneratorRun | None, list[str]]:
        trial = self.config.trial
        cells = trial.cells if self.cells is None else self.cells
        painters = [painter for painter in trial.painters if painter.cell in cells]
        arms: dict[GeneratorRun | None, list[str]] = {painter: [] for painter in (None, *painters)}
        for arm in trial.arms:
            if arm.cell in cells:
                arms[trial.painter(arm)].append(str(arm))
        return arms


def read_experiment(params: Path, overrides: Sequence[str] = (), arms: Sequence[str] = ()) -> Experiment:
    """Read a params file for a cluster; `arms` keeps some arms of the trial, which must be a whole trial again.

    Raises:
        ConfigError: the settings are wrong.
        ExperimentError: an arm is not in the trial, the arms do not form a trial, or a cluster cannot run it.
    """
    config = load_config(params, overrides)
    if arms:
        config = load_config(params, [*overrides, *_only(arms, config)])
    _check_source(params, config)
    return Experiment(config)


def _check_source(params: Path, config: Config) -> None:
    """Refuse data that only exist on this machine."""
    if config.acquire.source == "folder":
        remedy = "push the folder with 'nephrite publish' and take acquire.source 'dvc'"
        raise ExperimentError(f"{params}: acquire.source", "is 'folder', which no pod can see", remedy)
    if config.prepare.split.file:
        finding = f"is the file '{config.prepare.split.file}', which no pod can see"
        raise ExperimentError(f"{params}: prepare.split.file", finding, "draw the split by shares and salt")
    given = config.acquire
    if given.patients.table:
        finding = f"is the file '{given.patients.table}', which no pod can see"
        remedy = "run 'nephrite acquire' here, push its output with 'nephrite publish', and take acquire.source 'dvc'"
        raise ExperimentError(f"{params}: acquire.patients.table", finding, remedy)
    folders = {"unlabeled": given.unlabeled, "lesion_free": given.lesion_free, "external.path": given.external.path}
    folders |= {f"synthetic.{name}.path": known.path for name, known in given.synthetic.items()}
    for name, folder in folders.items():
        if folder:
            remedy = (
                "run 'nephrite acquire' here, push its output with 'nephrite publish', and take acquire.source 'dvc'"
            )
            raise ExperimentError(
                f"{params}: acquire.{name}", f"is the folder '{folder}', which no pod can see", remedy
            )


def _only(texts: Sequence[str], whole: Config) -> list[str]:
    """Overrides that leave these arms of the trial."""
    # the arms must fill a grid: a trial compares every combination
    arms = {_arm_of(text, whole): None for text in texts}
    columns = {name: [*dict.fromkeys(getattr(arm, name) for arm in arms)] for name in PARTS}
    if len(arms) != math.prod(map(len, columns.values())):
        grid = " x ".join(f"{len(column)} {PARTS[name]}s" for name, column in columns.items())
        remedy = "name every arm of the grid, since the report compares them all"
        raise ExperimentError("--arm", f"{len(arms)} arms are no grid of {grid}", remedy)
    # settings of the smaller trial, as overrides
    sets = whole.trial.training_sets
    real = [name for name in sets.real if name in columns["training_set"]]
    synthetic = [fakes for fakes in sets.synthetic if fakes.name in columns["training_set"]]
    wanted = {
        "training_sets": {"real": real, "synthetic": [fakes.model_dump() for fakes in synthetic]},
        "synthesizers": [*dict.fromkeys(fakes.synthesizer for fakes in synthetic)],
        "segmenters": columns["segmenter"],
        "label_fractions": columns["fraction"],
        "cells": columns["cell"],
    }
    return [f"trial.{name}={json.dumps(value)}" for name, value in wanted.items()]


def _arm_of(text: str, whole: Config) -> Arm:
    try:
        arm = Arm.parse(text)
    except ValueError:
        arm = None
    if arm is None or arm not in whole.trial.arms:
        known = ", ".join(map(str, whole.trial.arms))
        raise ExperimentError(f"--arm {text}", "is no arm of the trial", f"choose from {known}")
    return arm


def check_fit(config: Config, cluster: Cluster, cluster_file: Path, steps: Sequence[str] = TRAINING_STEPS) -> None:
    """Compare what the settings want with what the cluster file gives: devices to these steps, images to segmenters.

    Raises:
        ClusterError: one has GPUs and the other not, or fewer of them; or an image is for no segmenter.
    """
    if strange := sorted({*cluster.images} - {*config.train_segmenter.segmenters}):
        known = sorted(config.train_segmenter.segmenters)
        finding = f"names '{strange[0]}', and the segmenters are {known}"
        raise ClusterError(f"{cluster_file}: images", finding, "correct the name, or leave it out")
    for name in cluster.images:
        if image := config.train_segmenter.segmenters[name].lies_in:
            finding = f"names an image for '{name}', and its 'own_image' is {image}"
            raise ClusterError(f"{cluster_file}: images", finding, "leave one of them out")
    wanted, devices = config.compute.accelerator, config.compute.devices
    # a GPU that is asked for must be used
    if cluster.has_gpu and wanted == "cpu":
        remedy = "set compute.accelerator to 'gpu' or 'auto', or take the cluster file without GPUs"
        raise ClusterError(cluster_file, "asks for GPUs, but compute.accelerator is 'cpu'", remedy)
    # and every step must get as many accelerators as it wants
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


def check_image(image: str, *, allow_tag: bool, named: str = "") -> None:
    """Refuse an image that may change behind its name: the step cache and the record both go by the name.

    Args:
        image: its reference.
        allow_tag: accept one without digest.
        named: where it stands; empty = the option of the command line.

    Raises:
        ExperimentError: the reference has no digest.
    """
    if not DIGEST.search(image) and not allow_tag:
        remedy = "give 'NAME@sha256:...' (--image or NEPHRITE_IMAGE), or add --allow-tag for a local trial"
        if named:
            remedy = "give 'NAME@sha256:...', or add --allow-tag for a local trial"
        raise ExperimentError(named or f"--image {image}", "has no digest", remedy)


def check_apart(experiment: Experiment, params: Path, *, promote: bool, allow_tag: bool) -> None:
    """Refuse images of programs that may change, and a promotion that would have to start such a program.

    Raises:
        ExperimentError: an image has no digest, or the best run's weights were to be scored again.
    """
    for name, image in experiment.apart.items():
        check_image(image, allow_tag=allow_tag, named=f"train_segmenter.segmenters.{name}.own_image: {image}")
        if promote and experiment.config.promote.rescore:
            finding = f"is on: it starts the best arm's program in the trial's image, and '{name}' lies in {image}"
            raise ExperimentError(f"{params}: promote.rescore", finding, "set it to false, or add --no-promote")


def check_publish(config: Config, params: Path, *, publish: bool) -> None:
    """Refuse to publish if the settings name no remote.

    Raises:
        ExperimentError: the settings name no remote.
    """
    if publish and not config.publish.remote:
        remedy = "set it to e.g. 's3://dvc/nephrite', or leave --publish out"
        raise ExperimentError(f"{params}: publish.remote", "is not set, so there is nowhere to publish to", remedy)
