"""The report's page in a real browser: what a reader sees, clicks, hears and prints."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from nephrite.report.page import html_page
from tests.browser.browsing import A4, DESKTOP, NARROW, PHONE, Opened, opened
from tests.shown_trial import TESTED, write_shown_trial

WORST = "c7"


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small trial with slices of eight patients."""
    layout, _ = write_shown_trial(tmp_path_factory.mktemp("shown"))
    return layout.report / "report.html"


def open_patient(page: Page, patient: str) -> None:
    page.get_by_role("button", name=patient, exact=True).click()


def column(page: Page, number: int) -> list[str]:
    """The texts of a column of the patients' table."""
    rows = page.locator("#patients ~ table").first.locator("tbody tr:not(.slices)")
    return [row.locator("td").nth(number).inner_text().strip() for row in rows.all()]


def assert_quiet(seen: Opened) -> None:
    assert seen.messages == []
    assert seen.requests == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW], ids=lambda size: str(size[0]))
def test_axe_finds_nothing_and_no_column_is_cut_off(
    browser: Browser, report_page: Path, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, report_page, size, scheme) as seen:
        assert seen.findings() == []
        assert seen.overhang <= 0
        open_patient(seen.page, WORST)
        assert seen.findings() == []
        assert seen.overhang <= 0
        assert_quiet(seen)


def test_axe_does_find_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    broken = html_page("![](a.png)\n\n# a", title="t")
    (tmp_path / "broken.html").write_text(broken.replace('alt=""', ""), encoding="utf-8")
    with opened(browser, tmp_path / "broken.html") as seen:
        assert any(found.startswith("image-alt") for found in seen.findings())


def test_a_click_opens_slices_that_keys_wheel_and_buttons_move(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page) as seen:
        page = seen.page
        open_patient(page, WORST)
        slider = page.get_by_role("slider", name=f"Slice of {WORST}")
        expect(slider).to_be_focused()
        first, image = slider.input_value(), page.locator("svg.slice image")
        shown = image.get_attribute("href") or ""
        assert shown.startswith("data:image/webp;base64,")
        page.keyboard.press("ArrowRight")
        assert int(slider.input_value()) == int(first) + 1
        assert image.get_attribute("href") != shown
        assert f"slice {int(first) + 2} of 6: truth" in (slider.get_attribute("aria-valuetext") or "")
        page.locator("svg.slice").hover()
        page.mouse.wheel(0, -100)
        expect(slider).to_have_value(first)
        page.get_by_role("button", name="Next slice").click()
        expect(slider).to_have_value(str(int(first) + 1))
        assert_quiet(seen)


def test_enter_opens_and_escape_closes_and_gives_the_focus_back(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page) as seen:
        button = seen.page.get_by_role("button", name=WORST, exact=True)
        button.focus()
        seen.page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-expanded", "true")
        seen.page.keyboard.press("Escape")
        expect(button).to_have_attribute("aria-expanded", "false")
        expect(button).to_be_focused()
        assert seen.page.locator(".viewer").count() == 0


def test_a_finger_moves_through_the_slices(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page, PHONE) as seen:
        open_patient(seen.page, WORST)
        slider, picture = seen.page.get_by_role("slider"), seen.page.locator("svg.slice")
        picture.scroll_into_view_if_needed()  # the mouse moves within the window
        first, box = int(slider.input_value()), picture.bounding_box()
        assert box
        middle = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + 20, middle)
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + 20 + box["width"] / 5, middle, steps=4)
        seen.page.mouse.up()
        assert int(slider.input_value()) == first + 2


