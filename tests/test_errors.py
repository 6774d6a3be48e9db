from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

from nephrite import errors
from nephrite.errors import ConfigError, DiskFullError, NephriteError, SourceError, StoppedError, did_you_mean

CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, NephriteError)]


def test_message_names_place_finding_and_remedy() -> None:
    error = SourceError(Path("raw/case_1"), "holds no segmentation", "add it")
    assert str(error) == "raw/case_1: holds no segmentation; add it"


def test_message_is_one_line_whatever_it_is_made_of() -> None:
    assert str(SourceError("a", "first\nsecond\t third", "do\nit")) == "a: first second third; do it"


def test_parts_stay_readable_for_callers() -> None:
    error = DiskFullError(Path("out"), "no space", "free some")
    assert (error.place, error.finding, error.remedy) == ("out", "no space", "free some")


def test_error_survives_the_way_from_a_worker_process() -> None:
    returned = pickle.loads(pickle.dumps(SourceError(Path("a"), "b", "c")))  # noqa: S301  what multiprocessing does
    assert type(returned) is SourceError
    assert str(returned) == "a: b; c"


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_stands_in_the_drawn_tree(error: type[NephriteError]) -> None:
    assert errors.__doc__
    lines = errors.__doc__.splitlines()
    depth = [len(line) - len(line.lstrip(" │├└─")) for line in lines if error.__name__ in line.split()]
    assert depth == [4 * (len(error.mro()) - len(NephriteError.mro()) + 1)]


def test_settings_with_several_faults_are_one_line_each_and_their_number() -> None:
    error = ConfigError.of([ConfigError("a", "b", "c"), ConfigError("d", "e\nf", "g")])
    assert str(error) == "a: b; c\nd: e f; g\n2 errors in all"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  what multiprocessing does
    assert str(ConfigError.of([ConfigError("a", "b", "c")])) == "a: b; c"


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("trail", ["plan", "trial"], "did you mean 'trial'?"),
        ("epohs", ["steps", "epochs", "epoch"], "did you mean 'epochs'?"),
        ("paint", ["lock", "verify"], None),
        ("paint", None, None),
    ],
)
def test_the_nearest_word_is_proposed(word: str, known: list[str] | None, expected: str | None) -> None:
    assert did_you_mean(word, known) == expected


@pytest.mark.parametrize(("known", "total"), [(True, "2,400"), (False, "at least 2,400")])
def test_a_stop_says_the_step_that_is_kept(known: bool, total: str) -> None:
    told = f"Stopped at step 140 of {total}; the same command goes on from there."
    assert str(StoppedError(140, 2400, 130, known=known)) == told
