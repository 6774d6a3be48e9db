from __future__ import annotations

import pytest

from nephrite.store.synthetic_names import is_synthetic, source_of, synthetic_name


@pytest.mark.parametrize("patient", ["a1", "case_00000.x", "synthetic-a-2"])
def test_synthetic_patients_of_one_source_have_names_of_their_own_that_tell_it(patient: str) -> None:
    names = [synthetic_name(patient, number) for number in (1, 2, 12)]
    assert len({*names}) == 3
    assert {source_of(name) for name in names} == {patient}
    assert source_of("a1") == "a1"
    assert [is_synthetic(name) for name in ("a1", names[0])] == [False, True]
