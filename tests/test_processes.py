from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nephrite.processes import still_runs, this_host, this_process


def test_running_process_is_known() -> None:
    assert still_runs(this_process())
    assert this_process().startswith(f"{os.getpid()} ")


def test_ended_process_is_known() -> None:
    script = "from nephrite.processes import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not still_runs(done.stdout.strip())


def test_number_that_was_given_anew_is_another_process() -> None:
    assert not still_runs(f"{os.getpid()} 1000")


@pytest.mark.parametrize("process", ["", "x y", "1"])
def test_text_that_names_no_process(process: str) -> None:
    assert not still_runs(process)


def test_host_is_told_without_its_name() -> None:
    assert this_host() == this_host()
    assert len(this_host()) == 16
