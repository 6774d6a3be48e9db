"""The rendered objects of both kinds of cluster, and the pod templates in them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest


def load(path: Path) -> ModuleType:
    """A file as module; pytest puts no folder of tests on the path."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from tests.k8s import rendering
else:
    rendering = load(Path(__file__).with_name("rendering.py"))

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def make_secrets() -> ModuleType:
    """The script that fills the secrets."""
    return load(rendering.ROOT / "k8s" / "make_secrets.py")


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of k8s/ with secrets, as a user has it before `kubectl apply -k`."""
    return rendering.copy_with_secrets(tmp_path_factory.mktemp("cluster") / "k8s")


@pytest.fixture(scope="session")
def render() -> Callable[[Path], list[Manifest]]:
    """`rendering.render`, for test files: they cannot import it."""
    return rendering.render


@pytest.fixture(scope="session", params=sorted(rendering.STACKS))
def stack(request: pytest.FixtureRequest) -> str:
    """A kind of cluster."""
    return str(request.param)


@pytest.fixture(scope="session")
def objects(manifests: Path, stack: str) -> list[Manifest]:
    """Everything that is applied to one kind of cluster; one base of two trainings counts once."""
    rendered = [item for folder in rendering.STACKS[stack] for item in rendering.render(manifests / folder)]
    return list({(item["kind"], item["metadata"]["name"]): item for item in rendered}.values())


class PodTemplate:
    """A pod template, with the object that makes the pods."""

    def __init__(self, owner: Manifest, template: Manifest) -> None:
        self.owner, self.spec = owner, template["spec"]
        self.name = f"{owner['kind']} {owner['metadata']['name']}"
        self.labels: dict[str, str] = template.get("metadata", {}).get("labels", {})
        self.containers: list[Manifest] = [*self.spec.get("initContainers", []), *self.spec["containers"]]


def _templates(value: Any) -> Iterator[Manifest]:
    if isinstance(value, dict):
        if "containers" in value.get("spec", {}):
            yield value
        for inner in value.values():
            yield from _templates(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _templates(inner)


@pytest.fixture
def pods(objects: list[Manifest]) -> list[PodTemplate]:
    """All pod templates, those inside of jobs of jobs too."""
    found = [PodTemplate(item, template) for item in objects for template in _templates(item.get("spec", {}))]
    assert len(found) >= 6
    return found
