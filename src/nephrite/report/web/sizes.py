"""By size: how both arms do on small and on large lesions, and on patients with little and with much of the region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from nephrite.metrics.lesions import LesionFindings
from nephrite.report.web.patients import Pair, PatientRow
from nephrite.verdict.froc import sensitivities
from nephrite.words import markdown_table

GROUPS = 3  # small, middle, large: more would hold too few
FEWEST = 2 * GROUPS  # below that a group is a single one
NAMES = ("small", "middle", "large")
Runs = Sequence[Sequence[LesionFindings]]  # of each run, of each patient


def sizes_markdown(
    pair: Pair,
    rows: Sequence[PatientRow],
    volumes: Mapping[str, float],
    lesions: tuple[Runs, Runs] | None,
    region: str,
) -> str:
    """The section; empty where sizes are not known, or there are too few of them.

    Args:
        pair: both arms.
        rows: their patients.
        volumes: patient to milliliters of the region.
        lesions: findings with and without, where lesions are counted one by one.
        region: that decides.
    """
    parts = [*_lesions(pair, lesions, region), *_patients(pair, rows, volumes, region)]
    return "\n\n".join(["## By size", *parts]) if parts else ""


def _lesions(pair: Pair, lesions: tuple[Runs, Runs] | None, region: str) -> list[str]:
    """Sensitivity at one false positive per image in each third of the lesions."""
    if lesions is None:
        return []
    sizes = [volume for each in lesions[1][0] for volume in each.lesions]
    if len(sizes) < FEWEST:
        return []
    lines = []
    for name, ends in zip(NAMES, _groups(sizes), strict=True):
        count = sum(ends[0] <= size < ends[1] for size in sizes)
        if not count:
            continue
        found = [float(np.mean([sensitivities(run, (1.0,), volumes=ends)[0, 0] for run in runs])) for runs in lesions]
        lines.append([f"{name}, {_range(ends, sizes)}", str(count), *_both(*found)])
    text = f"Lesions of {region} by volume: share that is found at one false positive per image, mean over runs."
    return [text, markdown_table(_head("lesions in ml", pair), lines)]


def _patients(pair: Pair, rows: Sequence[PatientRow], volumes: Mapping[str, float], region: str) -> list[str]:
    """Mean Dice in each third of the patients who have the region."""
    having = [row for row in rows if volumes.get(row.patient, 0) > 0]
    if len(having) < FEWEST:
        return []
    sizes, lines = [volumes[row.patient] for row in having], []
    for name, ends in zip(NAMES, _groups(sizes), strict=True):
        group = [row for row in having if ends[0] <= volumes[row.patient] < ends[1]]
        if group:
            means = (float(np.mean([getattr(row, side) for row in group])) for side in ("with_it", "without"))
            lines.append([f"{name}, {_range(ends, sizes)}", str(len(group)), *_both(*means)])
    text = f"Patients by volume of {region}: mean Dice. No interval is given: these groups were not asked for."
    return [text, markdown_table(_head("volume in ml", pair), lines)]


def _head(size: str, pair: Pair) -> list[str]:
    return [size, "number", f"with: {pair.training_set}", f"without: {pair.against}", "difference"]


def _both(with_it: float, without: float) -> list[str]:
    return [f"{with_it:.3f}", f"{without:.3f}", f"{with_it - without:+.3f}"]


def _groups(sizes: Sequence[float]) -> list[tuple[float, float]]:
    """Thirds, each from its first size up to but without the next one's first."""
    inner = np.quantile(sizes, [step / GROUPS for step in range(1, GROUPS)])
    return list(pairwise([0.0, *map(float, inner), np.inf]))


def _range(ends: tuple[float, float], sizes: Sequence[float]) -> str:
    inside = [size for size in sizes if ends[0] <= size < ends[1]]
    return f"{min(inside):.3g} to {max(inside):.3g}"
