"""How much neighboring slices differ: of painted patients, and of the scans that they were painted after.

Slices that are painted one by one may flicker from one to the next, which no measure of single slices shows. The
measure is the total variation along the slice axis, which Chung et al. 2023 penalize ("Solving 3D inverse problems
using pre-trained 2D diffusion models", CVPR, section 3), per voxel of the body: the mean absolute difference of two
neighboring slices, in units of the intensity window. It depends on what is shown and on the distance of slices; so the
same slices of the source scan stand beside it, where there is one, else all neighbors among the training slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from nephrite.store.runs import runs_of
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.thinning import thin

QUANTILES = (0.1, 0.5, 0.9)
MOST = 2000  # pairs of each kind that are looked at, evenly over all

Pair = tuple[SliceRef, SliceRef]


@dataclass(frozen=True)
class Continuity:
    """Differences of neighboring slices, one for each pair; none where no neighbors were painted."""

    painted: Float[np.ndarray, " pair"]
    real: Float[np.ndarray, " pair"]

    @property
    def facts(self) -> dict[str, Any]:
        """For screening.json: pairs and quantiles of both, and the ratio of the medians; null where there are none."""
        found: dict[str, Any] = {"ratio": self.ratio}
        for name, values in (("painted", self.painted), ("real", self.real)):
            spread = np.quantile(values, QUANTILES).tolist() if len(values) else [None] * len(QUANTILES)
            found[name] = {"pairs": len(values), **dict(zip(("p10", "median", "p90"), spread, strict=True))}
        return found

    @property
    def ratio(self) -> float | None:
        """Median of painted over that of real pairs; 1 = as smooth, above 1 = they flicker. None without pairs."""
        if not len(self.painted) or not len(self.real) or not np.median(self.real):
            return None
        return float(np.median(self.painted) / np.median(self.real))


def measure_continuity(painted: PairStore, real: PairStore, training: Sequence[SliceRef]) -> Continuity:
    """Compare neighboring slices of painted patients with those of real scans.

    Args:
        painted: synthetic slices.
        real: of the scans.
        training: real slices that stand beside slices without a source.
    """
    pairs = [pair for patient in painted.patients() for pair in _neighbors(painted, patient)]
    sources = dict.fromkeys(source for pair in pairs if (source := _source(painted, real, pair)))
    known = {*training}
    others = ((one, one._replace(position=one.position + 1)) for one in training)
    beside = [*sources] or [pair for pair in others if pair[1] in known]
    return Continuity(_differences(painted, pairs), _differences(real, beside if pairs else []))


def _neighbors(store: PairStore, patient: str) -> Iterator[Pair]:
    for run in runs_of(store, patient):
        yield from pairwise(SliceRef(patient, position) for position in run.part)


def _source(painted: PairStore, real: PairStore, pair: Pair) -> Pair | None:
    """The same two slices of the scan that a pair was painted after."""
    provenance = painted.patient(pair[0].patient).provenance
    source = provenance.source_patient if provenance else None
    if provenance is None or source is None or source not in real.splits:
        return None
    one, other = (SliceRef(source, provenance.source_slices[ref.position]) for ref in pair)
    return one, other


def _differences(store: PairStore, pairs: Sequence[Pair]) -> Float[np.ndarray, " pair"]:
    """Mean absolute difference of each pair in the body: where either slice is above the lower end of the window."""
    found = []
    for pair in thin(pairs, MOST):
        one, other = store.windowed_of(pair)
        body = (one > 0) | (other > 0)
        if body.any():
            found.append(float(np.abs(one - other)[body].mean()))
    return np.array(found)
