from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nephrite.config import ScreenSettings
from nephrite.screening.acceptance import EMPTY, Measures, Screening, compare_features
from nephrite.screening.class_intensity import IntensityTally, intensity_ranges
from nephrite.screening.continuity import Continuity
from nephrite.screening.memorization import measure_memorization
from nephrite.screening.screening_page import headline_figures, screening_facts, screening_markdown, screening_rows
from nephrite.store.slices import SliceRef

COUNT = 40
CLASSES = {0: "background", 1: "nodule", 2: "cyst"}


def measures(dice: float, seed: int) -> Measures:
    """Slices that ask for nodules, whose last one is empty; none has a cyst."""
    rng = np.random.default_rng(seed)
    label = np.zeros((COUNT, 8, 8), np.uint8)
    label[:-1, 2:5, 2:5] = 1
    asked = np.repeat(np.arange(COUNT)[:, None] < COUNT - 1, 2, axis=1)
    return Measures(
        dice=np.where(asked, dice, np.nan),
        asked=asked,
        found_share=np.zeros(COUNT),
        pixels=np.stack([(label == value).sum(axis=(1, 2)) for value in (1, 2)], axis=1),
        intensity=IntensityTally.of(0.5 + 0.1 * label, label, CLASSES),
        features=rng.standard_normal((COUNT, 3)),
    )


@pytest.fixture
def screening() -> Screening:
    """Painted slices of which the first is a copy."""
    training, validation, painted = np.random.default_rng(0).random((3, COUNT, 24, 24)).astype(np.float32)
    painted[0] = training[3]
    known = measures(0.9, 1)
    return Screening(
        settings=ScreenSettings(segmenter="light", steps=1),
        channels=("nodule",),
        classes=CLASSES,
        training=known,
        validation=measures(0.2, 2),
        painted=measures(0.8, 3),
        ranges=intensity_ranges(known.intensity.only((0, 1)), CLASSES),
        memorization=measure_memorization(painted, training, validation, [SliceRef("a", n) for n in range(COUNT)]),
        repeated=np.arange(COUNT) < 10,
        mask_overlap=np.where(np.arange(COUNT) < COUNT - 1, 1.0, np.nan),
        sizes=("tiny",) * (COUNT - 1) + (EMPTY,),
        continuity=Continuity(np.array([0.2, 0.4, 0.3]), np.array([0.1, 0.2])),
    )


@pytest.fixture
def facts(screening: Screening) -> dict[str, Any]:
    """What is written of them."""
    return {"painter": "spade/0.5/1", **screening_facts(screening, compare_features(screening, seed=0))}


def test_facts_are_json_without_nan(facts: dict[str, Any]) -> None:
    assert json.loads(json.dumps(facts, allow_nan=False))["format"] == 1


def test_facts_say_what_was_rejected_and_what_validation_slices_would_be(facts: dict[str, Any]) -> None:
    copies = int(np.ceil(facts["rejected"]["memorization"]["slices"]))
    assert facts["rejected"]["memorization"]["share_of_validation_slices"] == pytest.approx(1 / 41)
    assert facts["rejected"]["agreement"] == {"slices": 0, "share": 0, "share_of_validation_slices": 0.975}
    assert (facts["painted"], facts["accepted"]) == (COUNT, COUNT - copies)
    assert facts["sizes"][0] == {"size": "tiny", "painted": 39, "accepted": 39 - copies}


def test_facts_hold_agreement_memorization_fidelity_and_novelty(facts: dict[str, Any]) -> None:
    assert facts["agreement"]["painted"]["nodule"] == {"slices": 39, "p10": 0.8, "median": 0.8, "p90": 0.8}
    assert facts["memorization"]["share"] == facts["rejected"]["memorization"]["share"] >= 1 / COUNT
    assert facts["memorization"]["repeated_share"] == 0.25
    assert facts["fidelity"]["slices"] <= 39
    assert set(facts["intensity"]) == {"background", "nodule"}
    assert facts["novelty"]["training_mask_as_it_is"] == 1


def test_limits_are_stated(facts: dict[str, Any]) -> None:
    told = "\n".join(facts["limits"])
    for part in (
        "40 validation slices are fewer",
        "'agreement' would reject 98% of real",
        "100% of the masks are training",
        "No training slice holds cyst",
    ):
        assert part in told


def test_rows_give_reasons_and_leave_blank_what_is_not_known(screening: Screening) -> None:
    first, *_, last = screening_rows(screening)
    assert (first["accepted"], first["failed"], first["nearest_slice"]) == (0, "memorization", 3)
    assert (last["agreement"], last["agreement_nodule"], last["mask_overlap"], last["size"]) == ("", "", "", EMPTY)


def test_page_shows_every_table_and_picture(facts: dict[str, Any]) -> None:
    page = screening_markdown(facts, [("Accepted slices", "accepted.png")])
    assert "# Synthetic slices of spade/0.5/1" in page
    assert "| agreement | 0 | 0.0% | 97.5% |" in page
    assert "25.0% of the painted slices repeat the picture of an earlier one." in page
    assert "![Accepted slices](accepted.png)" in page


def test_page_shows_how_much_neighboring_slices_differ_or_that_there_are_none(facts: dict[str, Any]) -> None:
    page = screening_markdown(facts, [])
    assert "| painted | 3 | 0.220 | 0.300 | 0.380 |" in page
    assert "| real | 2 | 0.110 | 0.150 | 0.190 |" in page
    assert "Painted over real, by medians: 2.000." in page
    assert headline_figures(facts)["continuity_ratio"] == pytest.approx(2)
    facts["continuity"] = Continuity(np.array([]), np.array([])).facts
    assert "no neighboring slices were painted" in screening_markdown(facts, [])
    assert "continuity_ratio" not in headline_figures(facts)


def test_page_says_where_fidelity_was_not_measured(facts: dict[str, Any]) -> None:
    facts["fidelity"] = {"slices": 5, "validation": None, "painted": None, "accepted": None}
    assert "Not measured: too few slices." in screening_markdown(facts, [])
    assert not {name for name in headline_figures(facts) if name.startswith("kid")}


def test_headline_figures_are_numbers(facts: dict[str, Any]) -> None:
    figures = headline_figures(facts)
    assert figures["accepted_share"] == facts["accepted_share"]
    assert {"kid_validation", "kid_painted", "memorized_share", "honest_share"} <= set(figures)
