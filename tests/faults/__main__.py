"""Try everything, print the table, and end with 1 if something was not as it should be."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import concurrency, disks, edits, evictions, inputs, kills, outages, overrides
from tests.faults.harness import Outcome

Part = Callable[[Path], Iterator[Outcome]]


SAMPLE = ("kills of stages", "bad scans", "settings", "edited evidence", "outages of MLflow")  # some minutes


def parts(whole: bool) -> dict[str, Part]:
    """What can be tried, in small or whole numbers."""
    few = 20 if whole else 1
    return {
        "kills of stages": lambda work: kills.kill_stages(few, work),
        "bad scans": lambda work: inputs.bad_scans(500 if whole else 60, work),
        "settings": lambda work: overrides.bad_settings(500 if whole else 100, work),
        "edited evidence": edits.edited_evidence,
        "outages of MLflow": lambda work: outages.outages(20 if whole else 2, work),
        "evictions of pods": lambda work: evictions.evictions(10 if whole else 2, work),
        "kills of trials": lambda work: kills.kill_trials(few, work),
        "kills of dvc repro": lambda work: kills.kill_repros(few, work),
        "bad records": lambda work: inputs.bad_records(500 if whole else 60, work),
        "full and closed disks": disks.disks,
        "commands at once": concurrency.commands_at_once,
    }


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", action="store_true", help="everything, which takes hours, in place of a sample")
    parser.add_argument("--table", type=Path, help="write the table to this file, too")
    parser.add_argument("parts", nargs="*", metavar="PART", help="a word of a part's name; a sample by default")
    asked = parser.parse_args()
    lines, faults = ["| part | tried | as it should be | minutes |", "|---|---|---|---|"], list[Outcome]()
    for name, part in parts(asked.whole).items():
        wanted = any(word in name for word in asked.parts) if asked.parts else asked.whole or name in SAMPLE
        if not wanted:
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            found = list(part(Path(folder)))
        bad = [outcome for outcome in found if outcome.fault]
        faults += bad
        minutes = (time.monotonic() - started) / 60
        lines.append(f"| {name} | {len(found)} | {len(found) - len(bad)} | {minutes:.1f} |")
        sys.stderr.write(f"{lines[-1]}\n")
        for outcome in bad:
            sys.stderr.write(f"  {outcome.what}: {outcome.fault}\n")
    table = "\n".join(lines)
    sys.stdout.write(f"{table}\n")
    if asked.table:
        asked.table.write_text(f"{table}\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
