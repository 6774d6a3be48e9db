"""Scans in raw data that are not split: those without label maps, lesion-free ones, and those of another hospital."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nephrite.imaging.sources import Case, Scan, check_others, find_cases, find_either, find_scans
from nephrite.store.records import EXTERNAL, FORMER_UNLABELED, LESION_FREE, UNLABELED


def find_others(raw: Path, labeled: Sequence[str]) -> tuple[list[Case | Scan], dict[str, str]]:
    """Scans that are not split, and the group that each is of: without labels, lesion-free, of another hospital.

    Raises:
        SourceError: one is of a patient who stands elsewhere already.
    """
    unlabeled = [raw / name for name in (UNLABELED, FORMER_UNLABELED) if (raw / name).is_dir()]
    groups: list[tuple[Path, str, list[Case | Scan]]] = [
        (folder, UNLABELED, [*find_scans(folder)]) for folder in unlabeled[:1]
    ]
    if (raw / LESION_FREE).is_dir():
        groups.append((raw / LESION_FREE, LESION_FREE, find_either(raw / LESION_FREE)))
    if (raw / EXTERNAL).is_dir():
        groups.append((raw / EXTERNAL, EXTERNAL, [*find_cases(raw / EXTERNAL)]))
    cases, others = list[Case | Scan](), dict[str, str]()
    for folder, group, found in groups:
        check_others(folder, found, dict.fromkeys(labeled, "labeled patients") | others)
        cases += found
        others |= {case.patient: group for case in found}
    return cases, others
