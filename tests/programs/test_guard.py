from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nephrite.programs import guard

# a program that starts another one, says its number, and goes on as told
PARENT = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(p.pid, flush=True); {then}"
)


def guarded(scratch: Path, *command: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-I", "-S", guard.__file__, str(scratch), *command]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def is_gone(number: int) -> bool:
    """Whether a process ends within a moment; one that ended and was not waited for yet is gone as well."""
    for _ in range(100):
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("code", "told"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_the_exit_code_is_that_of_the_program(tmp_path: Path, code: str, told: int) -> None:
    with guarded(tmp_path, sys.executable, "-c", code) as process:
        assert process.wait(30) == told
    assert tmp_path.is_dir()


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    with guarded(tmp_path, str(tmp_path / "missing")) as process:
        _, told = process.communicate(timeout=30)
    assert (process.returncode, told.decode()) == (127, f"{tmp_path / 'missing'}: No such file or directory\n")


def test_a_program_leaves_no_process_behind(tmp_path: Path) -> None:
    with guarded(tmp_path, sys.executable, "-c", PARENT.format(then="pass")) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        assert process.wait(30) == 0
    assert is_gone(child)


def test_all_ends_and_scratch_goes_when_the_stage_lets_go(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for number in range(2000):  # more than a moment's work
        (scratch / f"{number}.nii.gz").touch()
    with guarded(scratch, sys.executable, "-c", PARENT.format(then="time.sleep(60)")) as process:
        assert process.stdout
        assert process.stdin
        child = int(process.stdout.readline())
        process.stdin.close()
        assert process.wait(30) == 137
    assert is_gone(child)
    assert not scratch.exists()
