from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nephrite.errors import ProgramError
from nephrite.recording import SilentRun
from nephrite.segmentation.programs.fit_record import Progress, read_fit_record

GOOD = '{"steps": 6, "seed": 3, "cases": 2, "validation_score": 0.5, "version": "1", "own": {"cut": 4}}'


def test_a_record_is_read_whatever_else_it_holds(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(GOOD)
    record = read_fit_record(tmp_path, steps=6, seed=3, cases=2)
    assert (record.validation_score, record.seconds, record.version) == (0.5, None, "1")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing"),
        ("steps", "is not JSON"),
        ('{"steps": 6, "seed": 3}', "cases: Field required"),
        (GOOD.replace("0.5", "NaN"), "is not JSON"),
        (GOOD.replace("0.5", "1.5"), "validation_score"),
        (GOOD.replace('"steps": 6', '"steps": true'), "is true, which is no number"),
        (GOOD.replace('"steps": 6', '"steps": 5'), "says 5 for optimizer steps, and 6 was asked for"),
        (GOOD.replace('"seed": 3', '"seed": 0'), "says 0 for the seed, and 3 was asked for"),
        (GOOD.replace('"cases": 2', '"cases": 1'), "says 1 for cases, and 2 was asked for"),
    ],
)
def test_a_record_that_is_not_what_was_asked_for_is_one_line(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(ProgramError, match=rf"^model folder of 'fit', model\.json: .*{told}"):
        read_fit_record(tmp_path, steps=6, seed=3, cases=2)


class Remembering(SilentRun):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, set[str]]] = []

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        self.rows.append((step, {*values}))


def test_lines_are_taken_once_they_are_whole(tmp_path: Path) -> None:
    path, run = tmp_path / "progress.jsonl", Remembering()
    with Progress(steps=10, run=run, text="arm") as progress:
        progress.look(tmp_path)
        path.write_text('{"step": 2, "validation_dice": 0.1}\n{"step": 4, "train')
        progress.look(tmp_path)
        assert run.rows == [(2, {"validation_dice", "seconds"})]
        path.write_text('{"step": 2, "validation_dice": 0.1}\n{"step": 4, "train_loss": 0.3}\n')
        progress.look(tmp_path)
        progress.look(tmp_path)
    assert run.rows == [(2, {"validation_dice", "seconds"}), (4, {"train_loss", "seconds"})]


def test_the_history_has_a_dice_in_each_row_and_all_seconds(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"step": 2, "validation_dice": 0.1}\n{"step": 4, "train_loss": 0.3}\n{"step": 10, "rate": 0}\n')
    progress = Progress(steps=10, run=SilentRun(), text="arm")
    progress.told -= 100
    progress.look(tmp_path)
    rows = progress.history(0.7)
    assert [(row["step"], row["validation_dice"]) for row in rows] == [(2, 0.1), (10, 0.7)]
    assert rows[1]["rate"] == 0
    assert [row["step"] for row in progress.history(0.7, last_alone=True)] == [10]
    assert sum(row["seconds"] for row in rows) == pytest.approx(100, abs=5)


def test_a_training_that_was_not_followed_has_the_seconds_that_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "progress.jsonl").write_text(
        '{"step": 2, "validation_dice": 0.1}\n{"step": 5, "validation_dice": 0.2}\n'
    )
    progress = Progress(steps=10, run=SilentRun(), text="arm")
    progress.look(tmp_path)
    assert [row["seconds"] for row in progress.history(0.7, whole=50)] == [10, 15, 25]


def test_a_program_that_says_nothing_has_one_row() -> None:
    (row,) = Progress(steps=10, run=SilentRun(), text="arm").history(0.7)
    assert (row["step"], row["validation_dice"]) == (10, 0.7)
    assert row["seconds"] >= 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("step 3", "is not JSON"),
        ("\xff", "is not JSON"),
        ('{"train_loss": 3}', "lacks its 'step'"),
        ('{"step": 3, "train_loss": NaN}', "NaN is no number"),
        ('{"step": 3, "train_loss": "low"}', "train_loss"),
        ('{"step": 3, "validation_dice": 1.2}', "between 0 and 1"),
        ('{"step": 2}', "says step 2, after 2 and of 10"),
        ('{"step": 11}', "says step 11, after 2 and of 10"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_by_its_number(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text(f'{{"step": 2}}\n{line}\n', encoding="latin-1")
    with pytest.raises(ProgramError, match=rf"^model folder of 'fit', progress\.jsonl, line 2: .*{told}"):
        Progress(steps=10, run=SilentRun(), text="arm").look(tmp_path)
