"""Which slices a reader study shows: as many real as synthetic ones, drawn by a seed.

What is not to be judged must not tell the kinds apart. So the real slices hold the same classes as the synthetic ones,
as often, and both are spread over as many patients as there are. Real slices come from patients from whom no shown
synthetic slice derives, as long as there are some: else a reader who has seen one of both would know the other one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nephrite.config import SPLITS
from nephrite.errors import StoreError
from nephrite.record_fields import STRICT, Count, PatientId
from nephrite.seeds import derive_seed
from nephrite.store.index_table import Row
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.leakage import check_fit
from nephrite.words import counted

Kind = Literal["real", "synthetic"]
Presence = tuple[bool, ...]  # of each class


@dataclass(frozen=True)
class Shown:
    """One slice of a study.

    Attributes:
        kind: what it is, which no reader is told.
        patient, position: where it lies in its store.
    """

    __pydantic_config__ = STRICT

    kind: Kind
    patient: PatientId
    position: Count


@dataclass(frozen=True)
class Draw:
    """What was drawn.

    Attributes:
        slices: real and synthetic ones, mixed.
        derived: real slices of patients from whom shown synthetic slices derive.
        unmatched: real slices that hold other classes than the synthetic slice for which each was drawn.
        real_patients, synthetic_patients: of how many patients the slices of each kind are; a synthetic slice counts
            for the patient whose mask or scan it was made of.
    """

    slices: tuple[Shown, ...]
    derived: int
    unmatched: int
    real_patients: int
    synthetic_patients: int


class Pool:
    """Slices to draw from, evenly over persons: from whom fewest were drawn, each in an order of chance.

    Args:
        slices: each with its person.
        drawn: how often each person was drawn; shared by the pools of a kind, and counted on.
        most: slices of one person; None: any number.
        generator: of the order.
    """

    def __init__(
        self,
        slices: Iterable[tuple[SliceRef, str]],
        drawn: Counter[str],
        most: int | None,
        generator: np.random.Generator,
    ) -> None:
        found: dict[str, list[SliceRef]] = {}
        for ref, person in slices:
            found.setdefault(person, []).append(ref)
        persons = [sorted(found)[place] for place in generator.permutation(len(found))]
        self._left: dict[str, list[SliceRef]] = {
            person: [found[person][place] for place in generator.permutation(len(found[person]))] for person in persons
        }
        self._drawn, self._most = drawn, most

    def draw(self) -> SliceRef | None:
        """The next slice; None where none is left."""
        most = np.inf if self._most is None else self._most
        allowed = [person for person, left in self._left.items() if left and self._drawn[person] < most]
        if not allowed:
            return None
        person = min(allowed, key=lambda name: self._drawn[name])  # the first one of those drawn equally often
        self._drawn[person] += 1
        return self._left[person].pop()


def draw_slices(real: PairStore, synthetic: PairStore, *, count: int, per_patient: int | None, seed: int) -> Draw:
    """Draw the slices of a study.

    Args:
        real: prepared slices.
        synthetic: accepted slices of one painter.
        count: slices of each kind.
        per_patient: most slices of one patient, of each kind; None: as few as there can be.
        seed: of the draw.

    Raises:
        StoreError: the stores do not fit each other, or hold too few slices.
    """
    check_stores(real, synthetic)
    generator = np.random.default_rng(derive_seed(seed, "reader study"))
    # synthetic slices, evenly over the patients that they were made of
    sources = {patient: _source(real, synthetic, patient) for patient in synthetic.patients()}
    rows, drawn = {_ref(row): row for row in synthetic.index}, Counter[str]()
    pool = Pool([(ref, sources[ref.patient]) for ref in rows], drawn, per_patient, generator)
    fakes = [ref for _ in range(count) if (ref := pool.draw())]
    if len(fakes) < count:
        raise _too_few(synthetic, len(fakes), count, per_patient)
    # real slices with the same classes
    known = _known(real, synthetic, {ref.patient for ref in fakes})
    others = Counter[str]()
    pools = _pools(real, known, others, per_patient, generator)
    held, derived, unmatched = list[SliceRef](), 0, 0
    for presence in sorted(_presence(rows[ref], real) for ref in fakes):
        found = _choose(pools, presence)
        if found is None:
            raise _too_few(real, len(held), count, per_patient)
        ref, matched = found
        held.append(ref)
        derived += real.person(ref.patient) in known
        unmatched += not matched
    # mixed
    slices = [Shown("synthetic", *ref) for ref in fakes] + [Shown("real", *ref) for ref in held]
    mixed = tuple(slices[place] for place in generator.permutation(len(slices)))
    return Draw(mixed, derived, unmatched, len(+others), len(+drawn))


def check_stores(real: PairStore, synthetic: PairStore) -> None:
    """Refuse stores that are not a real one and a synthetic one made from it, with a slice at least.

    Raises:
        StoreError: names the store and the finding.
    """
    if real.manifest.kind != "real":
        raise StoreError(real.root, "is a 'synthetic' store, not a 'real' one", "name the folder that 'prepare' wrote")
    check_fit(synthetic, real)
    made_from = synthetic.manifest.inputs.get("pairs", real.manifest.digest)
    if made_from != real.manifest.digest:
        finding = f"was made from other real slices (digest {made_from[:12]}...) than those of {real.root}"
        raise StoreError(synthetic.root, finding, "name the store that it was made from")
    if not synthetic.index:
        remedy = "loosen the thresholds of 'screen', or name the set of another painter"
        raise StoreError(synthetic.root, "holds no accepted slice", remedy)
    for store in (real, synthetic):
        store.of_one_channel()


def _ref(row: Row) -> SliceRef:
    return SliceRef(row["patient"], row["slice"])


def _presence(row: Row, store: PairStore) -> Presence:
    return tuple(row[name] > 0 for name in store.manifest.classes.values())


def _source(real: PairStore, synthetic: PairStore, patient: str) -> str:
    """The person that a synthetic patient was made of; itself where it is nobody's."""
    provenance = synthetic.patient(patient).provenance
    return real.person(provenance.source_patient) if provenance and provenance.source_patient else patient


