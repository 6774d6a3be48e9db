"""Pages that need nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.report.page import html_page, stage_page


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
    assert "<td>0.5</td>" in html_page("| a |\n|---|\n| 0.5 |", title="t")


def test_names_cannot_bring_in_scripts() -> None:
    page = html_page("# <script>alert(1)</script>", title="<script>")
    assert "<script>" not in page


def test_stage_page_shows_metrics_facts_and_the_last_sheet(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in ("epoch-001", "epoch-002"):
        (tmp_path / "samples" / f"{name}.png").write_bytes(name.encode())
    page = stage_page("train-gan", {"l1_loss": 0.12345}, {"commit": "4f2a"}, tmp_path)
    assert "<td>0.1235</td>" in page
    assert "<code>4f2a</code>" in page
    assert base64.b64encode(b"epoch-002").decode() in page
    assert base64.b64encode(b"epoch-001").decode() not in page
