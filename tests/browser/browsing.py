"""A real browser for tests of pages: Debian's Chromium, driven by Playwright; findings of axe-core."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "install one: apt-get install -y chromium ('make test' does it as root on Debian)"
DESKTOP, PHONE, NARROW = (1280, 900), (390, 844), (360, 740)
A4 = (703, 1000)  # CSS pixels between margins of 12 mm


class Opened(NamedTuple):
    """A page, and what it said and asked for while it was open."""

    page: Page
    messages: list[str]
    requests: list[str]

    @property
    def overhang(self) -> int:
        """Pixels by which the content is wider than what is seen."""
        root = "document.documentElement"
        return int(self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))

    def findings(self) -> list[str]:
        """What axe-core finds."""
        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, while the block runs; without one the test is skipped, and in CI it fails.

    Playwright keeps an event loop running meanwhile, so it is stopped with the tests of a module.
    """
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"no Chromium is installed; {REMEDY}")
        pytest.skip(f"no Chromium is installed; {REMEDY}")
    with sync_playwright() as driver:
        # as root, which containers are, Chromium has no sandbox of its own
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, place: Path | str, size: tuple[int, int] = DESKTOP, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Opened]:
    """A file, or an address, in a window of its own, what it writes to the console, and asks of a network."""
    home = place if isinstance(place, str) else place.as_uri()
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, has_touch=size is not DESKTOP
    )
    page, messages, requests = context.new_page(), list[str](), list[str]()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url) if _is_external(request.url, home) else None)
    page.goto(home)
    yield Opened(page, messages, requests)
    context.close()


def _is_external(url: str, home: str) -> bool:
    return not url.startswith(("data:", "about:", home.partition("#")[0]))
