from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import OutputError
from nephrite.look_ledger import LEDGER, Taken, Wanted, marks_of, promotion_look, take_look
from nephrite.mlflow_looks import kept_looks
from nephrite.recording import SilentRun
from nephrite.store.slices import PairStore, Patient
from nephrite.verdict.promotion import Candidate
from tests.conftest import SPLITS, finish, write_pair

Load = Callable[..., Config]
WANTED = Wanted("report", "lidc", "recipe", ("a", "b"), (0, 1, 2))
CANDIDATE = Candidate("real/light/1.0/0", "new", "tumor", {"p": 0.5}, {"p": 20.0}, 0.6, None)
CHAMPION = replace(CANDIDATE, weights="old")


class RecordedRun(SilentRun):
    """A run that is recorded in MLflow."""

    @property
    def id(self) -> str | None:
        """Its id."""
        return "run"


def _take(pairs: Path | None, wanted: Wanted = WANTED, run: SilentRun | None = None) -> Taken:
    return take_look(run or SilentRun(), pairs, wanted, alpha=0.05)


def test_looks_are_counted_beside_the_store_and_survive_it(tmp_path: Path) -> None:
    pairs = tmp_path / "data" / "prepared"
    first, second = _take(pairs), _take(pairs, replace(WANTED, asked="another"))
    assert [first.look.number, second.look.number] == [1, 2]
    assert [first.level, second.level] == pytest.approx([0.05 / 2, 0.05 / 6])
    assert (tmp_path / "data" / LEDGER).is_file()
    assert _take(pairs).look == first.look


def test_a_ledger_that_is_not_there_is_said(tmp_path: Path) -> None:
    pairs = tmp_path / "prepared"
    assert "was begun with this look: earlier looks at these test patients" in _take(pairs).notes[0]
    assert _take(pairs, replace(WANTED, asked="another")).notes == ()
    assert "No store was named" in _take(None).notes[0]


def test_the_same_look_changes_nothing(tmp_path: Path) -> None:
    pairs = tmp_path / "prepared"
    _take(pairs)
    before = (tmp_path / LEDGER).read_bytes()
    _take(pairs)
    assert (tmp_path / LEDGER).read_bytes() == before


def test_more_of_the_planned_cells_are_the_same_look(tmp_path: Path) -> None:
    pairs, planned = tmp_path / "prepared", replace(WANTED, planned=8)
    few, every = _take(pairs, planned), _take(pairs, replace(planned, cells=tuple(range(8))))
    assert (few.look.number, every.look.number) == (1, 1)
    assert few.level + every.level == pytest.approx(0.025)


@pytest.mark.usefixtures("record")
def test_mlflow_keeps_the_looks_and_tells_them_where_the_file_was_lost(tmp_path: Path) -> None:
    pairs, run = tmp_path / "prepared", RecordedRun()
    _take(pairs, run=run)
    (tmp_path / LEDGER).unlink()
    second = _take(pairs, replace(WANTED, asked="another"), run)
    assert second.look.number == 2
    assert "is not there: 1 look known from MLflow alone" in second.notes[0]
    assert [look["number"] for look in kept_looks()] == [1, 2]
    assert _take(tmp_path / "elsewhere" / "prepared", replace(WANTED, asked="third"), run).look.number == 3


def test_a_ledger_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(target: Path, content: object) -> None:
        raise OutputError(target, "lies on a file system that is read-only", "name another place")

    monkeypatch.setattr("nephrite.verdict.looks.write_json", refuse)
    assert "cannot be written: this look is not kept there" in _take(tmp_path / "prepared").notes[-1]


def test_test_patients_are_known_by_their_files_in_any_store(tmp_path: Path) -> None:
    for number, (patient, name) in enumerate({"one": "c1", "other": "x9"}.items()):
        splits = {"a1": "train", "b1": "validation", name: "test"}
        for each in splits:
            sources = {"image": f"{each[0]}{number}" * 16, "label": "f" * 64} if each != name else {"image": "5" * 64}
            write_pair(
                tmp_path / patient, Patient(each, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), sources=sources), number
            )
        finish(tmp_path / patient, "real", splits)
    marks = [marks_of(PairStore(tmp_path / name), "test") for name in ("one", "other")]
    assert marks[0] == marks[1] == ("5" * 16,)


def test_a_confirmation_set_has_marks_of_its_own(pairs: Path) -> None:
    store = finish(pairs, "real", SPLITS | {"c2": "confirmation"})
    assert not {*marks_of(store, "test")} & {*marks_of(store, "confirmation")}
    assert len(marks_of(store, "confirmation")) == 1


def test_patients_without_known_files_are_those_of_their_store_only(pairs: Path) -> None:
    marks = marks_of(PairStore(pairs), "test")
    assert len(marks) == sum(split == "test" for split in SPLITS.values())


def test_a_promotion_is_a_look_where_scores_are_compared(load: Load) -> None:
    real = load("acquire.source=folder", "acquire.folder.path=/scans")
    found = promotion_look(real, CANDIDATE, CHAMPION, ["a"])
    assert found is not None
    assert (found.kind, found.patients, found.cells) == ("promotion", ("a",), ())
    assert found != promotion_look(real, replace(CANDIDATE, weights="third"), CHAMPION, ["a"])
    for champion in (None, "unknown", CANDIDATE, replace(CHAMPION, region="kidney")):
        assert promotion_look(real, CANDIDATE, champion, ["a"]) is None
    assert promotion_look(load("acquire.source=phantom"), CANDIDATE, CHAMPION, ["a"]) is None
    unmarked = promotion_look(real, CANDIDATE, CHAMPION, [])
    assert unmarked is not None
    assert len(unmarked.patients) == 1


def test_a_report_looks_at_another_hospital_too(tmp_path: Path) -> None:
    both = replace(WANTED, external=("x", "y"))
    assert _take(tmp_path / "one" / "prepared", both).look.external == ("x", "y")
    assert _take(tmp_path / "one" / "prepared", replace(both, asked="next", patients=("c",))).look.number == 2
    assert _take(tmp_path / "one" / "prepared", replace(WANTED, asked="home alone")).look.number == 2


def test_external_patients_have_marks_of_their_own(elsewhere: Path) -> None:
    store = PairStore(elsewhere)
    assert len(marks_of(store, "external")) == 3
    assert not {*marks_of(store, "test")} & {*marks_of(store, "external")}
