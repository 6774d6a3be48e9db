"""What a trial costs by a table of prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.costs import cost_line, read_prices
from nephrite.errors import ConfigError

TABLE = "{currency: CHF, segmenter: {hour: 2, speed: 4}, synthesizer: {hour: 3}}"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE)
    return path


def test_cost_is_hours_by_price_on_nodes_that_are_faster(table: Path) -> None:
    told = cost_line(read_prices(table), segmenters=40 * 3600, synthesizers=2 * 3600)
    assert told.startswith("about 26.00 CHF (segmenters 10.0 hours at 2; synthesizers 2.0 hours at 3)")


def test_what_is_not_known_yet_is_said_and_not_counted(table: Path) -> None:
    told = cost_line(read_prices(table), segmenters=4 * 3600, synthesizers=None)
    assert told.startswith("about 2.00 CHF (segmenters 1.0 hours at 2; synthesizers not counted: ")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("hour: 2", "hour: -2", "segmenter.hour: Input should be greater than or equal to 0"),
        ("speed: 4", "speed: 0", "segmenter.speed: Input should be greater than 0"),
        ("hour: 3", "houre: 3", "synthesizer.hour: Field required"),
        ("hour: 3", "hour: .inf", "synthesizer.hour: Input should be a finite number"),
        (TABLE, "[1]", "Input should be a valid dictionary"),
        (TABLE, "{", "cannot be read"),
    ],
)
def test_wrong_table_is_one_line(table: Path, old: str, new: str, told: str) -> None:
    table.write_text(TABLE.replace(old, new))
    with pytest.raises(ConfigError, match=r"prices\.yaml") as error:
        read_prices(table)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read \(No such file or directory\); name a file"):
        read_prices(tmp_path / "absent.yaml")
