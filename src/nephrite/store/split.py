"""Patient splits: dealt out by rank of a hash, or by a file; and the training patients whose labels a cell knows."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from nephrite.config import DEMANDED, SPLITS, SplitSettings, TrialSettings
from nephrite.errors import ConfigError, SplitError
from nephrite.store.persons import Persons, check_apart, count_persons, others
from nephrite.store.slices import UNLABELED


def split_patients(
    scans: Persons,
    settings: SplitSettings,
    *,
    strata: Mapping[str, str] | None = None,
    earlier: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Map each scan to its split: 'train', 'validation', 'test' or 'confirmation'; all scans of a person to the same.

    Persons are dealt out one by one, stratum after stratum, in the order of their hash, each to the split that lacks
    most of its share. So every split has its share to within one person, of all and about of each stratum. A person
    who was placed before stays there.

    Args:
        scans: each to its person.
        settings: shares and salt, or a file that names the split of each scan.
        strata: person to stratum; all in one unless told.
        earlier: scan to split, of an earlier split by the same settings.

    Raises:
        SplitError: a split with a share above zero got nobody; or the file lacks a scan, names others, or puts scans of
            one person into two splits.
    """
    if settings.file is not None:
        return _split_by_file(settings.file, scans)
    # those who were placed before, then the others
    names = sorted({*scans.values()})
    placed = _placed_before(scans, earlier or {})
    ranked = _ranked((name for name in names if name not in placed), settings.salt)
    waiting = sorted(ranked, key=lambda name: (strata or {}).get(name, ""))  # the order of the ranks stays
    counts = {split: [*placed.values()].count(split) for split in SPLITS}
    for number, patient in enumerate(waiting, start=len(placed) + 1):
        lacks = {split: round(getattr(settings, split) * number - counts[split], 9) for split in SPLITS}
        placed[patient] = max(SPLITS, key=lacks.__getitem__)
        counts[placed[patient]] += 1
    # no split may be empty
    for split, count in counts.items():
        share = getattr(settings, split)
        if share > 0 and not count:
            stay = ", since those of the earlier split stay where they are" if earlier else ""
            finding = f"{len(placed)} patients leave none for '{split}' (share {share:g}){stay}"
            raise SplitError("prepare.split", finding, "add patients, or change the shares")
    return {scan: placed[scans[scan]] for scan in sorted(scans)}


def _placed_before(scans: Persons, earlier: Mapping[str, str]) -> dict[str, str]:
    """Where persons stood before; who stood in two places, before a table said so, is where more was seen of them."""
    found: dict[str, str] = {}
    for scan, place in earlier.items():
        if scan in scans and place in SPLITS:
            person = scans[scan]
            found[person] = min(place, found.get(person, place), key=SPLITS.index)
    return found


