from __future__ import annotations

from nephrite.metrics.lesions import Candidate, LesionFindings
from nephrite.report.web.patients import Pair, patient_rows
from nephrite.report.web.sizes import sizes_markdown

UNIT = ("light", 0)
NAMES = [f"p{number}" for number in range(6)]
VOLUMES = {name: 1.0 + number for number, name in enumerate(NAMES)}


def pair_of(gain: float) -> Pair:
    """Six patients, of whom those with little of the region gain."""
    with_it = {name: 0.5 + gain * (number < 2) for number, name in enumerate(NAMES)}
    return Pair("fakes", "real", {UNIT: with_it}, {UNIT: dict.fromkeys(NAMES, 0.5)})


def test_patients_stand_in_thirds_by_volume_and_those_without_the_region_in_none() -> None:
    pair = pair_of(0.2)
    text = sizes_markdown(pair, patient_rows(pair), VOLUMES, None, "tumor")
    assert "| small, 1 to 2 | 2 | 0.700 | 0.500 | +0.200 |" in text
    assert "| large, 5 to 6 | 2 | 0.500 | 0.500 | +0.000 |" in text
    assert sizes_markdown(pair, patient_rows(pair), VOLUMES | {"p0": 0.0}, None, "tumor") == ""


def test_lesions_stand_in_thirds_by_volume_with_the_share_that_is_found() -> None:
    pair = pair_of(0.0)
    volumes = (0.1, 0.2, 1.0, 1.1, 5.0, 6.0)
    missed = [LesionFindings(volumes, (Candidate(0.9, 5.0, 4), Candidate(0.8, 6.0, 5)), 1)]
    found = [LesionFindings(volumes, tuple(Candidate(0.9, size, at) for at, size in enumerate(volumes)), 1)]
    text = sizes_markdown(pair, patient_rows(pair), {}, ([found], [missed]), "tumor")
    assert "| small, 0.1 to 0.2 | 2 | 1.000 | 0.000 | +1.000 |" in text
    assert "| large, 5 to 6 | 2 | 1.000 | 1.000 | +0.000 |" in text


def test_a_few_lesions_make_no_groups() -> None:
    pair = pair_of(0.0)
    few = [[LesionFindings((1.0, 2.0), (), 1)]]
    assert sizes_markdown(pair, patient_rows(pair), {}, (few, few), "tumor") == ""
