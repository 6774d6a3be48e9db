"""An order does the same here and as a script, whose two folders lie anywhere."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nephrite.errors import ProgramError
from nephrite.programs.orders import Call, Order
from nephrite.programs.running import Program

# a program of a shell: it writes down what it was told, and may fail or hang
PROGRAM = """
verb=$1; shift
while [ $# -gt 0 ]; do
    case $1 in --out) out=$2;; --word) word=$2;; --from) from=$2;; esac
    shift 2
done
case $verb in fail) echo "no memory" >&2; exit 3;; hang) sleep 60;; esac
printf '%s|%s|%s|%s' "$verb" "$word" "$(cat "$from")" "$OMP_NUM_THREADS $OWN" > "$out/told"
"""
ODD = 'it\'s $HOME; "two" words'


def order_in(given: Path, done: Path, *verbs: str, limit: float = 30) -> Order:
    """An order of a call for each verb, with a word that a shell would like to change."""
    given.mkdir(parents=True)
    (given / "a file").write_text("content")
    program = given.parent / "program.sh"
    program.write_text(PROGRAM)
    calls = [Call(verb, {"word": ODD, "from": given / "a file", "out": done / verb}) for verb in verbs]
    return Order(Program(["sh", str(program)], limit, 3, {"OWN": ODD}), given, done, calls)


def run_script(given: Path, done: Path) -> subprocess.CompletedProcess[str]:
    """The script, by the least that there is: a shell that knows no more than its path."""
    command = ["sh", str(given / "run.sh"), str(given), str(done)]
    return subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)


def test_an_order_is_carried_out_here_and_by_its_script_with_the_same_result(tmp_path: Path) -> None:
    order = order_in(tmp_path / "given", tmp_path / "done", "fit", "predict")
    seen: list[str] = []
    order.carry_out(tmp_path, lambda call: seen.append(call.verb))
    assert list(dict.fromkeys(seen)) == ["fit", "predict"]
    order.write_script()
    # another place, as in a pod
    moved, made = tmp_path / "a pod's" / "given", tmp_path / "a pod's" / "done"
    moved.parent.mkdir()
    (tmp_path / "given").rename(moved)
    done = run_script(moved, made)
    assert (done.returncode, done.stderr) == (0, "")
    for verb in ("fit", "predict"):
        here = (tmp_path / "done" / verb / "told").read_text()
        assert here == (made / verb / "told").read_text() == f"{verb}|{ODD}|content|3 {ODD}"
    assert int((made / "seconds").read_text()) < 30


def test_a_call_that_fails_ends_the_script_with_its_code(tmp_path: Path) -> None:
    order_in(tmp_path / "given", tmp_path / "done", "fail", "predict").write_script()
    done = run_script(tmp_path / "given", tmp_path / "done")
    assert done.returncode == 3
    assert "no memory" in done.stderr
    assert "exit code 3" in done.stderr
    assert not (tmp_path / "done" / "predict").exists()
    assert not (tmp_path / "done" / "seconds").exists()


def test_a_call_that_hangs_is_ended(tmp_path: Path) -> None:
    order = order_in(tmp_path / "given", tmp_path / "done", "hang", limit=1)
    order.write_script()
    done = run_script(tmp_path / "given", tmp_path / "done")
    assert done.returncode == 137
    assert "took longer than 1 seconds" in done.stderr
    with pytest.raises(ProgramError, match="took longer than 1 seconds"):
        order.carry_out(tmp_path, lambda _: None)


def test_nothing_of_the_script_outlives_it(tmp_path: Path) -> None:
    limit = 86_413  # a number that nobody else sleeps for
    order_in(tmp_path / "given", tmp_path / "done", "fit", "predict", limit=limit).write_script()
    assert run_script(tmp_path / "given", tmp_path / "done").returncode == 0
    deadline = time.monotonic() + 5
    while (left := sleeping(limit)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def sleeping(seconds: int) -> list[Path]:
    """Processes that wait for so long."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(path)
    return found


def test_what_an_earlier_attempt_left_is_not_there(tmp_path: Path) -> None:
    order = order_in(tmp_path / "given", tmp_path / "done", "fit")
    (tmp_path / "done" / "fit").mkdir(parents=True)
    (tmp_path / "done" / "fit" / "old").touch()
    order.carry_out(tmp_path, lambda _: None)
    assert [path.name for path in (tmp_path / "done" / "fit").iterdir()] == ["told"]
