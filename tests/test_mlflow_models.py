"""A folder that MLflow keeps and cannot load; graphs are tried in tests/test_registry.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from nephrite.errors import StoreError
from nephrite.mlflow_models import FOLDER, mlflow_pytorch, save_folder
from nephrite.model_version import ModelVersion
from nephrite.registry import CHAMPION, Registry, fetch_folder, load_champion

TAGS = {"weights": "abc", "arm": "real/mine/1.0/0"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source" / "model").mkdir(parents=True)
    (tmp_path / "source" / "model" / "weights").write_bytes(b"1234")
    (tmp_path / "source" / "segmenter.json").write_text("{}")
    return tmp_path / "source"


def test_a_folder_is_a_model_that_mlflow_shows_and_cannot_load(source: Path, tmp_path: Path) -> None:
    mlflow_pytorch()  # imports MLflow's loader, whose own warnings are kept away there
    import mlflow.pyfunc

    save_folder(source, tmp_path / "kept", TAGS)
    found = Model.load(tmp_path / "kept")
    assert (found.flavors, found.metadata) == ({}, TAGS)
    assert (tmp_path / "kept" / FOLDER / "model" / "weights").read_bytes() == b"1234"
    with pytest.raises(MlflowException, match="python_function"):
        mlflow.pyfunc.load_model(str(tmp_path / "kept"))


def test_a_registered_folder_comes_back(record: str, source: Path, tmp_path: Path) -> None:
    registry = Registry("model")
    version = registry.register_folder(source, "digest of the card", run_id=None, tags=TAGS)
    registry.point(CHAMPION, version)
    assert version.tags["folder"] == "digest of the card"
    found = fetch_folder(registry.required(CHAMPION), tmp_path / "fetched")
    assert sorted(path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()) == [
        "model/weights",
        "segmenter.json",
    ]
    known = registry.with_weights("abc")
    assert known is not None
    assert known.number == version.number
    with pytest.raises(StoreError, match="is the folder of a segmenter that is no graph"):
        load_champion("model")


@pytest.mark.parametrize("tags", [{"folder": "another"}, {"folder": ""}, {"recipe": "another"}])
def test_tags_of_a_folder_are_sealed(record: str, source: Path, tmp_path: Path, tags: dict[str, str]) -> None:
    version = Registry("model").register_folder(source, "digest of the card", run_id=None, tags=TAGS)
    version.check_tags("as it was")
    changed = ModelVersion(version.number, version.source, {**version.tags, **tags})
    with pytest.raises(StoreError, match=r"its tags .* are not those that it was registered with"):
        fetch_folder(changed, tmp_path)
    less = {name: value for name, value in version.tags.items() if name != "folder"}
    with pytest.raises(StoreError, match="its tags"):
        ModelVersion(version.number, version.source, less).check_tags("less")
