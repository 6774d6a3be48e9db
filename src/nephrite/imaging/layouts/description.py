"""What dataset.json says of a data set: names of label values and channels, of nnU-Net and the Decathlon.

{"labels": {"background": 0, "kidney": 1, "tumor": 2}}      nnU-Net v2
    {"labels": {"0": "background", "1": "kidney"}}              nnU-Net v1, Decathlon
    {"channel_names": {"0": "T2", "1": "ADC"}}                  nnU-Net v2; 'modality' in v1, and in the Decathlon
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nephrite.errors import SourceError

DESCRIPTION = "dataset.json"
LARGEST = 1 << 22  # bytes that are read; it lists all cases, in nnU-Net v1
MOST = 10_000  # channels, which have four digits in nnU-Net
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


def channel_names(folder: Path) -> list[str]:
    """Names of channels in their order; empty where nothing tells."""
    said = _description(folder)
    named = said.get("channel_names", said.get("modality"))
    if not isinstance(named, dict) or {*named} != {str(number) for number in range(len(named))}:
        return []
    return [str(named[str(number)]) for number in range(len(named))]


def channel_numbers(folder: Path, wanted: Sequence[str]) -> list[int]:
    """Numbers of channels, by their names, or by themselves where nothing names them.

    Raises:
        SourceError: there is no channel of this name.
    """
    names = channel_names(folder)
    known = {name: number for number, name in enumerate(names)}
    for name in wanted:
        if name not in known and (names or not name.isdecimal() or int(name) >= MOST):
            finding = f"names no channel '{name}'; it has {', '.join(names) or 'none'}"
            raise SourceError(folder / DESCRIPTION, finding, "correct 'acquire.channels'")
    return [known[name] if names else int(name) for name in wanted]


def _description(folder: Path) -> dict[str, Any]:
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            said = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
