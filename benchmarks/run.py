"""Print what is measured, against whom, as ratios of one run; see docs/speed.md.

python benchmarks/run.py [start] [prepare] [training]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from interleaved import Row, machine_facts, markdown_table
from phantom_data import write_volumes
from prepare_speed import memory_row, speed_rows
from start_times import help_row, repro_row
from training_speed import BATCH, NETWORK, Comparison, training_rows

from nephrite.training.devices import resolve_precision

PARTS = ("start", "prepare", "training")
COMPARISONS = (Comparison(96, augmented=False), Comparison(96, augmented=True), Comparison(128, augmented=False))


def measure_parts(parts: list[str]) -> Iterator[Row]:
    """One part after the other; everything is written to a temporary folder."""
    if "start" in parts:
        yield help_row()
        yield repro_row()
    with tempfile.TemporaryDirectory() as scratch:
        raw = write_volumes(Path(scratch)) if {"prepare", "training"} & set(parts) else Path(scratch)
        if "prepare" in parts:
            yield from speed_rows(raw)
            yield memory_row(raw)
        if "training" in parts:
            yield from training_rows(raw, COMPARISONS, repeats=7)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    rows = []
    for row in measure_parts(parts):
        rows.append(row)
        sys.stderr.write(f"{row.what}: {row.measured}\n")
    sys.stdout.write(f"{markdown_table(rows)}\n\n{setting()}\n")


def setting() -> str:
    """Machine, network, batch and precision."""
    from phantom_data import bench_config

    precision = resolve_precision(bench_config(96).compute)
    return (
        f"{machine_facts()}. Training: U-Net, base width {NETWORK.base_width}, depth {NETWORK.depth}, padding "
        f"'{NETWORK.padding}', normalization '{NETWORK.normalization}', batches of {BATCH}, {precision}. "
        "Medians over interleaved repeats; the ranges are those of the repeats."
    )


if __name__ == "__main__":
    main()
