"""Steps that differ in nothing but their inputs share one definition, so that a pipeline of many painters stays small.

kfp writes a definition for every task. Kubeflow puts them all, and every task, into one object of Kubernetes, and the
size of that is limited (kubeflow/pipelines#13738).
"""

from __future__ import annotations

import json
from typing import Any

Node = dict[str, Any]


def share_steps(spec: Node, platform: Node) -> None:
    """Keep one of all container components that are equal, with what runs it, and let every task refer to it."""
    executors = spec["deploymentSpec"]["executors"]
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    first: dict[str, str] = {}
    kept: dict[str, str] = {}  # name of every component -> name of the one that stands for it
    # components that are equal but for their names: the first stands for all
    for name, component in spec["components"].items():
        label = component.get("executorLabel")
        told = [{**component, "executorLabel": None}, executors[label], placed.get(label)] if label else [name]
        kept[name] = first.setdefault(json.dumps(told, sort_keys=True), name)
    # tasks point to the one that is kept
    for level in (spec["root"], *spec["components"].values()):
        for task in level.get("dag", {}).get("tasks", {}).values():
            task["componentRef"]["name"] = kept[task["componentRef"]["name"]]
    # remove the others
    for name in kept.keys() - set(kept.values()):
        label = spec["components"].pop(name)["executorLabel"]
        del executors[label]
        placed.pop(label, None)
