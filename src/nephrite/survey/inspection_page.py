"""What `inspect` found: one page with a picture of each case, and the same for programs.

The page is one file: pictures are inside, nothing is fetched, and no script is needed.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from nephrite.imaging.sheet import color_legend
from nephrite.survey.inspection import Finding, Inspected, Inspection, Kind
from nephrite.words import counted

TITLES: dict[Kind | None, str] = {
    "refused": "Refused: 'prepare' stops here",
    "doubtful": "Worth a look",
    None: "Nothing found",
}
MARKS: dict[Kind, str] = {"refused": "Refused", "doubtful": "Look"}
STYLE = """
:root { color-scheme: light dark; --ink: #1c2321; --paper: #fff; --line: #8a9691; --bad: #a02c1c; --odd: #7a5200 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebe8; --paper: #151a18; --line: #6f7c76; --bad: #ff9d8a; --odd: #f0c35a } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 0 auto; padding: 1rem; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere }
h1, h2, h3 { line-height: 1.2; font-weight: 600 } h3 { margin: 0; font-size: 1rem } p { margin: .3rem 0 }
ul.cases { list-style: none; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)) }
ul.cases > li { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; break-inside: avoid }
ul.cases img { width: 100%; max-width: 16rem; height: auto; image-rendering: pixelated; display: block;
  margin: .5rem 0 }
ul.findings { padding-left: 1.1rem; margin: .3rem 0 }
.refused { color: var(--bad) } .doubtful { color: var(--odd) } strong { font-weight: 600 }
"""


def inspection_page(found: Inspection) -> str:
    """The page, as HTML."""
    title = f"Scans in {found.folder.resolve().name}"
    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(summary(found))}</p>", *_of_folder(found)]
    for kind, text in TITLES.items():
        parts += _group(found, [case for case in found.cases if case.kind == kind], text)
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def inspection_facts(found: Inspection) -> dict[str, Any]:
    """The same for programs, without pictures."""
    return {
        "folder": str(found.folder),
        "refused": found.refused,
        "findings": [finding._asdict() for finding in found.findings],
        "cases": [
            {
                "name": case.name,
                "shape": case.facts and list(case.facts.shape),
                "spacing": case.facts and list(case.facts.spacing),
                "findings": [finding._asdict() for finding in case.findings],
            }
            for case in found.cases
        ],
    }


def summary(found: Inspection) -> str:
    """What was found, in one or two sentences."""
    refused, doubtful = found.count("refused"), found.count("doubtful")
    counts = f"{counted(len(found.cases), 'case')}: {refused} refused, {doubtful} worth a look."
    if found.refused:
        return f"{counts} 'prepare' would stop; mend what is refused, or leave it out."
    return f"{counts} 'prepare' would take all of them."


def _of_folder(found: Inspection) -> Iterator[str]:
    if found.classes:
        legend = color_legend(found.classes)
        yield f"<p>Each picture is the slice with most of its label map. Outlines: {escape(legend)}.</p>"
    if found.findings:
        yield "<h2>The folder as a whole</h2>"
        yield _findings(found.findings)


def _group(found: Inspection, cases: Sequence[Inspected], title: str) -> Iterator[str]:
    if cases:
        yield f"<h2>{escape(title)} ({len(cases)})</h2>"
        yield '<ul class="cases">'
        yield from (_case(found, case) for case in cases)
        yield "</ul>"


def _case(found: Inspection, case: Inspected) -> str:
    """One case: name, grid, picture, findings."""
    parts = [f"<h3>{escape(case.name)}</h3>"]
    if case.facts:
        parts.append(f"<p>{_grid(case)}</p>")
    if case.picture:
        text = f"Slice {case.position} of {case.name} with its label map as outlines: {_volumes(found, case)}."
        source = f"data:image/png;base64,{base64.b64encode(case.picture).decode()}"
        parts.append(f'<img src="{source}" alt="{escape(text)}" loading="lazy">')
    if case.findings:
        parts.append(_findings(case.findings))
    return f"<li>{''.join(parts)}</li>"


def _grid(case: Inspected) -> str:
    assert case.facts is not None
    shape = " &times; ".join(map(str, case.facts.shape))
    return f"{shape} voxels of {' &times; '.join(f'{mm:.3g}' for mm in case.facts.spacing)} mm"


def _volumes(found: Inspection, case: Inspected) -> str:
    """How many pieces of each class there are: 'kidney in 2 pieces'."""
    held = case.facts.classes if case.facts else {}
    told = [
        f"{found.classes.get(value, value)} in {counted(len(known.pieces), 'piece')}" for value, known in held.items()
    ]
    return ", ".join(told) or "no label"


def _findings(findings: Sequence[Finding]) -> str:
    rows = (
        f'<li><strong class="{finding.kind}">{MARKS[finding.kind]}:</strong> {escape(finding.text)}</li>'
        for finding in findings
    )
    return f'<ul class="findings">{"".join(rows)}</ul>'
