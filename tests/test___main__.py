"""`python -m nephrite` is the command line."""

from __future__ import annotations

import subprocess
import sys

from nephrite import __version__


def test_module_runs_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "nephrite", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nephrite, version {__version__}\n"
