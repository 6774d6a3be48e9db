"""A folder of a cluster's run as a DVC version that anyone with the key can pull."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.recording import Run
from nephrite.redaction import hidden_path
from nephrite.versions import POINTER, push_version


def publish(config: Config, run: Run, *, data: Path) -> dict[str, float]:
    """Push a folder of raw or synthetic data to `publish.remote`, and keep its pointer file with the run.

    Raises:
        ConfigError: the settings name no remote.
        DataError: the folder holds no files, or the remote did not take them all.
    """
    remote = config.publish.remote
    if remote is None:
        raise ConfigError("publish.remote", "is not set", "add e.g. '--set publish.remote=s3://dvc/nephrite'")
    with TemporaryDirectory(prefix="nephrite-") as folder:
        pointer = Path(folder) / f"{data.resolve().name or 'data'}{POINTER}"
        version = push_version(data, remote, pointer)
        run.artifact(pointer, folder="versions")
    shown = remote if "://" in remote else hidden_path(remote)
    run.tags({"data_version": version.hash, "data_remote": shown})
    return {"files": float(version.files), "bytes": float(version.size)}
