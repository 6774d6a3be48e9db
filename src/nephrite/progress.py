"""Progress bars with a time estimate, for work that takes more than a few seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nephrite.terminal import is_quiet

Item = TypeVar("Item")


def new_bar(*, only_on_terminal: bool, shown: bool = True, refresh_per_second: float = 10) -> Progress:
    """A bar on standard error: text, count, time since the start, time left.

    Args:
        only_on_terminal: show nothing where standard error is no terminal.
        shown: False: show nothing anywhere.
        refresh_per_second: how often it is drawn at the most.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=refresh_per_second,
        disable=not shown or is_quiet() or (only_on_terminal and not console.is_terminal),
    )


def progress_bar(items: Iterable[Item], text: str, total: int) -> Iterator[Item]:
    """Yield `items` and show how many of `total` are done and how long the rest will take, on standard error."""
    with new_bar(only_on_terminal=False) as bar:
        yield from bar.track(items, total=total, description=text)
