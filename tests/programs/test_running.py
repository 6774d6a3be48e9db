from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nephrite.errors import ProgramError
from nephrite.programs.running import Program, last_words
from tests.programs.test_guard import PARENT, is_gone


def program(code: str, *, limit: float = 60, **variables: str) -> Program:
    return Program([sys.executable, "-c", code], limit, threads=3, variables=variables)


def run(known: Program, scratch: Path, **options: object) -> None:
    known.run("fit", options, scratch, lambda: None)


def test_verb_options_threads_and_variables_arrive_and_secrets_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN", "MY_SECRET"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("PLAIN", "seen")
    write = "import sys, os, json; json.dump([sys.argv[1:], dict(os.environ)], open(sys.argv[-1], 'w'))"
    run(program(write, OWN="mine"), tmp_path, steps=5, out=tmp_path / "said.json")
    words, environment = json.loads((tmp_path / "said.json").read_text())
    assert words == ["fit", "--steps", "5", "--out", str(tmp_path / "said.json")]
    assert {environment[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")} == {"3"}
    assert (environment["OWN"], environment["PLAIN"]) == ("mine", "seen")
    assert "hidden" not in environment.values()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('all well'); raise ValueError('no case in /data/mr-jones/cases: key')", "ended with exit code 1: Val"),
        (
            "print('reading'); print('Error: labels differ'); print('bye'); raise SystemExit(4)",
            "4: Error: labels differ",
        ),
        ("raise SystemExit(2)", "ended with exit code 2, and said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "was killed, which the system does where memory runs out"),
        ("import os; os.kill(os.getpid(), 15)", "was ended by signal 15"),
    ],
)
def test_a_failure_is_one_line_in_the_programs_own_words(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(ProgramError) as caught:
        run(program(code), tmp_path)
    line = str(caught.value)
    assert told in line
    assert len(line.splitlines()) == 1
    assert "mr-jones" not in line


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"program 'missing fit': could not be started: .*No such file"):
        run(Program([str(tmp_path / "missing")], 60), tmp_path)


def test_values_of_its_variables_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"wrong license \.\.\.;"):
        run(program("import os; raise SystemExit('wrong license ' + os.environ['OWN'])", OWN="0815"), tmp_path)


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "output.txt"
    clock = SimpleNamespace(monotonic=lambda: 61 if said.exists() and said.read_text().endswith("\n") else 0)
    monkeypatch.setattr("nephrite.programs.running.time", clock)
    with pytest.raises(ProgramError, match=r"took longer than 60 seconds and was ended: \d+; raise 'limit'") as caught:
        run(program(PARENT.format(then="time.sleep(60)")), tmp_path)
    assert is_gone(int(str(caught.value).split("ended: ")[1].split(";")[0]))


def test_what_a_program_writes_last_is_seen(tmp_path: Path) -> None:
    seen: list[bool] = []
    code = "import sys, pathlib; pathlib.Path(sys.argv[-1]).touch()"
    program(code).run("fit", {"out": tmp_path / "done"}, tmp_path, lambda: seen.append((tmp_path / "done").exists()))
    assert seen[-1]


def test_an_error_of_the_watcher_ends_the_program(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise ProgramError("progress", "is wrong", "mend it")

    started = time.monotonic()
    with pytest.raises(ProgramError, match="progress: is wrong"):
        program("import time; time.sleep(60)").run("fit", {}, tmp_path, watch)
    assert time.monotonic() - started < 30


def test_nothing_outlives_a_stage_that_is_killed(tmp_path: Path) -> None:
    scratch, said = tmp_path / "scratch", tmp_path / "said"
    scratch.mkdir()
    then = f"open({str(said)!r}, 'w').write(str(p.pid) + '\\n'); time.sleep(60)"
    stage = "\n".join(
        (
            "import sys; from pathlib import Path",
            "from nephrite.programs.running import Program",
            f"known = Program([sys.executable, '-c', {PARENT.format(then=then)!r}], 60)",
            f"known.run('fit', {{}}, Path({str(scratch)!r}), lambda: None)",
        )
    )
    with subprocess.Popen([sys.executable, "-c", stage]) as process:
        while not (said.exists() and said.read_text().endswith("\n")):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert is_gone(int(said.read_text()))
    for _ in range(100):
        if not scratch.exists():
            break
        time.sleep(0.05)
    assert not scratch.exists()


def test_last_words_are_the_last_that_tell_of_an_error(tmp_path: Path) -> None:
    path = tmp_path / "output.txt"
    path.write_bytes(b"x" * 100_000 + b"\nstep 1\r\nRuntimeError: CUDA out of memory\x1b[0m in /a/b/c/d.py\n\xff\n  \n")
    assert last_words(path) == "RuntimeError: CUDA out of memory[0m in .../d.py"
    path.write_bytes(b"step 1\nstep 2\n")
    assert last_words(path) == "step 2"
    path.write_bytes(b"error " + b"y" * 1000)
    assert len(last_words(path)) == 303
    path.write_bytes(b"")
    assert not last_words(path)
