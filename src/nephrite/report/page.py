"""One HTML file that shows a result wherever it is opened: pictures, style and script are inside, nothing is fetched.

It reads without its script, which makes tables sortable and shows slices of patients. A policy in the page itself
(Content Security Policy, level 3) allows this very script and style, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "th": "columnheader", "td": "cell"}
_INTERVAL = re.compile(r"[-+]?[\d.]+ \[[-+\d., &gt;]+\]")  # '+0.012 [-0.003, +0.027]', as escaped text
_BREAKS = re.compile(r"(?<=\w)([+/_])(?=[A-Za-z])")  # within names of training sets


def html_page(markdown: str, folder: Path | None = None, *, title: str, data: Sequence[str] = ()) -> str:
    """Turn Markdown into a page of its own.

    Args:
        markdown: CommonMark with tables; HTML in it is shown, not obeyed. A picture's title becomes its caption.
        folder: where the PNG pictures are that it names; they become part of the page.
        title: of the page.
        data: elements that the page's script reads, from `data_element`.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    contents = _number_headings(tokens)
    _mark_tables(tokens)
    _frame_pictures(tokens)
    body = reader.renderer.render(tokens, reader.options, {})
    if folder is not None:
        body = re.sub(r'src="([\w./-]+\.png)"', lambda found: f'src="{_inside(folder / found[1])}"', body)
    body = re.sub(r"(<t[dh] [^>]*>)(.*?)(</t[dh]>)", _breakable, body)
    # the contents stand before the second heading: what comes first is read first
    first, second, rest = body.partition("<h2")
    style, script = _part("page.css"), _part("page.js")
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f'<link rel="icon" href="data:,"><style>{style}</style>'
    )
    parts = "\n".join([f"<main>\n{first}{contents}{second}{rest}</main>", *data, f"<script>{script}</script>"])
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{parts}\n</body></html>\n'


def data_element(patient: str, content: str) -> str:
    """JSON as an element that no browser runs.

    Args:
        patient: whose slices these are.
        content: JSON text.
    """
    safe = content.replace("<", "\\u003c")
    return f'<script type="application/json" data-patient="{escape(patient)}">{safe}</script>'


def stage_page(title: str, metrics: Mapping[str, float], facts: Mapping[str, str], output: Path | None) -> str:
    """The page of one stage: its metrics, where it comes from, and the last sample sheet if its output holds any."""
    lines = [f"# {title}", "", "| metric | value |", "|---|---|"]
    lines += [f"| {name} | {value:.4g} |" for name, value in metrics.items()]
    lines += ["", "| fact | value |", "|---|---|", *(f"| {name} | `{value}` |" for name, value in facts.items())]
    sheets = sorted((output / "samples").glob("*.png")) if output else []
    if sheets:
        lines += ["", f"![Label map, painted slice, real slice](samples/{sheets[-1].name})"]
    return html_page("\n".join(lines), output, title=title)


def _number_headings(tokens: Sequence[Token]) -> str:
    """Give second headings an address; the list of them, where there are several."""
    links = []
    for token, inner in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            name = re.sub(r"\W+", "-", inner.content.lower()).strip("-")
            token.attrSet("id", name)
            links.append(f'<li><a href="#{name}">{escape(inner.content)}</a></li>')
    return f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>\n' if links[2:] else ""


def _mark_tables(tokens: Sequence[Token]) -> None:
    """Say what rows and cells are, and above each cell what it is of: on a narrow screen a row becomes a card."""
    heads, column, table = list[str](), 0, None
    for token, inner in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type.removesuffix("_open") in ROLES and token.nesting == 1:
            token.attrSet("role", ROLES[token.tag])
        if token.type == "table_open":
            heads, table = [], token
        elif token.type == "thead_close" and table and len(heads) == 2:
            table.attrSet("class", "facts")
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open" and inner:
            token.attrSet("scope", "col")
            heads.append(inner.content)
        elif token.type == "td_open":
            token.attrSet(
                "data-label", _BREAKS.sub("\\1\u200b", heads[column])
            )  # a space of no width: it may break there
            column += 1


def _frame_pictures(tokens: Sequence[Token]) -> None:
    """A paragraph that is one picture becomes a figure, with the picture's title below it."""
    for before, inner, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = inner.children or []
        if before.type == "paragraph_open" and len(children) == 1 and children[0].type == "image":
            before.tag = after.tag = "figure"
            caption = children[0].attrs.pop("title", "")
            if caption:
                children.append(Token("html_inline", "", 0, content=f"<figcaption>{escape(str(caption))}</figcaption>"))


def _breakable(cell: re.Match[str]) -> str:
    """A cell in which names may break into lines, and numbers with their intervals may not."""
    whole = _INTERVAL.sub(r'<span class="whole">\g<0></span>', cell[2])
    return cell[1] + _BREAKS.sub(r"\1<wbr>", whole) + cell[3]


@cache
def _part(name: str) -> str:
    """A file of the package that becomes part of every page."""
    return resources.files("nephrite.report").joinpath("web", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _inside(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
