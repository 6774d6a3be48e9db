"""Which patients have which label values: a class that no patient has can be neither learned nor scored."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nephrite.errors import ConfigError
from nephrite.store.grid_loss import vanished_patients
from nephrite.store.slices import PairStore


def holders(store: PairStore, patients: Iterable[str], values: Collection[int]) -> list[str]:
    """The patients, sorted, who have a pixel of one of the label values."""
    names, asked = [store.manifest.classes[value] for value in values], set(patients)
    return sorted({row["patient"] for row in store.index if row["patient"] in asked and any(row[n] for n in names)})


def held(store: PairStore, patients: Collection[str], values: Collection[int]) -> bool:
    """Whether any of the patients has one of the label values: on the grid, or in a scan where it vanished on it."""
    return bool(holders(store, patients, values)) or bool(vanished_patients(store, patients, values))


def demand_holders(
    store: PairStore, patients: Collection[str], values: Collection[int], *, region: str, who: str, remedy: str
) -> None:
    """Refuse patients of whom none has the region that decides the trial.

    Args:
        store: of real slices.
        patients: of an arm, or of a split.
        values: the region's label values.
        region: its name.
        who: what the patients are, for the error.
        remedy: what the user can do, for the error.

    Raises:
        ConfigError: none of them has it; their scores would say nothing about it.
    """
    if not holders(store, patients, values):
        finding = f"'{region}' with labels {sorted(values)} is in none of the {len(patients)} {who} of {store.root}"
        raise ConfigError("trial.primary", finding, remedy)


def absent_classes(store: PairStore, patients: Collection[str]) -> list[str]:
    """Names of the classes that none of the patients has."""
    return [name for value, name in store.manifest.classes.items() if not holders(store, patients, [value])]