def _known(real: PairStore, synthetic: PairStore, patients: Iterable[str]) -> set[str]:
    """Every person from whose labels or scan these synthetic patients derive."""
    found = [provenance for name in patients if (provenance := synthetic.patient(name).provenance)]
    names = {
        name
        for each in found
        for name in (*each.patients, *each.unlabeled_patients, each.source_patient, each.style_patient)
        if name
    }
    return {real.person(name) for name in names}


def _too_few(store: PairStore, found: int, count: int, per_patient: int | None) -> StoreError:
    limit = f" with at most {per_patient} of a patient" if per_patient else ""
    slices = counted(found, f"{store.manifest.kind} slice")
    finding = f"has {slices} to show{limit}, and {count} of each kind are asked for"
    fewer = f"ask for fewer: --slices {found}" if found > 1 else "name another store"
    return StoreError(store.root, finding, f"{fewer}{', or raise --per-patient' if per_patient else ''}")


Pools = dict[Presence, tuple[Pool, Pool]]  # of each set of classes: of patients unknown to the painter, and of others


def _pools(
    real: PairStore, known: set[str], drawn: Counter[str], most: int | None, generator: np.random.Generator
) -> Pools:
    sides: dict[Presence, tuple[list[tuple[SliceRef, str]], list[tuple[SliceRef, str]]]] = {}
    for row in real.index:
        if row["split"] in SPLITS:
            person = real.person(row["patient"])
            sides.setdefault(_presence(row, real), ([], []))[person in known].append((_ref(row), person))
    return {
        presence: (Pool(apart, drawn, most, generator), Pool(same, drawn, most, generator))
        for presence, (apart, same) in sorted(sides.items())
    }


def _choose(pools: Pools, presence: Presence) -> tuple[SliceRef, bool] | None:
    """The next real slice, and whether it holds the classes asked for; else one whose classes differ least."""
    distance = {other: sum(a != b for a, b in zip(other, presence, strict=True)) for other in pools}
    for other in sorted(pools, key=lambda name: (distance[name], name)):
        for pool in pools[other]:
            if ref := pool.draw():
                return ref, distance[other] == 0
    return None
