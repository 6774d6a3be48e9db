"""Where a run comes from: the trial that it belongs to, the data and the libraries. Does not import MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import yaml

from nephrite import __version__
from nephrite.config import Config
from nephrite.dependencies import trial_facts
from nephrite.errors import ConfigError, StoreError
from nephrite.files import as_record, digest
from nephrite.redaction import settings_without_paths

TRIAL_VARIABLE = "NEPHRITE_TRIAL"
CLUSTER_VARIABLES = {  # set by the pipeline from what Kubernetes knows of the pod
    "kubeflow_run": "NEPHRITE_KUBEFLOW_RUN",
    "pod": "NEPHRITE_POD",
    "namespace": "NEPHRITE_NAMESPACE",
}
LIBRARIES = (
    "torch",
    "lightning",
    "segmentation-models-pytorch",
    "timm",
    "numpy",
    "scipy",
    "nibabel",
    "pydicom",
    "mlflow",
)


def trial_id(config: Config) -> str:
    """Digest of everything that decides the trial's results: settings, code and source data.

    Equal settings on equal data give the same id on any machine. The environment variable NEPHRITE_TRIAL overrides
    it, for places where the source folder cannot be seen.
    """
    # reading all code and listing the source folder takes time
    if given := os.environ.get(TRIAL_VARIABLE):
        return given
    return digest({**trial_facts(config), "source": source_listing(config, times=False)})[:16]


def source_listing(config: Config, *, times: bool) -> str | None:
    """Digest of paths and sizes in the folders of one's own; None without any: a phantom follows from its settings.

    Args:
        config: names the folders, of cases, of scans without labels, of lesion-free ones, and of an external set.
        times: when files were changed as well, which tells a file that was replaced by one of its size, but not
            whether a copy holds the same.
    """
    acquire = config.acquire
    home = acquire.folder.path if acquire.source == "folder" else None
    roots = [home, acquire.unlabeled, acquire.lesion_free, *filter(None, [acquire.external.path])]
    roots += [known.path for _, known in sorted(acquire.synthetic.items()) if known.path]
    listings = [_listing(root, times=times) if root and root.is_dir() else None for root in roots]
    return digest(listings) if any(listing is not None for listing in listings) else None


def _listing(root: Path, *, times: bool) -> list[tuple[str, int, int]]:
    files = [(path, path.stat()) for path in sorted(root.rglob("*")) if path.is_file()]
    return [
        (path.relative_to(root).as_posix(), facts.st_size, facts.st_mtime_ns if times else 0) for path, facts in files
    ]


def cluster_facts() -> dict[str, str]:
    """Which Kubeflow run and pod this is; empty outside a cluster."""
    return {name: os.environ[variable] for name, variable in CLUSTER_VARIABLES.items() if os.environ.get(variable)}


def parse_lineage(text: str) -> dict[str, str]:
    """Read the facts that a pipeline hands to each step: a JSON object of short texts.

    Raises:
        ConfigError: the text is anything else.
    """
    try:
        facts = json.loads(text or "{}")
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or not all(isinstance(value, str) for value in facts.values()):
        raise ConfigError("--lineage", f"{text!r} is not a JSON object of texts", 'write e.g. \'{"commit": "4f2a"}\'')
    return facts


def library_versions() -> dict[str, str]:
    """Versions of this package and of the libraries that decide its results."""
    return {"nephrite": __version__} | {name: found for name in LIBRARIES if (found := _version(name))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class _Out:
    """An output in dvc.lock; what else stands there is DVC's own."""

    path: str
    md5: str | None = None


@dataclass(frozen=True)
class _Stage:
    outs: tuple[_Out, ...] = ()


@dataclass(frozen=True)
class _Lock:
    stages: dict[str, _Stage] = field(default_factory=dict)


def dvc_hash(path: Path, lock: Path = Path("dvc.lock")) -> str | None:
    """Hash under which DVC keeps `path`, or the output that it lies in; None if dvc.lock does not know it."""
    if not lock.is_file():
        return None
    root, place = lock.absolute().parent, path.absolute()
    remedy = "restore it, or delete it and run 'dvc repro'"
    try:
        content = yaml.safe_load(lock.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise StoreError(lock, f"cannot be read ({error})", remedy) from None
    stages = as_record(content, _Lock, lock, remedy).stages
    hashes = {root / out.path: out.md5 for stage in stages.values() for out in stage.outs}
    return next((hashes[folder] for folder in (place, *place.parents) if folder in hashes), None)


def stage_settings(config: Config, stage: str) -> dict[str, object]:
    """The settings that a stage's run records, with paths hidden: its section, the trial's, and its network's.

    `predict` shows its own section only: its model comes from whichever trial made it.
    """
    content = settings_without_paths(config, include={stage} if stage == "predict" else {"trial", stage})
    if stage == "train_segmenter" and config.arm:
        segmenters = content[stage].pop("segmenters")
        content[stage]["segmenter"] = segmenters[config.arm.segmenter]
    if stage == "train_gan" and config.painter:
        content[stage] = content[stage][config.painter.synthesizer]
    return content


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested settings as text under dotted names."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: str(value)}
    return flat
