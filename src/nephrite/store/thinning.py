"""Fewer of many, where all would take too long to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def thin(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly over all; the first and the last are among them where there are two or more."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]