def test_outlines_are_drawn_and_the_legend_switches_them_off(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page) as seen:
        page = seen.page
        open_patient(page, WORST)
        paths = page.locator("svg.slice path")
        assert paths.count() == 3
        assert all((path.get_attribute("d") or "").startswith("M") for path in paths.all())
        strokes = {path.evaluate("node => getComputedStyle(node).stroke") for path in paths.all()}
        dashes = {path.evaluate("node => getComputedStyle(node).strokeDasharray") for path in paths.all()}
        assert len(strokes) == len(dashes) == 3  # told apart by color, and without any
        page.get_by_role("checkbox", name="truth").uncheck()
        expect(paths.nth(0)).to_be_hidden()
        open_patient(page, "c6")  # what is switched off stays so
        expect(page.locator("svg.slice path").nth(0)).to_be_hidden()
        expect(page.locator("svg.slice path").nth(1)).to_be_visible()


def test_patients_come_sorted_and_every_table_sorts(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page) as seen:
        page = seen.page
        gains = [float(text) for text in column(page, 1)]
        assert gains == sorted(gains, reverse=True)
        assert [text for text in column(page, 5) if text] == ["best", "median", "worst"]
        assert len(column(page, 0)) == len(TESTED)
        head = page.locator("#patients ~ table").first.locator("th").nth(4)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        volumes = [float(text) for text in column(page, 4)]
        assert volumes == sorted(volumes)
        head.get_by_role("button").click()
        assert [float(text) for text in column(page, 4)] == volumes[::-1]
        for table in page.locator("table").all():
            if table.locator("tbody tr").count() > 1:
                assert table.locator("th button").count() == table.locator("th").count()


def test_every_figure_says_what_it_shows(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page) as seen:
        texts = [image.get_attribute("alt") or "" for image in seen.page.locator("figure img").all()]
        assert len(texts) == 4
        assert "real+synthetic+geometric minus real+geometric: " in texts[0]
        assert all(len(text) > 60 for text in texts)


def test_printed_columns_are_whole(browser: Browser, report_page: Path) -> None:
    with opened(browser, report_page, A4) as seen:
        seen.page.emulate_media(media="print")
        assert seen.overhang <= 0
        cut = "node => node.scrollWidth > node.clientWidth || node.getBoundingClientRect().right > innerWidth"
        cells = seen.page.locator("th, td, figure img").all()
        assert len(cells) > 100
        assert [cell.inner_text() for cell in cells if cell.evaluate(cut)] == []
        assert seen.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_long_list_is_folded_until_all_are_asked_for(browser: Browser, tmp_path: Path) -> None:
    rows = "\n".join(f"| p{number} | {number} | |" for number in range(60))
    text = f"# a\n\n## Patients\n\n| patient | difference | mark |\n|---|---|---|\n{rows}\n"
    (tmp_path / "long.html").write_text(html_page(text, title="t"), encoding="utf-8")
    with opened(browser, tmp_path / "long.html") as seen:
        shown = seen.page.locator("tbody tr:visible")
        assert shown.count() == 16
        seen.page.get_by_role("button", name="Show all 60 patients").click()
        assert shown.count() == 60
        assert_quiet(seen)


def test_it_works_in_the_frame_in_which_mlflow_and_kubeflow_show_it(
    browser: Browser, report_page: Path, tmp_path: Path
) -> None:
    # both show an artifact as the text of a frame that may run scripts, and nothing else
    text = escape(report_page.read_text(encoding="utf-8"))
    frame = f'<iframe title="report" sandbox="allow-scripts" width="1200" height="800" srcdoc="{text}"></iframe>'
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    with opened(browser, tmp_path / "frame.html") as seen:
        inside = seen.page.frame_locator("iframe")
        inside.get_by_role("button", name=WORST, exact=True).click()
        expect(inside.locator("svg.slice image")).to_have_attribute("href", re.compile("^data:image/webp"))
        assert_quiet(seen)


def test_a_name_cannot_bring_in_a_script(browser: Browser, tmp_path: Path) -> None:
    page = html_page("# a", title="t", data=["<script>document.title = 'run'</script>"])
    (tmp_path / "foreign.html").write_text(page, encoding="utf-8")
    with opened(browser, tmp_path / "foreign.html") as seen:
        assert seen.page.title() == "t"
        assert any("Content Security Policy" in message for message in seen.messages)
