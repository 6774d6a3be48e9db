"""Medians over interleaved repeats: on a machine that others use too, only what ran side by side can be compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PAGE = Path(__file__).resolve().parent.parent / "docs" / "speed.md"


@dataclass(frozen=True)
class Row:
    """One line of the printed table.

    Attributes:
        what: is measured.
        target: in words.
        measured: the figure that the target speaks of, with its unit.
        met: whether it is reached; None if it was not measured or has no target.
        details: the figures behind it, and against whom.
    """

    what: str
    target: str
    measured: str
    met: bool | None
    details: str


def interleave(contenders: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Wall seconds of each contender, in turns (A B A B ...), after one untimed turn that warms caches."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def median_ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """Median over turns of how many times as long one took as the other: neighbors in time share the noise."""
    return median(long / short for long, short in zip(slower, faster, strict=True))


def spread(values: Sequence[float]) -> str:
    """Smallest and largest, for a reader who wants to know how noisy the machine was."""
    return f"{min(values):.3g} to {max(values):.3g}"


def markdown_table(rows: Sequence[Row]) -> str:
    """The table of docs/speed.md."""
    words = {True: "yes", False: "no", None: "-"}
    lines = ["| what | target | measured | met | details |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.target} | {row.measured} | {words[row.met]} | {row.details} |" for row in rows]
    return "\n".join(lines)


def keep(page: Path, part: str, text: str) -> None:
    """Put a part's table into a page, between its two marks.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- begin: {part} -->\n", f"<!-- end: {part} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no marks of {part!r}")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")
