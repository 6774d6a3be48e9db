"""Looks at test patients: each one costs part of what may go wrong, whatever trial or promotion it belongs to.

Whoever looks at the same test patients again and again, with another recipe each time, finds a gain in the end: 20
promotions of equals make a false champion in one case of five. So looks are counted, over all trials and promotions
whose test patients overlap, and the k-th is judged at alpha / (k (k + 1)). These shares sum to alpha, however many
looks follow, so the chance of any false word at all stays below alpha (a sequence of alpha that is spent, as Foster and
Stine 2008 have it, "Alpha-investing", Journal of the Royal Statistical Society B 70, section 2).

The same settings, code and data are the same look: a report may be written again.

A report that shows patients of another hospital looks at two sets at once. It is one look, and its number is the larger
one of both: so each set's shares still sum to no more than alpha. The sets stay apart in the ledger: who looks at one
of them later does not pay for what the other has seen.

**More cells.** A trial that declares how many cells it will have ('trial.planned_cells') may be looked at before it has
them all. Its look's alpha is spent along the way, as O'Brien and Fleming's boundary does: at a share t of the cells
2 (1 - Phi(z / sqrt(t))) is spent, with z the two-sided quantile of alpha (Lan and DeMets 1983, "Discrete sequential
boundaries for clinical trials", Biometrika 70). Each look gets what was added since the one before. This is no larger
than the exact boundary would be, and needs no model of how the looks go together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from scipy import stats

from nephrite.evidence import read_sealed, sealed
from nephrite.files import write_json
from nephrite.record_fields import STRICT, Count, Line

REMEDY = "restore it from version control; without it, looks at these test patients are not known"


@dataclass(frozen=True)
class Look:
    """One look at the scores of test patients.

    Attributes:
        kind: of a report, or of a promotion that compares a run with the champion.
        name: of the trial, or of the model.
        asked: digest of what is asked: settings, code and data but for the cells, or the weights that are compared.
        cells: that were looked at; none of a promotion.
        share: of the cells that were planned.
        patients: marks of the test patients; see `nephrite.look_ledger`.
        number: how many looks at these patients there were with this one.
        time: when it was taken, in ISO 8601.
        external: marks of patients of another hospital, whose scores were looked at as well.
    """

    __pydantic_config__ = STRICT

    kind: Literal["report", "promotion"]
    name: Line
    asked: Line
    cells: tuple[Count, ...]
    share: Annotated[float, Field(gt=0, le=1)]
    patients: tuple[Line, ...]
    number: Annotated[int, Field(ge=1)]
    time: Line
    external: tuple[Line, ...] = ()

    @property
    def sets(self) -> tuple[tuple[str, ...], ...]:
        """Marks of each set of patients that it is a look at."""
        return tuple(marks for marks in (self.patients, self.external) if marks)


@dataclass(frozen=True)
class _File:
    __pydantic_config__ = STRICT

    looks: tuple[Look, ...]
    digest: Line
    format: Literal[1] = 1


def read_looks(path: Path) -> list[Look] | None:
    """The looks that a file keeps, the oldest first; None where there is none.

    Raises:
        StoreError: it is broken, or was changed by hand.
    """
    return [*read_sealed(path, _File, REMEDY).looks] if path.is_file() else None


def write_looks(path: Path, looks: Sequence[Look]) -> None:
    """Write the looks, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    content = [asdict(look) for look in looks]
    write_json(path, sealed({"format": 1, "looks": content}))


def merged(*ledgers: Sequence[Look]) -> list[Look]:
    """Looks of several ledgers, the oldest first; one that several keep counts once, with its smallest number."""
    found: dict[tuple[object, ...], Look] = {}
    for look in [look for ledger in ledgers for look in ledger]:
        key = look.asked, look.cells, look.sets
        if key not in found or look.number < found[key].number:
            found[key] = look
    return sorted(found.values(), key=lambda look: (look.number, look.time))


def placed(ledger: Sequence[Look], asked: Look) -> Look:
    """The look that is asked for, with its number among all looks at test patients that it shares.

    The same question with the same cells keeps its number; with more cells too, as long as it grows towards the cells
    that were planned. Anything else is a further look.
    """
    known = [sharing(ledger, marks) for marks in asked.sets]
    same = [look for look in merged(*known) if look.asked == asked.asked]
    for look in same:
        if look.cells == asked.cells:
            return replace(asked, number=look.number, time=look.time)
    if same:
        last = max(same, key=lambda look: (look.number, look.share))
        if last.share < asked.share and {*last.cells} < {*asked.cells}:
            return replace(asked, number=last.number)
    return replace(asked, number=1 + max(map(_taken, known), default=0))


def _taken(known: Sequence[Look]) -> int:
    """How many looks at one set there were."""
    return max([len({(look.asked, look.number) for look in known}), *(look.number for look in known)])


def level(ledger: Sequence[Look], look: Look, alpha: float) -> float:
    """The level at which a look is judged; `alpha` is that of a single one.

    Args:
        ledger: of looks.
        look: as `placed` gives it.
        alpha: 1 - the confidence that was declared.
    """
    budget = alpha / (look.number * (look.number + 1))
    before = [
        spent(other.share, budget)
        for other in merged(*(sharing(ledger, marks) for marks in look.sets))
        if (other.asked, other.number) == (look.asked, look.number) and other.share < look.share
    ]
    return spent(look.share, budget) - max(before, default=0.0)


def spent(share: float, alpha: float) -> float:
    """How much of alpha is spent once this share of the cells is there."""
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / math.sqrt(share)))


def sharing(ledger: Sequence[Look], patients: Sequence[str]) -> list[Look]:
    """The looks at test sets that share a patient with these, or with a set that does."""
    known, found, others = {*patients}, list[Look](), [*ledger]
    while near := [look for look in others if any(known & {*marks} for marks in look.sets)]:
        found += near
        others = [look for look in others if look not in near]
        shared = [marks for look in near for marks in look.sets if known & {*marks}]
        known |= {mark for marks in shared for mark in marks}
    return sorted(found, key=lambda look: (look.number, look.time))
