from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.errors import StoreError
from nephrite.files import write_json
from nephrite.report.web.screened import screening_table

FACTS = {"painted": 10, "accepted": 7, "accepted_share": 0.7, "rejected": {"agreement": {"slices": 3}}}


def test_each_set_says_what_was_accepted_and_why_others_were_not(tmp_path: Path) -> None:
    write_json(tmp_path / "pix2pix" / "0" / "screening.json", FACTS)
    text = screening_table([tmp_path / "pix2pix" / "0", tmp_path / "other"], tmp_path)
    assert "| set | painted | accepted | share | rejected: agreement |" in text
    assert "| pix2pix/0 | 10 | 7 | 0.700 | 3 |" in text
    assert "1 set of synthetic slices took no part in screening." in text


def test_where_nothing_was_screened_there_is_no_table(tmp_path: Path) -> None:
    text = screening_table([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert text == "2 sets of synthetic slices took no part in screening."


@pytest.mark.parametrize("broken", [{}, {**FACTS, "rejected": {"agreement": 3}}, {**FACTS, "accepted_share": None}])
def test_a_broken_record_is_refused(tmp_path: Path, broken: dict[str, object]) -> None:
    write_json(tmp_path / "screening.json", broken)
    with pytest.raises(StoreError, match="no record of a screening"):
        screening_table([tmp_path], tmp_path)
