"""Numbers in words, for whatever is read by people."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """'1 cell', '3 cells'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
