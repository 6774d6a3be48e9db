from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.report.summary import summarize
from nephrite.report.trial_record import LookRecord
from nephrite.report.web.provenance import data_facts, provenance_markdown
from nephrite.store.slices import PairStore
from nephrite.verdict.trial import Trial


def test_data_split_and_recipe_are_named_and_no_path(load: Callable[..., Config], pairs: Path) -> None:
    store = PairStore(pairs)
    facts = data_facts(load("acquire.source=folder", "acquire.folder.path=/data/secret"), store)
    assert facts["data"] == f"folder; digest of the prepared slices {store.manifest.digest[:12]}"
    assert facts["patients"] == "3 training, 2 validation, 2 test"
    assert "light (unet)" in facts["segmenters"]
    assert "secret" not in str(facts)


def test_labels_look_trainings_code_machine_and_date_follow(
    make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHRITE_COMMIT", "0123456789abcdef")
    look = LookRecord(number=2, share=0.5, confidence=0.95, patients=("m",), external=())
    text = provenance_markdown(summarize(make_trial(), look=look), {"data": "here"})
    assert "| data | here |" in text
    assert "| labels used | 100% of the training patients: 40 |" in text
    assert "| look | number 2, at 50% of the planned cells |" in text
    assert "| trainings | 18 segmenters, 3.8 minutes in all |" in text
    assert "commit 0123456789abcdef |" in text
    assert re.search(r"\| machine of this report \| \w+ \w+, \d+ processors? \|", text)
    assert re.search(r"\| date \| \d{4}-\d\d-\d\d \d\d:\d\d UTC \|", text)


def test_it_says_what_the_trial_could_see_by_its_own_spread(make_trial: Callable[..., Trial]) -> None:
    record = summarize(make_trial(cells=4))
    found = re.search(r"\| could see \| (0\.\d+) in Dice of \w+, in 4 of 5 trials", provenance_markdown(record, {}))
    assert record.answer is not None
    assert record.answer.low is not None
    assert found is not None
    # an effect as large as half the interval would be found in every other trial; this table is narrower than most
    assert 1 < float(found[1]) / (record.answer.mean - record.answer.low) < 5
    assert "could see" not in provenance_markdown(summarize(make_trial(cells=2)), {})


def test_what_was_trained_elsewhere_is_not_claimed_to_be_known(make_trial: Callable[..., Trial]) -> None:
    record = summarize(make_trial())
    arms = tuple(arm.model_copy(update={"training_patients": (), "seconds": ()}) for arm in record.arms)
    text = provenance_markdown(record.model_copy(update={"arms": arms}), {})
    assert "| labels used | not known: trained elsewhere |" in text
    assert "trainings" not in text
