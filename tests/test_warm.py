from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from nephrite.errors import ProgramError
from nephrite.warm import SOCKET, ask, run_cold, serve

# a command line in the place of ours: its first argument says what it does
SERVER = """
import os, signal, sys, time
from nephrite import warm

COUNT = []

def run():
    word = sys.argv[1]
    COUNT.append(word)
    if word == "tell":
        print(os.getcwd(), os.environ["COLOR"], len(COUNT), "colorsys" in sys.modules)
        print("said on error", file=sys.stderr)
    if word == "read":
        print(sys.stdin.read().upper(), end="")
    if word == "exit":
        sys.exit(int(sys.argv[2]))
    if word == "fail":
        raise ValueError("as it is")
    if word == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            print(os.getpid(), os.getpgid(0), flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("stopped once", flush=True)
            time.sleep(0.5)
            sys.exit(7)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as our command line does
    sys.exit(warm.serve(sys.argv[1:], ["colorsys"], run))
"""
CLIENT = """
import sys
from nephrite import warm
from nephrite.errors import ProgramError

try:
    sys.exit(warm.ask(sys.argv[1:]))
except ProgramError as error:
    sys.exit(str(error))
"""
Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Start a shell line in a warm process; `$ASK` in it is a command that is forked."""
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "client.py").write_text(CLIENT)
    environment = {**os.environ, "ASK": f"{sys.executable} {tmp_path / 'client.py'}", "COLOR": "green"}

    def start(line: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "server.py"), "bash", "-c", line]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=tmp_path, process_group=0
        )

    return start


def outcome(process: subprocess.Popen[str], given: str = "") -> tuple[int, str, str]:
    out, err = process.communicate(given, timeout=30)
    return process.returncode, out, err


def ends(number: int) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + 10
    while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_a_command_has_the_folder_environment_and_files_of_who_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    line = "cd below; export COLOR=red; $ASK tell > out.txt; $ASK tell; echo small | $ASK read; $ASK read"
    code, out, err = outcome(run(line), "given")
    below = tmp_path / "below"
    assert (code, err) == (0, "said on error\nsaid on error\n")
    assert (below / "out.txt").read_text() == f"{below} red 1 True\n"
    assert out == f"{below} red 1 True\nSMALL\nGIVEN"  # each is forked anew: what one counted the next does not see


def test_exit_codes_come_back(run: Run) -> None:
    code, out, err = outcome(run("$ASK exit 0; echo $?; $ASK exit 3; echo $?; $ASK fail; echo $?; exit 5"))
    assert (code, out) == (5, "0\n3\n1\n")
    assert "ValueError: as it is" in err


def begun(process: subprocess.Popen[str]) -> int:
    """The number of the command that waits, once it does; the shell line then goes on."""
    assert process.stdout is not None
    assert process.stdin is not None
    child = int(process.stdout.readline().split()[0])
    process.stdin.write("\n")
    process.stdin.flush()
    return child


def test_two_at_a_time(run: Run) -> None:
    with run("$ASK wait & one=$!; read; $ASK tell; kill $one; wait $one; echo $?") as process:
        begun(process)
        code, out, _ = outcome(process)
    assert code == 0
    assert out.splitlines()[-1] == "143"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_who_asked_reaches_the_command(run: Run, number: signal.Signals) -> None:
    with run(f"$ASK wait & one=$!; read; kill -{number.value} $one; wait $one; echo $?") as process:
        begun(process)
        _, out, _ = outcome(process)
    assert out == ("143\n" if number == signal.SIGTERM else "stopped once\n7\n")


def test_ctrl_c_reaches_the_command_once_and_the_warm_process_waits_for_it(run: Run) -> None:
    with run("trap '' INT; $ASK wait; echo $?") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert outcome(process)[:2] == (0, "stopped once\n7\n")


def test_a_command_ends_with_who_asked_for_it(run: Run) -> None:
    with run("$ASK wait & one=$!; read; kill -9 $one; sleep 60") as process:
        assert ends(begun(process))
        process.terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_ends_with_the_warm_process_and_who_asked_is_told(run: Run, number: signal.Signals) -> None:
    with run("$ASK wait; echo done") as process:
        assert process.stdout is not None
        child = int(process.stdout.readline().split()[0])
        process.send_signal(number)
        assert ends(child)
        _, _, err = outcome(process)
    if number == signal.SIGKILL:
        assert "the warm process: ended before this command did; run it again" in err


def test_without_a_warm_process_the_command_is_done_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(SOCKET, raising=False)
    assert ask(["tell"]) is None
    monkeypatch.setenv(SOCKET, str(tmp_path / "gone"))
    assert ask(["tell"]) is None


def test_a_program_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProgramError, match="no-such-program: cannot be started"):
        serve(["no-such-program"], [], lambda: None)


@pytest.mark.parametrize(("word", "code"), [("exit 4", 4), ("kill -9 $$", 137)])
def test_where_nothing_is_forked_the_command_runs_as_it_is(word: str, code: int) -> None:
    assert run_cold(["bash", "-c", word]) == code
