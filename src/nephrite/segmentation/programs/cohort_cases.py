"""The cases that a program learns from: patients, or runs of neighboring slices."""

from __future__ import annotations

from collections.abc import Iterator

from nephrite.programs.case_folders import Case, distinct_names
from nephrite.segmentation.backend import StoredScan
from nephrite.segmentation.fit_task import Cohort
from nephrite.store.runs import Run, volumes_of


def cases_of(cohort: Cohort, *, volumes: bool = False) -> Iterator[Case]:
    """A case for each patient of a cohort.

    Args:
        cohort: patients whose labels are known.
        volumes: whether slices of a case must be neighbors: each run of a painted patient's is a case of its own then.
    """
    store = cohort.source.volumes
    runs = [Run(patient, range(len(store.label(patient)))) for patient in cohort.patients]
    if volumes:
        runs = volumes_of(store, cohort.patients)
    for name, (patient, part) in zip(distinct_names([run.patient for run in runs]), runs, strict=True):
        label = cohort.source.label(patient)[part.start : part.stop]
        yield Case(name, StoredScan(store, patient, part=part), label)
