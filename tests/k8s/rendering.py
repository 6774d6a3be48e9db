"""Renders k8s/ without kustomize: only what k8s/ uses of it, and anything else is refused.

What `kubectl kustomize` makes of the same folders is the same, list order aside; nothing on PyPI carries that program.
"""

from __future__ import annotations

import base64
import runpy
import shutil
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
Manifest = dict[str, Any]
# What is applied together: a namespace, and what runs in it.
STACKS = {
    "local": ("overlays/local", "serving/cpu"),
    "gpu": ("overlays/gpu", "serving/gpu", "training/data", "training/gan", "training/segmenter"),
}
FEATURES = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "patches",
    "images",
    "secretGenerator",
    "configMapGenerator",
    "generatorOptions",
}
WITHOUT_NAMESPACE = ("Namespace",)


def merge(old: Any, new: Any) -> Any:
    """Strategic merge as far as k8s/ needs it: mappings by key, lists of named things by name, else the new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merge(old.get(key), value) for key, value in new.items()}}
    if _named(old) and _named(new):
        names = {item["name"]: item for item in old}
        return list({**names, **{item["name"]: merge(names.get(item["name"]), item) for item in new}}.values())
    return deepcopy(new)


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def render(folder: Path) -> list[Manifest]:
    """The objects of a kustomization.

    Raises:
        ValueError: it uses what this renderer does not know, or a patch meets no object.
    """
    settings = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := set(settings) - FEATURES:
        raise ValueError(f"{folder}: {sorted(unknown)} is more than the tests can render")
    objects = [item for name in settings.get("resources", []) for item in _resource(folder / name)]
    objects += list(_generated(folder, settings))
    for patch in settings.get("patches", []):
        for change in _documents(folder / patch["path"]):
            _apply(objects, change)
    for item in objects:
        if "namespace" in settings and item["kind"] not in WITHOUT_NAMESPACE:
            item["metadata"]["namespace"] = settings["namespace"]
        _rename_images(item, {image["name"]: image for image in settings.get("images", [])})
    return objects


def _resource(path: Path) -> list[Manifest]:
    return render(path) if path.is_dir() else _documents(path)


def _documents(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text()))


def _generated(folder: Path, settings: Manifest) -> Iterator[Manifest]:
    for kind in ("ConfigMap", "Secret"):
        for entry in settings.get(kind[0].lower() + kind[1:] + "Generator", []):
            if settings["generatorOptions"] != {"disableNameSuffixHash": True} or set(entry) - {
                "name",
                "files",
                "envs",
            }:
                raise ValueError(f"{folder}: generator {entry}")
            data = {Path(name).name: (folder / name).read_text() for name in entry.get("files", [])}
            for name in entry.get("envs", []):
                data |= dict(line.split("=", 1) for line in (folder / name).read_text().splitlines() if line)
            if kind == "Secret":
                data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            sort = {"type": "Opaque"} if kind == "Secret" else {}
            yield {"apiVersion": "v1", "kind": kind, "metadata": {"name": entry["name"]}, "data": data, **sort}


def _apply(objects: list[Manifest], change: Manifest) -> None:
    for index, item in enumerate(objects):
        if (item["kind"], item["metadata"]["name"]) == (change["kind"], change["metadata"]["name"]):
            objects[index] = merge(item, change)
            return
    raise ValueError(f"no object for the patch of {change['kind']} {change['metadata']['name']}")


def _rename_images(value: Any, images: dict[str, Manifest]) -> None:
    """In every `containers` and `initContainers`, as deep as they lie."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        for container in inner if key in ("containers", "initContainers") else ():
            if image := images.get(container["image"]):
                container["image"] = f"{image['newName']}:{image['newTag']}"
        _rename_images(inner, images)


def copy_with_secrets(target: Path) -> Path:
    """A copy of k8s/ as a user has it before `kubectl apply -k`: with passwords, new ones."""
    shutil.copytree(ROOT / "k8s", target, ignore=shutil.ignore_patterns("*.env", "s3.json"))
    runpy.run_path(str(ROOT / "k8s" / "make_secrets.py"))["fill"](target / "base" / "secrets")
    return target


def write(target: Path) -> None:
    """Everything rendered, a file per folder of k8s/, for tools that read files. Secrets stay out."""
    manifests = copy_with_secrets(target / "k8s")
    for folder in sorted({folder for folders in STACKS.values() for folder in folders}):
        objects = [item for item in render(manifests / folder) if item["kind"] != "Secret"]
        (target / f"{folder.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(objects))
    shutil.rmtree(manifests)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
