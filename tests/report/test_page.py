"""Pages that need nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.report.page import data_element, html_page, stage_page


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    """The bytes of figures/a.png in the test's folder."""
    path = tmp_path / "figures" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
    return path.read_bytes()


def test_picture_becomes_part_of_the_page(tmp_path: Path, picture: bytes) -> None:
    page = html_page("![A](figures/a.png)", tmp_path, title="t")
    assert base64.b64encode(picture).decode() in page
    assert "figures/a.png" not in page


def test_missing_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        html_page("![A](figures/b.png)", tmp_path, title="t")


def test_table_is_a_table() -> None:
    page = html_page("| a |\n|---|\n| 0.5 |", title="t")
    assert '<th role="columnheader" scope="col">a</th>' in page
    assert '<td role="cell" data-label="a">0.5</td>' in page


def test_names_of_training_sets_may_break_and_numbers_may_not() -> None:
    page = html_page("| a |\n|---|\n| real+painted minus +0.5 [-0.1, +1.1] |", title="t")
    assert 'real+<wbr>painted minus <span class="whole">+0.5 [-0.1, +1.1]</span><' in page


def test_a_picture_with_a_title_has_it_as_its_caption(tmp_path: Path, picture: bytes) -> None:
    page = html_page('![What it says](figures/a.png "What <it> is")', tmp_path, title="t")
    assert 'alt="What it says"' in page
    assert "<figcaption>What &lt;it&gt; is</figcaption></figure>" in page


def test_the_page_allows_its_own_script_and_style_and_no_request() -> None:
    page = html_page("# a", title="t")
    policy = page.partition('content="')[2].partition('"')[0]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for kind, tag in (("style", "style"), ("script", "script")):
        text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_a_long_page_has_contents_that_lead_to_its_sections() -> None:
    page = html_page("# a\n\n## One\n\n## Two & two\n\n## Three", title="t")
    assert '<li><a href="#two-two">Two &amp; two</a></li>' in page
    assert '<h2 id="two-two">' in page
    assert page.index("<nav") < page.index("<h2")
    assert "<nav" not in html_page("# a\n\n## One", title="t")


def test_data_cannot_end_their_element() -> None:
    element = data_element('p"1', '{"note":"</script><script>alert(1)"}')
    assert element.count("<script") == element.count("</script>") == 1
    assert 'data-patient="p&quot;1"' in element


def test_names_cannot_bring_in_scripts() -> None:
    page = html_page("# <script>alert(1)</script>", title="<script>")
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1  # the page's own


def test_stage_page_shows_metrics_facts_and_the_last_sheet(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in ("epoch-001", "epoch-002"):
        (tmp_path / "samples" / f"{name}.png").write_bytes(name.encode())
    page = stage_page("train-gan", {"l1_loss": 0.12345}, {"commit": "4f2a"}, tmp_path)
    assert 'data-label="value">0.1235</td>' in page
    assert "<code>4f2a</code>" in page
    assert base64.b64encode(b"epoch-002").decode() in page
    assert base64.b64encode(b"epoch-001").decode() not in page
