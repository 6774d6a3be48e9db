from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nephrite.survey.inspection import Finding, Inspected, Inspection
from nephrite.survey.inspection_page import inspection_facts, inspection_page, summary
from tests.survey.conftest import CASE

FOUND = Inspection(
    Path("my scans"),
    (
        Inspected("b", None, (Finding("refused", "b/imaging.nii: is <empty>; fetch it again"),)),
        Inspected("a", CASE, (Finding("doubtful", "slice 2 is of one intensity; cut it off"),), b"png", 3),
        Inspected("c", CASE, (), b"png", 3),
    ),
    (Finding("doubtful", "label values [7] have no name; say --class 7=kidney"),),
    {1: "kidney", 2: "tumor"},
)


class Outline(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append((tag, dict(attrs)))


def test_the_page_names_every_finding_and_fetches_nothing() -> None:
    page = inspection_page(FOUND)
    assert "b/imaging.nii: is &lt;empty&gt;; fetch it again" in page
    assert "label values [7] have no name" in page
    assert "40 &times; 512 &times; 512 voxels of 5 &times; 0.8 &times; 0.8 mm" in page
    assert page.index("Refused: ") < page.index("<h3>b</h3>") < page.index("<h3>a</h3>") < page.index("<h3>c</h3>")
    assert not re.search(r"<script|https?:|src=\"(?!data:)", page)


def test_the_page_can_be_read_aloud_and_on_a_phone() -> None:
    tags = Outline(inspection_page(FOUND)).tags
    assert ("html", {"lang": "en"}) in tags
    assert any(tag == "meta" and attrs.get("name") == "viewport" for tag, attrs in tags)
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert max(after - before for before, after in itertools.pairwise(headings)) == 1
    pictures = [attrs for tag, attrs in tags if tag == "img"]
    told = "Slice 3 of a with its label map as outlines: kidney in 2 pieces, tumor in 2 pieces."
    assert [attrs["alt"] for attrs in pictures] == [told, told.replace(" of a ", " of c ")]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (FOUND, "3 cases: 1 refused, 1 worth a look. 'prepare' would stop; mend what is refused, or leave it out."),
        (
            replace(FOUND, cases=FOUND.cases[1:]),
            "2 cases: 0 refused, 1 worth a look. 'prepare' would take all of them.",
        ),
    ],
)
def test_the_summary_says_whether_prepare_would_stop(found: Inspection, text: str) -> None:
    assert summary(found) == text


def test_programs_get_the_same_findings() -> None:
    facts = json.loads(json.dumps(inspection_facts(FOUND)))
    assert facts["refused"]
    assert [case["name"] for case in facts["cases"]] == ["b", "a", "c"]
    assert facts["cases"][0] == {
        "name": "b",
        "shape": None,
        "spacing": None,
        "findings": [{"kind": "refused", "text": "b/imaging.nii: is <empty>; fetch it again"}],
    }
    assert facts["cases"][1]["spacing"] == [5.0, 0.8, 0.8]
