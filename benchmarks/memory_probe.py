"""Prepare one patient in a process of its own and print its memory, in bytes, as JSON; Linux only.

    python benchmarks/memory_probe.py RAW STORE SIZE

RAW holds one case in the layout of KiTS19. `imports` is the resident set before the work, `peak` its highest value.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from phantom_data import bench_config

from nephrite.imaging.sources import find_cases
from nephrite.stages.prepare import prepare_patient


def resident_bytes(field: str) -> int:
    """A field of this process's status: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024


def main() -> None:
    """Measure before and after."""
    raw, store, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = bench_config(size).prepare
    before = resident_bytes("VmRSS")
    for case in find_cases(raw):
        prepare_patient(case, settings, store)
    sys.stdout.write(json.dumps({"imports": before, "peak": resident_bytes("VmHWM")}))


if __name__ == "__main__":
    main()
