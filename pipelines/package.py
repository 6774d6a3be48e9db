"""The compiled pipeline: one YAML file of two documents, which holds its arguments as defaults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict
from kfp.dsl.base_component import BaseComponent

from nephrite.commit import code_state
from nephrite_kubeflow import augmentation, inference
from nephrite_kubeflow.augmentation import NO, YES
from nephrite_kubeflow.cluster import Cluster
from nephrite_kubeflow.errors import PipelineError
from nephrite_kubeflow.experiment import Experiment
from nephrite_kubeflow.sharing import share_steps
from nephrite_kubeflow.workspace import use_workspace

Spec = dict[str, Any]


def lineage_of(image: str, pipeline: str, data: str) -> dict[str, str]:
    """What every run of a pipeline carries as tags, and what the step cache goes by."""
    return {"commit": str(code_state(untracked=True)), "image": image, "data": data, "pipeline": pipeline}


def write_package(
    output: Path, experiment: Experiment, cluster: Cluster, image: str, *, publish: bool, promote: bool
) -> dict[str, str]:
    """Compile the trial into `output`, whole or not at all; gives the lineage that went in."""
    # what every run of the package is given
    lineage = lineage_of(image, augmentation.NAME, experiment.data_version)
    arguments = {
        "params": experiment.text,
        "lineage": json.dumps(lineage, sort_keys=True),
        "publish_synthetic": YES if publish else NO,
        "promote_best": YES if promote else NO,
    }
    # compile, then shrink and place what was compiled
    content = _compiled(augmentation.build_pipeline(cluster, image, experiment))
    if cluster.workspace:
        use_workspace(content[0])
    share_steps(*content)
    _write(output, content, arguments)
    return lineage


def write_inference(
    output: Path, experiment: Experiment, cluster: Cluster, image: str, *, scans: str
) -> dict[str, str]:
    """Compile the champion's pipeline for a folder of scans; gives the lineage that went in."""
    lineage = lineage_of(image, inference.NAME, scans)
    arguments = {"params": experiment.text, "lineage": json.dumps(lineage, sort_keys=True), "scans_uri": scans}
    _write(output, _compiled(inference.build_pipeline(cluster, image)), arguments)
    return lineage


def _write(output: Path, content: list[Spec], arguments: Spec) -> None:
    """Put the arguments in as defaults, and the documents into the file."""
    parameters = content[0]["root"]["inputDefinitions"]["parameters"]
    for name, value in arguments.items():
        parameters[name] |= {"defaultValue": value, "isOptional": True}
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f"{output.name}.partial")
    partial.write_text(yaml.dump_all(content, Dumper=yaml.CSafeDumper, width=120), encoding="utf-8")
    partial.replace(output)


def _compiled(pipeline: BaseComponent) -> list[Spec]:
    """The two documents without arguments: kfp writes those into comments, and breaks on several lines.

    Taken as they are, and not through a file: kfp writes it with PyYAML's own emitter, which takes minutes for a large
    trial.
    """
    documents = [MessageToDict(message) for message in (pipeline.pipeline_spec, pipeline.platform_spec)]
    return list(json.loads(json.dumps(documents, sort_keys=True)))  # a message's maps have no order


def _documents(path: Path) -> Iterator[Spec]:
    """What a compiled file holds; by libyaml, since PyYAML's own parser takes minutes for a large trial."""
    yield from yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


@dataclass(frozen=True)
class Package:
    """A compiled pipeline that was read again."""

    path: Path
    spec: dict[str, Any]
    platform: dict[str, Any]

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that were compiled in."""
        parameters = self.spec["root"]["inputDefinitions"]["parameters"]
        return {name: definition["defaultValue"] for name, definition in parameters.items()}

    @property
    def lineage(self) -> dict[str, str]:
        """Commit, image and data version that were compiled in."""
        return dict(json.loads(self.arguments["lineage"]))

    @property
    def version(self) -> str:
        """The commit, and a hash of the file: one commit compiled in two ways makes two versions."""
        commit, _, state = self.lineage["commit"].partition("-")
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()[:8]
        return "-".join(part for part in (commit[:12], state, digest) if part)

    @property
    def secrets(self) -> dict[str, set[str]]:
        """Secrets that the steps use, with the keys that they take."""
        used: dict[str, set[str]] = {}
        for secret in self._used("secretAsEnv"):
            used.setdefault(secret["secretName"], set()).update(key["secretKey"] for key in secret["keyToEnv"])
        return used

    @property
    def claims(self) -> set[str]:
        """Volume claims that the steps mount."""
        return {str(claim["constant"]) for claim in self._used("pvcMount")}

    def _used(self, kind: str) -> Iterator[dict[str, Any]]:
        executors = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for executor in executors.values():
            yield from executor.get(kind, ())


def read_package(path: Path) -> Package:
    """Read a compiled pipeline.

    Raises:
        PipelineError: the file is missing, or `nephrite-pipeline compile` did not write it.
    """
    remedy = "make it with 'nephrite-pipeline compile'"
    try:
        spec, platform = _documents(path)
        package = Package(path, spec, platform)
        known = bool(package.name and package.lineage["commit"] and package.secrets)
    except FileNotFoundError:
        raise PipelineError(path, "is missing", remedy) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        known = False
    # anything that lacks these parts was not compiled here
    if not known:
        raise PipelineError(path, "is no compiled pipeline of this project", remedy)
    return package
