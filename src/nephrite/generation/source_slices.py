"""Which slices are painted: passes over those of the patients whose labels are known, and runs of scans without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from nephrite.errors import ConfigError
from nephrite.seeds import derive_seed
from nephrite.store.slices import PairStore

RUN = 12  # neighboring slices of a scan that get new lesions together


class Pass(NamedTuple):
    """Slices of one patient that become one synthetic patient.

    Attributes:
        source: patient.
        number: of the synthetic patient, from 1.
        positions: each once, ascending.
    """

    source: str
    number: int
    positions: tuple[int, ...]


class Share(NamedTuple):
    """How many slices are painted from masks of patients with labels, and how many on other scans."""

    masks: int
    scans: int


def count_slices(store: PairStore, labeled: Sequence[str], ratio: float, scans: float) -> Share:
    """How many slices are painted.

    Args:
        store: of real slices.
        labeled: training patients whose labels are known.
        ratio: slices per slice of theirs.
        scans: share that is painted on other scans.

    Raises:
        ConfigError: the settings leave no slice to paint.
    """
    real = len(store.slices_of(labeled))
    wanted = round(ratio * real)
    if wanted == 0:
        raise ConfigError("synthesize.ratio", f"{ratio:g} of {real} training slices rounds to none", "raise it")
    others = round(scans * wanted)
    return Share(wanted - others, others)


def choose_passes(
    store: PairStore, labeled: Sequence[str], wanted: int, *, labeled_only: bool, seed: int
) -> list[Pass]:
    """Passes over training slices; a slice comes again only when all others have come as often.

    Args:
        store: of real slices.
        labeled: training patients whose labels are known.
        wanted: slices in all passes together.
        labeled_only: whether a slice without any class is left out.
        seed: decides which come more often than others.

    Raises:
        ConfigError: no slice is left.
    """
    slices = store.slices_of(labeled, labeled_only=labeled_only)
    if not slices:
        finding = f"{str(labeled_only).lower()} leaves no slice of the {len(labeled)} training patients"
        raise ConfigError(
            "synthesize.labeled_only", f"{finding} of {store.root}", "set it to false, or check the labels"
        )
    # as many passes over the slices as it takes, the last one in part
    rng, passes = np.random.default_rng(seed), []
    for number in range(-(-wanted // len(slices))):
        chosen = sorted(slices[place] for place in rng.permutation(len(slices))[: wanted - number * len(slices)])
        for patient, refs in groupby(chosen, key=lambda ref: ref.patient):
            passes.append(Pass(patient, number + 1, tuple(ref.position for ref in refs)))
    return passes


def scan_runs(store: PairStore, scans: Sequence[str], *, seed: int) -> Iterator[Pass]:
    """Endless runs of neighboring slices of scans; a scan comes again only when all others have come as often."""
    number = 1
    while True:
        for place in np.random.default_rng(derive_seed(seed, number)).permutation(len(scans)):
            scan = scans[place]
            count = len(store.image(scan))
            start = derive_seed(seed, number, scan) % (max(count - RUN, 0) + 1)
            yield Pass(scan, number, tuple(range(start, min(start + RUN, count))))
        number += 1
