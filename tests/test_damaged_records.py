"""Every field of every record, damaged in every way: one line that names the file, and never a traceback."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nephrite.errors import NephriteError
from nephrite.evidence import Evidence, read_sealed, sealed
from nephrite.files import read_json
from nephrite.generation.synthesizers import read_synthesizer
from nephrite.imaging.recipe import Recipe, read_recipe
from nephrite.layout import Layout
from nephrite.metrics.scores import read_scores
from nephrite.report.trial_file import read_trial
from nephrite.segmentation.artifacts import load_segmenter, read_card
from nephrite.store.slices import PairStore
from nephrite.verdict.promotion import known_candidate
from nephrite.verification import verify
from tests.conftest import hash_again

ARM, PAINTER = "real/light/1.0/0", "models/synthesizers/pix2pix/1.0/0"
MISSING = object()
BAD: list[Any] = [
    MISSING,
    None,
    math.nan,
    math.inf,
    -1,
    -1e300,
    10**30,
    1e300,
    True,
    "",
    "..",
    "../../etc",
    "two\nlines",
    "x" * 5000,
    [],
    {},
    [None],
    {"..": "\n"},
]


class Kind(NamedTuple):
    """A kind of record: where it lies in a trial, and what reads it."""

    place: str
    read: Callable[[Path], object]
    root: str = ""  # of the store whose manifest answers for the record


def whole_store(path: Path) -> None:
    """Read all of a store, as the stages do."""
    store = PairStore(next(folder for folder in path.parents if (folder / "store.json").exists()))
    store.slices()
    for patient in store.patients():
        assert len(store.image(patient)) == len(store.label(patient))
        assert store.patient(patient).patient == patient


KINDS = {
    "manifest": Kind("data/prepared/store.json", whole_store, "data/prepared"),
    "split": Kind("data/prepared/split.json", whole_store, "data/prepared"),
    "patient": Kind("data/prepared/patients/c1/meta.json", whole_store, "data/prepared"),
    "synthetic patient": Kind(
        "data/synthetic/pix2pix/1.0/0/patients/synthetic-a1/meta.json", whole_store, "data/synthetic/pix2pix/1.0/0"
    ),
    "synthesizer": Kind(f"{PAINTER}/synthesizer.json", lambda path: read_synthesizer(path.parent)),
    "segmenter": Kind(f"models/segmenters/{ARM}/segmenter.json", lambda path: load_segmenter(path.parent)),
    "history": Kind(f"models/segmenters/{ARM}/history.json", lambda path: load_segmenter(path.parent)),
    "scores": Kind(f"scores/{ARM}.json", read_scores),
    "trial": Kind("reports/trial.json", read_trial),
    "evidence": Kind("reports/evidence.json", lambda path: read_sealed(path, Evidence, "run 'report' again")),
    "decision": Kind("promotion/decision.json", lambda path: known_candidate([read_json(path)], 1)),
}  # fmt: skip


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field of a record, by the keys that lead to it; of a list and of a long map its first entry."""
    if above:
        yield above
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else []
    entries = list(inner)
    for key, part in entries[:1] if isinstance(content, list) else entries[:20]:
        yield from places(part, (*above, key))


def damaged(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of the record with another value in one field; a key is damaged with its value's name."""
    copy = json.loads(json.dumps(content))
    *outer, last = place
    inner = copy
    for key in outer:
        inner = inner[key]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return copy


def refused(read: Callable[[Path], object], path: Path) -> bool:
    """Whether a record is refused, which it must be in one line and by an error of our own."""
    try:
        read(path)
    except NephriteError as error:
        line = str(error)
    else:
        return False
    assert "\n" not in line
    assert len(line) < 1000
    return True


@pytest.mark.parametrize("name", KINDS)
def test_every_damaged_field_is_one_line(layout: Layout, name: str) -> None:
    kind, path = KINDS[name], layout.root / KINDS[name].place
    content = read_json(path)
    kind.read(path)
    cases = [(place, value) for place in places(content) for value in BAD]
    assert len(cases) > 50
    passed = []
    for place, value in cases:
        changed = damaged(content, place, value)
        path.write_text(json.dumps(changed))
        if not refused(kind.read, path) and changed != content and name not in ("trial", "decision"):
            passed.append((place, value))
    assert passed == [], "a change of evidence was accepted"


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"trial", "decision", "evidence"}))
def test_who_edits_and_hashes_again_is_accepted_or_gets_one_line(layout: Layout, name: str) -> None:
    kind, path = KINDS[name], layout.root / KINDS[name].place
    content = read_json(path)
    accepted = 0
    for place in places(content):
        for value in BAD:
            changed = damaged(content, place, value)
            hashes = name in ("synthesizer", "segmenter", "scores") and "digest" not in place
            finite = "NaN" not in json.dumps(changed) and "Infinity" not in json.dumps(changed)
            path.write_text(json.dumps(sealed(changed) if hashes and finite and "digest" in changed else changed))
            if kind.root and path.name != "store.json":
                hash_again(layout.root / kind.root)
            accepted += not refused(kind.read, path)
    assert accepted < len([*places(content)]) * len(BAD) / 2


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "text",
    [b"", b"null", b"3", b"[]", b"{}", b"\x00", b"{", b'"text"', b"[" * 100_000, b'{"version": 3}', b"\xff"],
)
def test_a_file_that_is_something_else_is_one_line(layout: Layout, name: str, text: bytes) -> None:
    kind, path = KINDS[name], layout.root / KINDS[name].place
    path.write_bytes(text)
    assert refused(kind.read, path)
    assert [output.line for output in verify(layout.root) if output.problems]


@pytest.mark.parametrize("name", KINDS)
def test_a_folder_in_place_of_a_record_is_one_line(layout: Layout, name: str) -> None:
    kind, path = KINDS[name], layout.root / KINDS[name].place
    path.unlink()
    path.mkdir()
    assert refused(kind.read, path)


def as_recipe(text: str, _: Path) -> Recipe:
    return read_recipe(text, "here")


def test_every_damaged_field_of_a_recipe_is_one_line(layout: Layout) -> None:
    card = read_card(layout.segmenters / ARM)
    text = Recipe(card.classes, card.channels, card.intensity, card.in_plane, card.threshold).to_text()
    content = json.loads(text)
    assert read_recipe(text, "here").classes == card.classes
    accepted = []
    for place in places(content):
        for value in BAD:
            changed = json.dumps(damaged(content, place, value))
            if not refused(partial(as_recipe, changed), Path()):
                accepted.append((place, value))
    assert {place for place, _ in accepted} <= {
        ("format",),
        ("threshold",),
        ("window",),
        ("mirroring",),
        ("volumes",),  # none are known
        ("intensity", "center"),
        ("channels", "kidney"),
        ("channels", "tumor"),
    }
