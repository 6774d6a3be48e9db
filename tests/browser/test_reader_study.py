"""The page of a reader study in a real browser: a session by keys, with a reload in it; what a reader can find out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from nephrite.reader_study.evaluation import evaluate_study
from nephrite.reader_study.server import StudyServer
from nephrite.reader_study.study import Asked, draw_study
from tests.browser.browsing import DESKTOP, NARROW, PHONE, Opened, opened
from tests.reader_study.conftest import answer_all

COUNT = 8


@pytest.fixture
def server(pairs: Path, synthetic: Path, tmp_path: Path) -> Iterator[StudyServer]:
    """A study of four real and four synthetic slices, served."""
    study = draw_study(pairs, synthetic, Asked(count=COUNT // 2, seed=1), tmp_path / "study")
    with StudyServer(tmp_path / "study", study, 0) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def begin(page: Page, name: str) -> None:
    page.get_by_role("textbox", name="Your pseudonym").fill(name)
    page.keyboard.press("Enter")
    wait_for(page, 1)


def wait_for(page: Page, place: int) -> None:
    """Until a slice is there and may be judged."""
    expect(page.get_by_role("status")).to_have_text(f"Slice {place} of {COUNT}")
    expect(page.locator("#frame")).to_have_attribute("aria-busy", "false")


def ratings(server: StudyServer, reader: str) -> list[int]:
    """The ratings that count, in the reader's order."""
    said = server.book.read(reader).last
    return [said[number].rating for number in server.study.order(reader) if number in said]


def assert_quiet(seen: Opened) -> None:
    assert seen.messages == []
    assert seen.requests == []


def test_a_session_by_keys_with_a_reload_in_the_middle(browser: Browser, server: StudyServer) -> None:
    with opened(browser, server.address()) as seen:
        page = seen.page
        begin(page, "Anna")
        for place, key in enumerate("1234", start=1):
            wait_for(page, place)
            page.keyboard.press(key)
        wait_for(page, 5)
        page.reload()
        wait_for(page, 5)  # where the reader was, without a question
        page.keyboard.press("ArrowLeft")
        wait_for(page, 4)
        expect(page.get_by_role("button", name="Definitely synthetic")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("2")
        for place in range(5, COUNT + 1):
            wait_for(page, place)
            page.keyboard.press("3")
        expect(page.get_by_role("heading", name="All slices are judged")).to_be_visible()
        assert_quiet(seen)
    assert ratings(server, "anna") == [1, 2, 3, 2, 3, 3, 3, 3]
    assert len(server.book.read("anna").answers) == COUNT + 1  # the one that was changed is kept


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW, (844, 390)], ids=lambda size: str(size[0]))
def test_axe_finds_nothing_and_all_fits(
    browser: Browser, server: StudyServer, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, server.address(), size, scheme) as seen:
        assert seen.findings() == []
        begin(seen.page, "b")
        assert seen.findings() == []
        assert seen.overhang <= 0
        seen.page.keyboard.press("+")
        assert seen.findings() == []
        for place in range(1, COUNT + 1):
            wait_for(seen.page, place)
            seen.page.get_by_role("button", name="Probably real").click()
        expect(seen.page.get_by_role("heading", name="All slices are judged")).to_be_focused()
        assert seen.findings() == []
        assert_quiet(seen)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_slice_and_choices_are_seen_without_scrolling(
    browser: Browser, server: StudyServer, size: tuple[int, int]
) -> None:
    with opened(browser, server.address("c"), size) as seen:
        wait_for(seen.page, 1)
        box = seen.page.locator(".choices").bounding_box()
        picture = seen.page.locator("#slice").bounding_box()
        assert box
        assert picture
        assert box["y"] + box["height"] <= size[1]
        assert picture["width"] == picture["height"] >= 0.5 * min(size)


def test_keys_enlarge_and_a_held_key_judges_once(browser: Browser, server: StudyServer) -> None:
    with opened(browser, server.address("d")) as seen:
        page, width = seen.page, "document.querySelector('#slice').getBoundingClientRect().width"
        wait_for(page, 1)
        before = page.evaluate(width)
        page.keyboard.press("+")
        assert page.evaluate(width) == pytest.approx(2 * before, rel=0.1)
        page.keyboard.press("0")
        assert page.evaluate(width) == before
        page.keyboard.down("1")
        wait_for(page, 2)
        page.keyboard.down("1")  # comes again while it is held
        page.keyboard.up("1")
        page.keyboard.press("ArrowRight")  # nothing to go on to
        wait_for(page, 2)
    assert ratings(server, "d") == [1]


def test_nothing_on_the_page_tells_what_a_slice_is(browser: Browser, server: StudyServer) -> None:
    with opened(browser, server.address("e")) as seen:
        shown = set()
        for place in range(1, COUNT + 1):
            wait_for(seen.page, place)
            image = seen.page.locator("#slice")
            assert image.get_attribute("src") == f"slices/e/{place - 1}"
            html = seen.page.content()
            shown.add(re.sub(r"slices/e/\d|Slice \d of|value=\"\d\"|aria-pressed=\"\w+\"", "", html))
            seen.page.keyboard.press("1")
        assert len({text.replace(' disabled=""', "") for text in shown}) == 1


def test_what_is_wrong_is_said_and_nothing_is_lost(browser: Browser, server: StudyServer) -> None:
    with opened(browser, server.address()) as seen:
        page = seen.page
        page.get_by_role("textbox").fill("Anna Müller")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("a pseudonym has 1 to 32 of the letters")
        begin(page, "f")
        expect(page.get_by_role("alert")).to_be_hidden()
        page.route("**/answers", lambda route: route.abort())
        page.keyboard.press("4")
        expect(page.get_by_role("alert")).to_contain_text("Not kept: The study does not answer.")
        wait_for(page, 1)
        page.unroute("**/answers")
        page.keyboard.press("3")
        wait_for(page, 2)
    assert ratings(server, "f") == [3]


@pytest.mark.parametrize("size", [DESKTOP, NARROW], ids=lambda size: str(size[0]))
def test_axe_finds_nothing_in_the_report(
    browser: Browser, server: StudyServer, tmp_path: Path, size: tuple[int, int]
) -> None:
    for reader, wrong in (("g", 0), ("h", 5)):
        answer_all(tmp_path / "study", server.study, reader, wrong=wrong)
    evaluate_study(tmp_path / "study")
    with opened(browser, tmp_path / "study" / "report" / "report.html", size) as seen:
        assert seen.findings() == []
        assert seen.overhang <= 0
        texts = [image.get_attribute("alt") or "" for image in seen.page.locator("figure img").all()]
        assert all("how many readers called each real: " in text for text in texts)
        assert_quiet(seen)
