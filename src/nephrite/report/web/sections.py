"""What a trial's report holds beside its record: where it comes from, patients with their slices, sizes, screening."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nephrite.config import Config
from nephrite.metrics.lesions import LesionFindings
from nephrite.metrics.persons import scores_of_persons
from nephrite.metrics.scores import ArmScores, PatientScore
from nephrite.report.notes import synthetic_stores
from nephrite.report.pages import Sections
from nephrite.report.trial_record import TrialRecord
from nephrite.report.web.patients import Pair, PatientRow, patient_rows, patients_markdown, shown_pair
from nephrite.report.web.provenance import data_facts, provenance_markdown
from nephrite.report.web.screened import screening_table
from nephrite.report.web.sizes import Runs, sizes_markdown
from nephrite.report.web.slices import Kept, LabelMaps, slice_elements, views_of
from nephrite.store.slices import EXTERNAL, PairStore
from nephrite.words import counted

MEGABYTE = 1_000_000  # bytes
TEXT = 500_000  # bytes of the page beside figures and slices; 200 patients and 18 arms take 120,000
BASE64 = 4 / 3  # characters for a byte


class Patients(NamedTuple):
    """The patients of a report, by both arms of its question."""

    record: TrialRecord
    pair: Pair
    rows: Sequence[PatientRow]

    @property
    def fraction(self) -> float:
        """Label fraction of both arms."""
        return (self.record.answer or self.record.comparisons[0]).fraction


def trial_sections(
    config: Config,
    arms: Sequence[ArmScores],
    record: TrialRecord,
    store: PairStore,
    folder: Path,
    *,
    synthetic: Path | None,
    predictions: Path | None,
) -> Sections:
    """Everything beside the record.

    Args:
        config: settings.
        arms: scores of all arms.
        record: of the trial.
        store: the prepared slices.
        folder: of the report; holds the figures already, which the page holds, too.
        synthetic: folder of all sets of synthetic slices.
        predictions: folder of the label maps that arms found.

    Raises:
        StoreError: a label map or a record of screening is broken.
    """
    above = [provenance_markdown(record, data_facts(config, store))]
    below = [screening_table(synthetic_stores(config, synthetic), synthetic)] if synthetic else []
    pair = shown_pair(record)
    if pair is None:
        return Sections(above, below)
    # slices, as many as the page has room for
    rows, elements, told = patient_rows(pair), list[str](), "The page shows no slices: no label maps were given."
    found = Patients(record, pair, rows)
    if predictions:
        room = round(config.report.megabytes * MEGABYTE - TEXT - BASE64 * _size(folder))
        elements, told = _slices(config, arms, found, store, predictions, room=room)
    # patients, and what their sizes say
    volumes, lesions = _volumes(arms, record), _lesions(arms, found)
    patients = patients_markdown(record, pair, rows, volumes, told)
    sizes = sizes_markdown(pair, rows, volumes, lesions, record.plan.region)
    return Sections([*above, patients, *([sizes] if sizes else [])], below, elements)


def _slices(
    config: Config, arms: Sequence[ArmScores], found: Patients, store: PairStore, predictions: Path, *, room: int
) -> tuple[list[str], str]:
    """The elements, and a sentence on them."""
    settings, record = config.report, found.record
    if not settings.slices:
        return [], "The page shows no slices: 'report.slices' is 0."
    kept = Kept(store, LabelMaps(predictions, found.fraction, arms), config)
    split = EXTERNAL if record.plan.where == "external" else record.plan.judged_on
    scans: dict[str, list[str]] = {}
    for scan, person in store.persons(split).items():
        scans.setdefault(person, []).append(scan)
    views = views_of(kept, found.pair, found.rows, scans)
    elements, most = slice_elements(views, found.pair, found.rows, most=settings.slices, room=room)
    if elements:
        many = f" of {len(elements)} of them" if len(elements) < len(found.rows) else ""
        told = f"On the page, select a patient to see up to {counted(most, 'slice')}{many}."
        windows = config.evaluate.windows
        dark = (
            f" What lies outside of the {counted(windows.count, 'window')} that are scored is dark." if windows else ""
        )
        return elements, told + dark
    finding = (
        f"{settings.megabytes:g} MB ('report.megabytes') have no room for them"
        if room <= 0
        else "'evaluate' kept no label maps"
    )
    return [], f"The page shows no slices: {finding}."


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.png"))


def _judged(scores: ArmScores, record: TrialRecord) -> Sequence[PatientScore]:
    """The scores of the patients that the headline is about."""
    return scores_of_persons(scores.external if record.plan.where == "external" else scores.patients)


def _volumes(arms: Sequence[ArmScores], record: TrialRecord) -> Mapping[str, float]:
    """Milliliters of the region that decides in each patient's label map; they are the same for all arms."""
    region = record.plan.region
    return {each.patient: each.regions[region].truth_volume for each in _judged(arms[0], record)}


def _lesions(arms: Sequence[ArmScores], found: Patients) -> tuple[Runs, Runs] | None:
    """Findings of the runs with and without, where lesions of the region are counted one by one."""
    region, sides = found.record.plan.region, list[list[list[LesionFindings]]]()
    for name in (found.pair.training_set, found.pair.against):
        runs = [each for each in arms if (each.arm.training_set, each.arm.fraction) == (name, found.fraction)]
        runs = [each for each in runs if (each.arm.segmenter, each.arm.cell) in found.pair.with_it]
        judged = [_judged(run, found.record) for run in runs]
        sides.append([[each.lesions[region] for each in scores if region in each.lesions] for scores in judged])
    return (sides[0], sides[1]) if all(side and all(side) for side in sides) else None
