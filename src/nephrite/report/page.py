"""One HTML file that shows a result wherever it is opened: pictures are inside, nothing is fetched."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #1c2321 }
h1, h2 { font-weight: 600; line-height: 1.2 } img { max-width: 100%; height: auto }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; font-size: 13px }
th, td { border-bottom: 1px solid #d5dbd8; padding: .3rem .5rem; text-align: left; vertical-align: bottom }
td { white-space: nowrap } th { background: #eef3f0 } code { background: #eef3f0; padding: .1em .3em }
"""


def html_page(markdown: str, folder: Path | None = None, *, title: str) -> str:
    """Turn Markdown into a page of its own.

    Args:
        markdown: CommonMark with tables; HTML in it is shown, not obeyed.
        folder: where the PNG pictures are that it names; they become part of the page.
        title: of the page.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    if folder is not None:
        body = re.sub(r'src="([\w./-]+\.png)"', lambda found: f'src="{_inside(folder / found[1])}"', body)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}</body></html>\n'


def stage_page(title: str, metrics: Mapping[str, float], facts: Mapping[str, str], output: Path | None) -> str:
    """The page of one stage: its metrics, where it comes from, and the last sample sheet if its output holds any."""
    lines = [f"# {title}", "", "| metric | value |", "|---|---|"]
    lines += [f"| {name} | {value:.4g} |" for name, value in metrics.items()]
    lines += ["", "| fact | value |", "|---|---|", *(f"| {name} | `{value}` |" for name, value in facts.items())]
    sheets = sorted((output / "samples").glob("*.png")) if output else []
    if sheets:
        lines += ["", f"![Label map, painted slice, real slice](samples/{sheets[-1].name})"]
    return html_page("\n".join(lines), output, title=title)


def _inside(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
