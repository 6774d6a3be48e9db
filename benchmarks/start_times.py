"""How long a user waits before anything happens: `nephrite --help`, and `dvc repro` with nothing to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from interleaved import Row, interleave, spread

PROJECT = Path(__file__).resolve().parent.parent
HELP_SECONDS, REPRO_SECONDS = 0.5, 5.0
LOADS_TORCH = """
import contextlib, io, sys
from nephrite.cli import main
sys.argv = ["nephrite", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
print("torch" in sys.modules)
"""


def help_row(repeats: int = 9) -> Row:
    """`nephrite --help`, beside an interpreter that does nothing."""
    python = sys.executable
    seconds = interleave(
        {
            "help": lambda: run_quietly([str(Path(python).with_name("nephrite")), "--help"]),
            "python": lambda: run_quietly([python, "-c", "pass"]),
        },
        repeats,
    )
    loaded = subprocess.run([python, "-c", LOADS_TORCH], check=True, capture_output=True, text=True).stdout.strip()
    middle, imported = median(seconds["help"]), loaded == "True"
    details = f"{spread(seconds['help'])} s; an interpreter that does nothing takes {median(seconds['python']):.2f} s"
    return Row(
        "`nephrite --help`",
        f"at most {HELP_SECONDS} s; torch is not imported",
        f"{middle:.2f} s; torch is {'' if imported else 'not '}imported",
        middle <= HELP_SECONDS and not imported,
        details,
    )


def repro_row(repeats: int = 3) -> Row:
    """`dvc repro` in this project, if nothing is to be done there."""
    what, target = "`dvc repro` with nothing to do", f"at most {REPRO_SECONDS:g} s"
    dvc = str(Path(sys.executable).with_name("dvc"))
    if subprocess.run([dvc, "status", "--quiet"], cwd=PROJECT, check=False, capture_output=True).returncode:
        return Row(what, target, "-", None, "`dvc status` names changed stages: run `make demo` first")
    seconds = interleave({"repro": lambda: run_quietly([dvc, "repro"])}, repeats)["repro"]
    return Row(what, target, f"{median(seconds):.1f} s", median(seconds) <= REPRO_SECONDS, f"{spread(seconds)} s")


def run_quietly(command: Sequence[str]) -> None:
    """Run a command in the project folder; its failure is an error here."""
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
