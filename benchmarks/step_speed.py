"""What a training step gains where a process keeps the memory that it freed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from interleaved import Row, median_ratio, spread

PROBE = Path(__file__).with_name("step_probe.py")
SIZES, REPEATS = (64, 96), 7


def compare() -> Iterator[Row]:
    """Processes in turns: memory returned to the system, memory kept."""
    for size in SIZES:
        turns = [(_seconds(size, "returned"), _seconds(size, "kept")) for _ in range(REPEATS)]
        returned, kept = map(list, zip(*turns, strict=True))
        ratios = [slow / fast for slow, fast in turns]
        yield Row(
            f"training step with freed memory kept, against returned to the system ({size} px)",
            "-",
            f"{median_ratio(returned, kept):.2f} times",
            None,
            f"{spread(ratios)} times; {median(returned) * 1e3:.0f} against "
            f"{median(kept) * 1e3:.0f} ms; U-Net of width 8, 8 slices",
        )


def _seconds(size: int, memory: str) -> float:
    command = [sys.executable, str(PROBE), str(size), memory]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
