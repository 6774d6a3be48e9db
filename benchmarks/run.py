"""Print what is measured, against whom, as ratios of one run; see docs/speed.md.

python benchmarks/run.py [--write] [start] [prepare] [step] [training] [synthesis] [growth]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from interleaved import PAGE, Row, keep, markdown_table


def start_rows() -> Iterator[Row]:
    """Waiting at the command line."""
    from start_times import help_row, repro_row

    yield help_row()
    yield repro_row()


def prepare_rows() -> Iterator[Row]:
    """Speed and memory of `prepare`."""
    from phantom_data import write_volumes
    from prepare_speed import memory_row, speed_rows

    with tempfile.TemporaryDirectory() as scratch:
        raw = write_volumes(Path(scratch))
        yield from speed_rows(raw)
        yield memory_row(raw)


def step_rows() -> Iterator[Row]:
    """What memory that is kept does for a training step."""
    from step_speed import compare

    yield from compare()


def training_rows() -> Iterator[Row]:
    """Speed of the training."""
    from phantom_data import write_volumes
    from training_speed import compare

    with tempfile.TemporaryDirectory() as scratch:
        yield from compare(write_volumes(Path(scratch)))


def synthesis_rows() -> Iterator[Row]:
    """Speed of the generators."""
    from synthesis_speed import compare

    with tempfile.TemporaryDirectory() as scratch:
        yield from compare(Path(scratch))


def growth_rows() -> Iterator[Row]:
    """Many patients."""
    from growth import compare

    yield from compare()


# Imported only where it is used: a process that `prepare` starts for itself imports this file anew.
PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "start": start_rows,
    "prepare": prepare_rows,
    "step": step_rows,
    "training": training_rows,
    "synthesis": synthesis_rows,
    "growth": growth_rows,
}


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/speed.md, too")
    asked = parser.parse_args()
    parts = asked.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    # For every contender: where others want the cores too, threads that wait for each other cost ten times the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, which is below
    for part in parts:
        rows = []
        for row in PARTS[part]():
            rows.append(row)
            sys.stderr.write(f"{row.what}: {row.measured}\n")
        from machine_facts import describe_machine

        text = f"{markdown_table(rows)}\n\nPrinted by `python benchmarks/run.py {part}`: {describe_machine()}"
        sys.stdout.write(f"{text}\n\n")
        if asked.write:
            keep(PAGE, part, text)


if __name__ == "__main__":
    main()
