from __future__ import annotations

from pathlib import Path

import numpy as np

from nephrite.segmentation.fit_task import Cohort
from nephrite.segmentation.programs.cohort_cases import cases_of
from nephrite.store.slices import PairStore


def test_a_patient_is_a_case_whatever_the_slices_are(pairs: Path) -> None:
    store = PairStore(pairs)
    cases = [*cases_of(Cohort(store, ["a1", "a2"]))]
    assert [case.name for case in cases] == ["a1", "a2"]
    for case in cases:
        assert case.label is not None
        assert np.array_equal(case.label, store.label(case.name))
        assert case.scan.shape == store.image(case.name).shape
