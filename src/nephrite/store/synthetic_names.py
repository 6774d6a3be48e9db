"""Ids of synthetic patients, which tell whose masks they have."""

from __future__ import annotations

SYNTHETIC_PREFIX = "synthetic-"
NUMBER_MARK = "~"


def synthetic_name(source: str, number: int) -> str:
    """Id of the `number`th synthetic patient of a source, from 1; no real id holds the mark before the number."""
    return SYNTHETIC_PREFIX + source + ("" if number == 1 else f"{NUMBER_MARK}{number}")


def is_synthetic(patient: str) -> bool:
    """Whether the id is that of a synthetic patient."""
    return patient.startswith(SYNTHETIC_PREFIX)


def source_of(patient: str) -> str:
    """The patient that a patient's masks come from; of a real patient, itself."""
    return patient.removeprefix(SYNTHETIC_PREFIX).partition(NUMBER_MARK)[0]
