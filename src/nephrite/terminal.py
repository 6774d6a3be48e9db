"""What goes to the terminal on the way to a result: warnings, and how much else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

FORMAT = "%(levelname)s: %(message)s"
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class Echo(logging.Handler):
    """Writes to standard error as it is at that moment: a progress bar puts itself in its place while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        click.echo(self.format(record), err=True)


def log_to_terminal() -> None:
    """Let warnings of this process go to standard error, a line each."""
    logging.basicConfig(level=logging.WARNING, format=FORMAT, handlers=[Echo()])


@contextmanager
def quiet(wanted: bool) -> Iterator[None]:
    """Within the block, if wanted, no bar is drawn and nothing is told but errors."""
    before, token = logging.root.level, _quiet.set(wanted)
    if wanted:
        logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(before)
        _quiet.reset(token)


def is_quiet() -> bool:
    """Whether this is within such a block."""
    return _quiet.get()
