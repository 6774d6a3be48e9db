"""What dataset.json says of a data set: names of label values, as nnU-Net and the Medical Segmentation Decathlon write.

{"labels": {"background": 0, "kidney": 1, "tumor": 2}}      nnU-Net v2
{"labels": {"0": "background", "1": "kidney"}}              nnU-Net v1, Decathlon
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DESCRIPTION = "dataset.json"
LARGEST = 1 << 22  # bytes that are read; it lists all cases, in nnU-Net v1
IGNORED_NAME = "ignore"  # of voxels that nnU-Net does not learn from


def label_names(folder: Path) -> dict[int, str]:
    """Names of label values; empty where nothing tells.

    Where classes overlap, nnU-Net names regions, and says which value each gets where it is painted last.
    """
    said = _description(folder)
    labels, order = said.get("labels"), said.get("regions_class_order")
    if not isinstance(labels, dict):
        return {}
    pairs = [(key, value) if str(key).isdecimal() else (value, key) for key, value in labels.items()]
    named = {int(value): str(name) for value, name in pairs if str(value).isdecimal()}
    regions = [name for name, value in labels.items() if value not in (0, [0]) and name != IGNORED_NAME]
    if isinstance(order, list) and len(order) == len(regions) and all(isinstance(value, int) for value in order):
        named |= dict(zip(order, map(str, regions), strict=True))
    return {value: name for value, name in named.items() if value > 0}


def _description(folder: Path) -> dict[str, Any]:
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            said = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