def lesion_strata(volumes: Mapping[str, float]) -> dict[str, str]:
    """Strata by what a patient has of lesions: none, or the small, middling and large thirds of those that have some.

    Args:
        volumes: patient to mm3 of lesions.
    """
    having = sorted((name for name, volume in volumes.items() if volume > 0), key=lambda name: (volumes[name], name))
    strata = dict.fromkeys(volumes, "0 none")
    for place, name in enumerate(having):
        strata[name] = ("1 small", "2 middling", "3 large")[3 * place // len(having)]
    return strata


def _split_by_file(path: Path, scans: Persons) -> dict[str, str]:
    """The split of a user's own file, for exactly these scans."""
    patients = sorted(scans)
    remedy = "write a line 'patient,split' for each labeled patient, with train, validation or test"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [*csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise SplitError(path, f"cannot be read ({error})", remedy) from None
    if not rows or not {"patient", "split"} <= rows[0].keys():
        raise SplitError(path, "has no columns 'patient' and 'split', or no line below them", remedy)
    found: dict[str, str] = {}
    for row in rows:
        patient, split = (str(row[name] or "").strip() for name in ("patient", "split"))
        if split not in SPLITS:
            raise SplitError(path, f"puts '{patient}' into '{split}'", remedy)
        if found.setdefault(patient, split) != split:
            raise SplitError(path, f"puts '{patient}' into {found[patient]} and into {split}", remedy)
    # the same patients, no others
    unknown, missing = sorted({*found} - {*patients}), sorted({*patients} - {*found})
    for odd, finding in ((unknown, "names unknown patients"), (missing, "lacks patients")):
        if odd:
            raise SplitError(path, f"{finding} {', '.join(odd[:5])}{' ...' if len(odd) > 5 else ''}", remedy)
    if absent := [split for split in DEMANDED if split not in found.values()]:
        raise SplitError(path, f"puts no patient into {' or '.join(absent)}", remedy)
    check_apart(path, found, scans, "put all scans of a patient into one split")
    return {patient: found[patient] for patient in patients}


def unlabeled_patients(splits: Mapping[str, str], persons: Persons, labeled: Iterable[str]) -> list[str]:
    """Scans that a cell may see without labels, sorted: those that have none, and those of other training patients.

    Args:
        splits: scan to split.
        persons: scan to person.
        labeled: training scans whose labels the cell knows; no other scan of these persons is among the result.
    """
    return others(splits, persons, labeled, allowed=("train", UNLABELED))


def demand_unlabeled(found: Collection[str], asker: str) -> None:
    """Refuse whoever learns from scans without labels where there are none.

    Args:
        found: see `unlabeled_patients`.
        asker: an arm or a setting, for the error.

    Raises:
        ConfigError: there are none.
    """
    if not found:
        remedy = "name 'acquire.unlabeled', or take a label fraction below 1"
        raise ConfigError(asker, "needs scans without labels, and there are none", remedy)


def training_subset(scans: Persons, fraction: float, *, cell: int, trial: TrialSettings, least: int = 0) -> list[str]:
    """The scans whose labels a cell knows at a label fraction, sorted: of those of training, or of validation.

    A fraction is one of patients, whole ones: with all of their scans, or none.

    Up to 'trial.disjoint_fraction' cells share no patient: cell 0 takes the first patients of one ranking by hash, cell
    1 the next, and so on as far as they reach. A cell goes on with the others in a ranking of its own, and one that
    nothing was left for starts with it. So smaller fractions are nested in larger ones, further cells change none, and
    a new patient takes a place without reordering the others.

    Args:
        scans: all of training, or of validation, each to its person.
        fraction: of the persons, rounded to whole ones.
        cell: number of the cell.
        trial: for the seed, and the share up to which cells are disjoint.
        least: patients that are taken whatever the fraction.

    Raises:
        ConfigError: the fraction leaves no patient, and is not 0.
    """
    if fraction == 0:  # of 'trial.without_labels'
        return []
    known = sorted({*scans.values()})
    count = max(round(fraction * len(known)), least)
    if count == 0:
        finding = f"{fraction:g} of {len(known)} training patients rounds to none"
        raise ConfigError("trial.label_fractions", finding, f"take at least {1 / max(len(known), 1):.2g}")
    # patients of its own, as far as they reach
    block = max(1, round(trial.disjoint_fraction * len(known)))
    start = cell * block
    own = _ranked(known, f"{trial.seed}")[start : start + block] if start + block <= len(known) else []
    # then any, in the cell's own order
    any_others = [person for person in _ranked(known, f"{trial.seed}:{cell}") if person not in own]
    chosen = {*[*own, *any_others][:count]}
    return sorted(scan for scan, person in scans.items() if person in chosen)


def shared_patients(scans: Persons, fraction: float, *, cells: Sequence[int], trial: TrialSettings) -> float:
    """The share of its training patients that a cell has in common with another, on average over all pairs of cells.

    With a single cell it is what a second one would have in common with it if both were drawn at random.

    Raises:
        ConfigError: the fraction leaves no patient.
    """
    subsets = [{scans[scan] for scan in training_subset(scans, fraction, cell=cell, trial=trial)} for cell in cells]
    if len(subsets) == 1:
        return len(subsets[0]) / count_persons(scans)
    shared = [len(one & other) / len(one) for one, other in itertools.combinations(subsets, 2)]
    return math.fsum(shared) / len(shared)


def _ranked(patients: Iterable[str], key: str) -> list[str]:
    return sorted(patients, key=lambda patient: hashlib.sha256(f"{key}:{patient}".encode()).digest())
