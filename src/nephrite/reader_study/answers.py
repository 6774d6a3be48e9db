"""What readers said: one file per reader, which is written anew, whole, with each answer.

An answer is never removed: who goes back and changes one adds a further one, and the last one counts.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from nephrite.errors import StoreError
from nephrite.files import read_record, write_json
from nephrite.reader_study.study import OTHER_FOLDER, Study
from nephrite.record_fields import STRICT, Count, NotNegative, Sha256, no_truth

ANSWERS = "answers"
RATINGS = {1: "Definitely real", 2: "Probably real", 3: "Probably synthetic", 4: "Definitely synthetic"}
SYNTHETIC = 3  # from this rating on a reader called the slice synthetic
Rating = Annotated[int, Field(ge=1, le=len(RATINGS)), BeforeValidator(no_truth)]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def as_reader(text: str) -> str:
    """A reader's pseudonym, in small letters; it names a file.

    Raises:
        ValueError: it is none.
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise ValueError("a pseudonym has 1 to 32 of the letters a to z, digits, '-' and '_'")
    return name


Reader = Annotated[str, AfterValidator(as_reader)]


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        slice: its number in the study.
        rating: see `RATINGS`.
        seconds: from the moment at which the slice was there.
    """

    __pydantic_config__ = STRICT

    slice: Count
    rating: Rating
    seconds: NotNegative


@dataclass(frozen=True)
class Answers:
    """answers/READER.json.

    Attributes:
        study: digest of the study that was read.
        reader: pseudonym.
        answers: all of them, in the order in which they were given.
    """

    __pydantic_config__ = STRICT

    study: Sha256
    reader: Reader
    answers: tuple[Answer, ...] = ()
    format: Literal[1] = 1

    @property
    def last(self) -> dict[int, Answer]:
        """The answer that counts for each slice that was answered."""
        return {answer.slice: answer for answer in self.answers}


class AnswerBook:
    """The answers to one study.

    Args:
        root: the study's folder.
        study: its record.
    """

    def __init__(self, root: Path, study: Study) -> None:
        self._folder, self._study, self._lock = root / ANSWERS, study, Lock()

    @property
    def readers(self) -> list[str]:
        """Pseudonyms of all who began, sorted."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def read(self, reader: str) -> Answers:
        """What a reader said; nothing of someone who has not begun.

        Raises:
            StoreError: the file is broken, or belongs to another reader or study.
        """
        path, remedy = self._folder / f"{reader}.json", f"mend it, or move it away; {reader} then begins anew"
        if not path.exists():
            return Answers(self._study.digest, reader)
        found = read_record(path, Answers, remedy)
        if found.study != self._study.digest:
            raise StoreError(path, "holds answers to another study", f"move it away, or {OTHER_FOLDER}")
        if found.reader != reader:
            raise StoreError(path, f"holds the answers of '{found.reader}'", remedy)
        if beyond := [number for number in found.last if number >= len(self._study.slices)]:
            raise StoreError(path, f"answers slice {beyond[0]}, and there are {len(self._study.slices)}", remedy)
        return found

    def read_all(self) -> list[Answers]:
        """What all readers said; raises as `read`."""
        return [self.read(reader) for reader in self.readers]

    def add(self, reader: str, answer: Answer) -> None:
        """Keep an answer at once.

        Raises:
            StoreError: as `read`.
            OutputError: it cannot be written.
        """
        with self._lock:
            known = self.read(reader)
            kept = Answers(known.study, reader, (*known.answers, answer))
            write_json(self._folder / f"{reader}.json", asdict(kept))
