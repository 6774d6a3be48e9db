"""The renderer of these tests, and that k8s/ stays within it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]
Render = Callable[[Path], list[Manifest]]
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


@pytest.fixture
def kustomization(tmp_path: Path, render: Render) -> Callable[..., list[Manifest]]:
    def write(items: list[Manifest], **settings: object) -> list[Manifest]:
        (tmp_path / "items.yaml").write_text(yaml.safe_dump_all(items))
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["items.yaml"], **settings}))
        return render(tmp_path)

    return write


def test_feature_that_is_not_rendered_is_refused(kustomization: Callable[..., list[Manifest]]) -> None:
    with pytest.raises(ValueError, match="replacements"):
        kustomization([MAP], replacements=[])


def test_patch_without_object_is_refused(kustomization: Callable[..., list[Manifest]], tmp_path: Path) -> None:
    (tmp_path / "patch.yaml").write_text(yaml.safe_dump({"kind": "Secret", "metadata": {"name": "a"}}))
    with pytest.raises(ValueError, match="no object for the patch of Secret a"):
        kustomization([MAP], patches=[{"path": "patch.yaml"}])


def test_named_lists_merge_and_others_are_replaced(
    kustomization: Callable[..., list[Manifest]], tmp_path: Path
) -> None:
    patch = {**MAP, "env": [{"name": "b", "value": 3}], "plain": [9]}
    (tmp_path / "patch.yaml").write_text(yaml.safe_dump(patch))
    item = {**MAP, "env": [{"name": "a", "value": 1}, {"name": "b", "value": 2, "more": 0}], "plain": [1, 2]}
    merged = kustomization([item], patches=[{"path": "patch.yaml"}])[0]
    assert merged["env"] == [{"name": "a", "value": 1}, {"name": "b", "value": 3, "more": 0}]
    assert merged["plain"] == [9]


def test_namespace_and_image_reach_nested_objects(kustomization: Callable[..., list[Manifest]]) -> None:
    item = {**MAP, "metadata": {"name": "a"}, "spec": [{"x": {"containers": [{"image": "nephrite"}]}}]}
    images = [{"name": "nephrite", "newName": "host/nephrite", "newTag": "1"}]
    rendered = kustomization([item], namespace="somewhere", images=images)[0]
    assert rendered["metadata"]["namespace"] == "somewhere"
    assert rendered["spec"][0]["x"]["containers"][0]["image"] == "host/nephrite:1"


def test_secrets_are_new_consistent_and_private(make_secrets: ModuleType, manifests: Path) -> None:
    folder = manifests / "base" / "secrets"
    texts = {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".example"}
    assert "CHANGE-ME" not in "".join(texts.values())
    values = dict(line.split("=", 1) for name in ("mlflow.env", "nephrite.env") for line in texts[name].split())
    assert values["MLFLOW_TRACKING_PASSWORD"] == values["MLFLOW_AUTH_ADMIN_PASSWORD"]
    assert values["NEPHRITE_AWS_SECRET_ACCESS_KEY"] in texts["s3.json"]
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir() if path.name in texts} == {0}


def test_secrets_that_exist_stay(make_secrets: ModuleType, manifests: Path, tmp_path: Path) -> None:
    shutil.copytree(manifests / "base" / "secrets", tmp_path / "secrets")
    with pytest.raises(FileExistsError, match="a running database keeps its password"):
        make_secrets.fill(tmp_path / "secrets")


@pytest.mark.parametrize("name", ["base", "overlays/local", "overlays/gpu", "serving/base", "training/base"])
def test_no_object_is_defined_twice(manifests: Path, name: str, render: Render) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in render(manifests / name)]
    assert len(names) == len(set(names))
