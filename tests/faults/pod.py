"""Stand-ins for the two programs above a step's command in a pod of Kubeflow; by their rules, not their code.

Argo's supervisor (argo-workflows, cmd/argoexec/commands/emissary.go) starts its child in a process group of its own and
hands SIGTERM on to the group. The child is Kubeflow's launcher (pipelines, backend/src/v2/component/launcher_v2.go): it
starts the command and has no handler, so it is gone at the signal. The supervisor then ends within a second, and with
the first process of a container Linux kills all others.

    python tests/faults/pod.py SECONDS COMMAND...      SECONDS: from the launcher's end to the container's
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from types import FrameType

LAUNCH = "--as-launcher"


def supervise(grace: float, command: list[str]) -> int:
    """Be the supervisor; gives the exit code of the launcher."""
    child = subprocess.Popen([sys.executable, __file__, LAUNCH, *command], process_group=0)

    def hand_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    signal.signal(signal.SIGTERM, hand_on)
    code = child.wait()
    if code < 0:
        time.sleep(grace)
    # the container ends, and with it whatever is left in it
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def launch(command: list[str]) -> int:
    """Be the launcher: start the command and wait; SIGTERM has its default effect."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    sys.exit(launch(rest) if first == LAUNCH else supervise(float(first), rest))
