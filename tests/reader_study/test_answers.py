from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nephrite.errors import StoreError
from nephrite.reader_study.answers import Answer, AnswerBook, as_reader
from nephrite.reader_study.study import read_study


@pytest.fixture
def book(out: Path) -> AnswerBook:
    return AnswerBook(out, read_study(out))


def test_the_last_answer_counts_and_the_first_stays(book: AnswerBook, out: Path) -> None:
    assert book.readers == []
    book.add("anna", Answer(3, 1, 2.5))
    book.add("anna", Answer(5, 2, 1.5))
    book.add("anna", Answer(3, 4, 0.5))
    found = AnswerBook(out, read_study(out)).read("anna")
    assert [answer.rating for answer in found.answers] == [1, 2, 4]
    assert found.last == {3: Answer(3, 4, 0.5), 5: Answer(5, 2, 1.5)}
    assert book.read("bert").answers == ()
    assert book.readers == ["anna"]


def test_a_file_holds_a_pseudonym_and_answers_and_nothing_else(book: AnswerBook, out: Path) -> None:
    book.add("anna", Answer(0, 1, 2.5))
    content = json.loads((out / "answers" / "anna.json").read_text())
    assert set(content) == {"study", "reader", "answers", "format"}
    assert content["answers"] == [{"slice": 0, "rating": 1, "seconds": 2.5}]


def test_answers_that_come_at_once_are_all_kept(book: AnswerBook) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: book.add("anna", Answer(number, 1, 1.0)), range(8)))
    assert sorted(book.read("anna").last) == list(range(8))


def test_answers_to_another_study_are_refused(book: AnswerBook, out: Path) -> None:
    book.add("anna", Answer(0, 1, 2.5))
    path = out / "answers" / "anna.json"
    path.write_text(path.read_text().replace(read_study(out).digest, "0" * 64))
    with pytest.raises(StoreError, match="holds answers to another study; move it away"):
        book.read_all()
    with pytest.raises(StoreError, match="another study"):
        book.add("anna", Answer(1, 1, 2.5))


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ('"rating": 1', '"rating": 5', "rating"),
        ('"rating": 1', '"rating": true', "rating"),
        ('"slice": 0', '"slice": 8', "answers slice 8, and there are 8"),
        ('"seconds": 2.5', '"seconds": NaN', "is not JSON"),
        ('"reader": "anna"', '"reader": "bert"', "holds the answers of 'bert'"),
        ("}", "", "is not JSON"),
    ],
)
def test_a_broken_file_is_one_line(book: AnswerBook, out: Path, before: str, after: str, finding: str) -> None:
    book.add("anna", Answer(0, 1, 2.5))
    path = out / "answers" / "anna.json"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(StoreError, match=rf"anna\.json: .*{finding}"):
        book.read("anna")


@pytest.mark.parametrize(
    ("text", "name"), [("anna", "anna"), (" Reader-1 ", "reader-1"), ("7_b", "7_b"), ("a" * 32, "a" * 32)]
)
def test_a_pseudonym_is_read(text: str, name: str) -> None:
    assert as_reader(text) == name


@pytest.mark.parametrize("text", ["", "..", "a/b", "../a", "Anna Müller", "a" * 33, "-a", "a\nb", "a.json", "a\0"])
def test_what_could_be_a_path_is_no_pseudonym(text: str) -> None:
    with pytest.raises(ValueError, match="a pseudonym has 1 to 32"):
        as_reader(text)
