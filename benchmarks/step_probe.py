"""Print the seconds of a training step of the segmenter of configs/curvas.yaml, in a process of its own.

    python benchmarks/step_probe.py SIZE kept|returned

What a step frees is kept for the next one, as in every stage, or returned to the system, as glibc does by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nephrite.config import load_config
from nephrite.execution import keep_freed_memory
from nephrite.segmentation.in_process.step_time import step_seconds

PARAMS = Path(__file__).resolve().parent.parent / "configs" / "curvas.yaml"


def main() -> None:
    """Measure as `nephrite plan` does."""
    config = load_config(PARAMS, [f"prepare.in_plane.size={sys.argv[1]}"])
    if sys.argv[2] == "kept":
        keep_freed_memory()
    sys.stdout.write(str(step_seconds(config, "light")))


if __name__ == "__main__":
    main()
