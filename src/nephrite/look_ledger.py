"""The ledger of looks at test patients: a file beside the store of slices and, where runs are recorded, MLflow.

The file lies beside the store and not in it, since `prepare`, or DVC, replaces the store as a whole. Keep it under
version control. Test sets are known by their scans' files, whatever folder or trial they are in: two of the smallest
digests of each patient's files (a sample by smallest hash: Broder 1997), so that sets are told to share a patient even
where a label map was mended or a series has hundreds of files.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from nephrite.config import Config
from nephrite.errors import OutputError
from nephrite.files import as_record, digest
from nephrite.locks import wait_turn
from nephrite.mlflow_looks import EXPERIMENT, keep_look, kept_looks
from nephrite.recording import Run
from nephrite.store.slices import PairStore
from nephrite.verdict.looks import REMEDY, Look, level, merged, placed, read_looks, write_looks
from nephrite.verdict.promotion import Candidate, is_compared
from nephrite.verdict.statistics import MINIMUM_CELLS
from nephrite.words import counted

logger = logging.getLogger(__name__)
LEDGER = "looks.json"
MARKS, LENGTH = 2, 16  # digests per patient, and how much of each is kept


@dataclass(frozen=True)
class Wanted:
    """A look that is about to be taken.

    Attributes:
        kind: of the look.
        name: of the trial or model.
        asked: digest of what is asked, cells left out.
        patients: marks of the test patients.
        cells: that are looked at; none of a promotion.
        external: marks of patients of another hospital, whose scores are looked at as well.
        planned: cells that the trial will have; as many as there are unless told.
    """

    kind: Literal["report", "promotion"]
    name: str
    asked: str
    patients: tuple[str, ...]
    cells: tuple[int, ...] = ()
    planned: int | None = None
    external: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """A look that was taken: its number, the level it is judged at, and what a reader must know of the ledger."""

    look: Look
    level: float
    notes: tuple[str, ...]


def marks_of(store: PairStore, split: str) -> tuple[str, ...]:
    """Marks of the scans that are judged, by which another store of the same scans is told to share them."""
    marks = set[str]()
    for patient in store.patients(split):
        sources = sorted(store.patient(patient).sources.values())
        marks |= {source[:LENGTH] for source in sources[:MARKS]} or {digest([store.manifest.digest, patient])[:LENGTH]}
    return tuple(sorted(marks))


def counts_looks(config: Config) -> bool:
    """Whether a report of these settings is a look: not at validation patients, nor at a phantom's, who are made."""
    return config.trial.judged_on != "validation" and config.acquire.source != "phantom"


def few_cells(config: Config) -> str | None:
    """What is said of a look that can give no verdict, since it has too few cells and no more are planned; else None.

    It costs what any look costs: the means of the scores are shown, and who saw them chooses by them.
    """
    trial = config.trial
    if not counts_looks(config) or trial.planned_cells is not None or len(trial.cells) >= MINIMUM_CELLS:
        return None
    return (
        f"a look at {trial.judged_on} patients is spent on {counted(len(trial.cells), 'cell')}, and a verdict needs "
        f"{MINIMUM_CELLS}: set 'trial.judged_on' to 'validation' to see means without a look, or 'trial.planned_cells' "
        "to make this the first part of a look at all of them"
    )


def promotion_look(
    config: Config, candidate: Candidate, champion: Candidate | Literal["unknown"] | None, patients: Sequence[str]
) -> Wanted | None:
    """The look that a promotion takes; None where no scores are compared, and for a phantom's test patients.

    Args:
        config: settings.
        candidate: the run that asks.
        champion: the run in use.
        patients: marks of the test patients; without them this very set is known by its label maps' volumes.
    """
    if (
        config.acquire.source == "phantom"
        or not isinstance(champion, Candidate)
        or not is_compared(candidate, champion)
    ):
        return None
    model = config.promote.model
    asked = digest(["promotion", model, candidate.weights, champion.weights])
    return Wanted("promotion", model, asked, tuple(patients) or (digest(candidate.truth_volumes)[:LENGTH],))


def take_look(run: Run, pairs: Path | None, wanted: Wanted, *, alpha: float, ledger: Path | None = None) -> Taken:
    """Count a look and keep it, before anything of it is shown.

    Args:
        run: the record of the stage; without an id nothing is looked up or kept in MLflow.
        pairs: the store beside which the ledger lies; None where it is not at hand.
        wanted: what is looked at.
        alpha: 1 - the confidence that was declared.
        ledger: the file itself, where there is no store.

    Raises:
        StoreError: the ledger is broken or was changed.
        TrackingError: MLflow refused something, or does not answer.
    """
    path = ledger or (pairs.resolve().parent / LEDGER if pairs else None)
    with wait_turn("looks", path):  # two reports at once would each take the same number
        # both ledgers, which may know different looks
        here = read_looks(path) if path else None
        there = [as_record(look, Look, f"experiment '{EXPERIMENT}'", REMEDY) for look in kept_looks()] if run.id else []
        known = merged(here or [], there)
        # the look among them
        share = min(1.0, len(wanted.cells) / wanted.planned) if wanted.planned else 1.0
        now = datetime.now(UTC).isoformat(timespec="seconds")
        first = Look(
            wanted.kind, wanted.name, wanted.asked, wanted.cells, share, wanted.patients, 1, now, wanted.external
        )
        look = placed(known, first)
        notes = _notes(path, here, there)
        # kept before it is used
        if path and look not in (here or []):
            notes += _write(path, merged(known, [look]))
        if run.id and look not in there:
            keep_look(asdict(look))
    return Taken(look, level(known, look, alpha), tuple(notes))


def _notes(path: Path | None, here: list[Look] | None, there: list[Look]) -> list[str]:
    """What is not known of looks before this one."""
    unknown = "earlier looks at these test patients, if there were any, are not counted"
    if path is None and not there:
        return [f"No store was named, so no ledger of looks was read: {unknown}."]
    if path is not None and here is None and there:
        known = counted(len(there), "look")
        return [f"The ledger {path.name} is not there: {known} known from MLflow alone."]
    if path is not None and here is None:
        return [f"The ledger {path.name} was begun with this look: {unknown}."]
    return []


def _write(path: Path, looks: list[Look]) -> list[str]:
    try:
        write_looks(path, looks)
    except OutputError as error:
        logger.warning("%s: the look is not kept there", error)
        return [f"The ledger {path.name} cannot be written: this look is not kept there."]
    return []
