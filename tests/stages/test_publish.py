from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.recording import SilentRun
from nephrite.redaction import hidden_path
from nephrite.stages.acquire import acquire
from nephrite.stages.publish import publish

Load = Callable[..., Config]


class Notebook(SilentRun):
    """A record that remembers tags and the text of files."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.files: dict[str, str] = {}

    def tags(self, values: Mapping[str, str]) -> None:
        self.known |= values

    def artifact(self, path: Path, *, folder: str = "") -> None:
        self.files[f"{folder}/{path.name}"] = path.read_text(encoding="utf-8")


def test_published_folder_can_be_acquired_again(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    run, remote = Notebook(), tmp_path / "remote"
    publish(load(f"publish.remote={remote}"), run, data=kits_folder)
    place = [f"acquire.dvc.remote={remote}", f"acquire.dvc.version={run.known['data_version']}"]
    assert acquire(load("acquire.source=dvc", *place), SilentRun(), raw=tmp_path / "raw") == {"cases": 12}
    for path in kits_folder.rglob("*.nii.gz"):
        assert (tmp_path / "raw" / path.relative_to(kits_folder)).read_bytes() == path.read_bytes()


def test_run_keeps_the_pointer_and_says_where_the_version_is(load: Load, kits_folder: Path, tmp_path: Path) -> None:
    run = Notebook()
    metrics = publish(load(f"publish.remote={tmp_path}/remote"), run, data=kits_folder)
    (out,) = yaml.safe_load(run.files["versions/source.dvc"])["outs"]
    assert (out["path"], out["nfiles"], out["size"]) == ("source", metrics["files"], metrics["bytes"])
    assert run.known == {"data_version": out["md5"], "data_remote": hidden_path(f"{tmp_path}/remote")}


def test_settings_without_a_remote_are_refused(load: Load, kits_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"publish\.remote: is not set; add e\.g\. '--set publish\.remote=s3://"):
        publish(load(), SilentRun(), data=kits_folder)
