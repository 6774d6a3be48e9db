from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nephrite import warm
from nephrite.signatures import STAGES
from nephrite.warm_command import LATER
from tests.conftest import CAPSTONE
from tests.test_cli import invoke


def test_stages_are_imported_before_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Sequence[str], set[str]]] = []

    def serve(command: Sequence[str], modules: Sequence[str], run: Callable[[], None]) -> int:
        seen.append((command, {*modules}))
        return 3

    monkeypatch.setattr(warm, "serve", serve)
    assert invoke("warm", "dvc", "repro", "--help")[0] == 3
    assert seen == [(("dvc", "repro", "--help"), {*LATER, *(f"nephrite.stages.{stage}" for stage in STAGES)})]


def test_elsewhere_than_on_linux_the_command_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    code, shown = invoke("warm", "bash", "-c", "exit 4")
    assert code == 4
    assert "only Linux can fork" in shown


def test_real_commands_run_in_a_warm_process_and_answer_as_alone(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "nephrite"]
    line = " ".join([*program, "settings", "--params", str(CAPSTONE), "--set", "trial.seed=X"])
    script = f"{line}; echo $?; {line.replace('=X', '=9')}"
    alone, warmed = (
        subprocess.run([*start, "bash", "-c", script], capture_output=True, text=True, timeout=100, check=False)
        for start in ([], [*program, "warm"])
    )
    assert (alone.stdout, alone.stderr) == (warmed.stdout, warmed.stderr)
    assert alone.stdout.startswith("2\n")
    assert "seed: 9" in warmed.stdout
