"""A process that has imported everything once, and from which commands are forked: `nephrite warm dvc repro`.

A stage imports torch, Lightning and MLflow before it does anything, which takes longer than many a stage. DVC starts
a process for each. Inside `nephrite warm` such a process is a thin one: it hands its arguments, folder, environment and
open files to the warm process by a socket, which forks a child that has all modules already, and waits for its exit
code. Signals are passed on; the child ends with whoever asked for it, or with the warm process.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from nephrite.errors import ProgramError
from nephrite.workers import end_with_parent

SOCKET = "NEPHRITE_WARM"  # where commands find the socket
LONGEST = 2**20  # bytes of a message
LONGEST_FOLDER = 60  # characters; the path of a socket has a hundred
ANSWERS = 2  # lines that a client gets
POLL = 0.1  # seconds after which the warm process looks whether its own command has ended
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
LOST = 1  # exit code of a child that was lost
Main = Callable[[], None]


@dataclass
class _Asked:
    """A command that was asked for, its process, and who waits for it."""

    client: socket.socket
    process: BaseProcess


def serve(command: Sequence[str], modules: Sequence[str], run: Main) -> int:
    """Import modules, run a command, and fork a child for whatever it or its children `ask` for.

    Args:
        command: program and arguments.
        modules: imported first, in order.
        run: the command line, called in the child.

    Returns:
        the exit code of the command.

    Raises:
        ProgramError: there is no such program.
    """
    # one thread while importing: a child cannot use threads that were started here
    given = dict(os.environ)
    os.environ["OMP_NUM_THREADS"] = "1"
    for module in modules:
        importlib.import_module(module)
    short = None if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "/tmp"  # noqa: S108 - a folder of its own in it
    with (
        tempfile.TemporaryDirectory(prefix="nephrite-", dir=short) as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        place = Path(folder) / "socket"  # in a folder that is this user's alone
        listener.bind(str(place))
        listener.listen()
        # Ctrl-C reaches the command as well, which ends by itself; what is ignored here, it would ignore too
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return _serve(command, listener, {**given, SOCKET: str(place)}, run)
        finally:
            signal.signal(signal.SIGINT, before)


def run_cold(command: Sequence[str]) -> int:
    """Run a command without a warm process; its exit code. Raises ProgramError: there is no such program."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # it ends by itself
    try:
        return _exit_code(_started(command, os.environ).wait())
    finally:
        signal.signal(signal.SIGINT, before)


def _started(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own words
    except OSError as error:
        raise ProgramError(command[0], f"cannot be started ({error.strerror})", "name a program") from None


def _exit_code(code: int) -> int:
    """As a shell tells it."""
    return code if code >= 0 else 128 - code


def _serve(command: Sequence[str], listener: socket.socket, environment: Mapping[str, str], run: Main) -> int:
    running = _started(command, environment)
    asked: list[_Asked] = []
    try:
        while (code := running.poll()) is None:
            ready = wait([listener, *(one.process.sentinel for one in asked), *(one.client for one in asked)], POLL)
            if listener in ready:
                client, _ = listener.accept()
                if process := _fork(client, listener, run):
                    asked.append(_Asked(client, process))
            for one in [one for one in asked if one.process.sentinel in ready]:
                one.process.join()
                _tell(one.client, one.process.exitcode)
                asked.remove(one)
            for one in [one for one in asked if one.client in ready and _is_gone(one.client)]:
                one.process.terminate()
        return _exit_code(code)
    finally:
        running.terminate()
        for one in asked:
            one.process.terminate()
            one.client.close()


def _fork(client: socket.socket, listener: socket.socket, run: Main) -> BaseProcess | None:
    """Start the child that does what a client asks for; None if the client went away before it said so."""
    request, files = _received(client)
    if request is None:
        client.close()
        return None
    process = get_context("fork").Process(target=_work, args=(request, files, listener, client, run))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # the child hears them once it is ready for them
    process.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for file in files:
        os.close(file)
    with suppress(OSError):
        client.sendall(f"{process.pid}\n".encode())
    return process


def _received(client: socket.socket) -> tuple[Mapping[str, object] | None, list[int]]:
    """What a client asks for, and its standard input, output and error."""
    text, files, _, _ = socket.recv_fds(client, LONGEST, 3)
    while text and not text.endswith(b"\n"):
        more = client.recv(LONGEST)
        text = text + more if more else b""
    return (json.loads(text) if text else None), list(files)


def _work(
    request: Mapping[str, object], files: Sequence[int], listener: socket.socket, client: socket.socket, run: Main
) -> None:
    """In the child: become what the client would have been."""
    # what belongs to the warm process is not the child's
    listener.close()
    client.close()
    os.setpgid(0, 0)  # Ctrl-C of the terminal comes by way of the client, and once
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    threading.Thread(target=end_with_parent, daemon=True).start()
    # files, folder, environment, arguments
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False, encoding="utf-8", buffering=1)  # noqa: SIM115 - as long as the process
        for number, mode in enumerate("rww")
    )
    os.chdir(str(request["folder"]))
    environment, arguments = request["environment"], request["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    run()


def _tell(client: socket.socket, code: int | None) -> None:
    with suppress(OSError), client:
        client.sendall(f"{LOST if code is None else _exit_code(code)}\n".encode())


def _is_gone(client: socket.socket) -> bool:
    """Whether whoever asked has ended: it says nothing more after its request."""
    try:
        return not client.recv(1)
    except OSError:
        return True


def ask(arguments: Sequence[str]) -> int | None:
    """Let the warm process do this command, if there is one.

    Returns:
        its exit code; None where no warm process answers, and the command has to be done here.

    Raises:
        ProgramError: the warm process ended first.
    """
    place = os.environ.get(SOCKET)
    if not place:
        return None
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(place)
        except OSError:
            return None
        signals = _Signals()
        request = {"arguments": list(arguments), "folder": str(Path.cwd()), "environment": dict(os.environ)}
        text = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(server, [text], [0, 1, 2])
        server.sendall(text[sent:])
        # the child's number, then its exit code
        said = b""
        while said.count(b"\n") < ANSWERS:
            # never blocked for long: a signal that comes just before a call that blocks is handled after it
            if not wait([server], POLL):
                continue
            more = server.recv(LONGEST)
            if not more:
                raise ProgramError("the warm process", "ended before this command did", "run it again")
            said += more
            if not signals.child and b"\n" in said:
                signals.send_to(int(said.partition(b"\n")[0]))
        return int(said.split()[1])


class _Signals:
    """Passes signals on to the child; those that came before its number is known, as soon as it is."""

    def __init__(self) -> None:
        self.child, self.early = 0, list[int]()
        for number in PASSED_ON:
            signal.signal(number, self._pass_on)

    def send_to(self, child: int) -> None:
        """Name the child; 0 if there is none."""
        self.child = child
        for number in self.early if child else ():
            self._pass_on(number, None)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if not self.child:
            self.early.append(number)
            return
        with suppress(OSError):
            os.kill(self.child, number)
