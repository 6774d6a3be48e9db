"""Numbers in words and tables in Markdown, for texts that people read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def counted(number: int, noun: str) -> str:
    """'1 cell', '3 cells'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """'50 seconds', '12 minutes', '2.2 hours', '40 days': the unit of which there are at least two, in two digits."""
    units = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
    name, length = next(((name, length) for name, length in units if seconds >= 2 * length), units[-1])
    count = seconds / length
    return f"{count:,.0f} {name}" if count >= 10 or name == "seconds" else f"{count:.1f} {name}"


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table with a head row; the text of cells is not escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
