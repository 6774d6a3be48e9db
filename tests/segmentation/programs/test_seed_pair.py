from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nephrite.errors import ProgramError
from nephrite.programs.orders import Call, Order
from nephrite.programs.running import Program
from nephrite.segmentation.programs.seed_pair import compare_pair, seed_calls

FIT = """
import os, sys, time
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
write = lambda name, text: open(os.path.join(given["--out"], name), "w").write(text)
write("model.json", str(time.monotonic_ns()))
write("progress.jsonl", str(time.monotonic_ns()))
write("weights", given["--seed"] + given["--steps"])
"""


def seed_of(tmp_path: Path, *lines: str, steps: int = 600) -> None:
    path = tmp_path / "fit.py"
    path.write_text("\n".join((FIT, *lines)))
    calls = seed_calls(Call("fit", {"steps": steps, "seed": 7, "out": "elsewhere"}), tmp_path)
    program = Program([sys.executable, str(path)], 60)
    Order(program, tmp_path, tmp_path, calls).carry_out(tmp_path, lambda _: None)
    compare_pair(tmp_path, steps)


@pytest.mark.parametrize(("steps", "taken"), [(600, "10"), (4, "4")])
def test_equal_models_confirm_a_seed_whatever_the_time(tmp_path: Path, steps: int, taken: str) -> None:
    seed_of(tmp_path, steps=steps)
    for folder in ("seed_first", "seed_second"):
        assert (tmp_path / folder / "weights").read_text() == f"7{taken}"


@pytest.mark.parametrize(
    "line",
    ['write("weights", str(time.monotonic_ns()))', 'write(f"best-{time.monotonic_ns()}", "")'],
)
def test_other_weights_or_other_files_are_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(
        ProgramError, match=r"^setting 'seeded': gave two models for one seed, after 10 steps: "
    ) as told:
        seed_of(tmp_path, line)
    assert "\n" not in str(told.value)


def test_a_program_that_fails_is_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="ended with exit code 1: ValueError: no memory"):
        seed_of(tmp_path, 'raise ValueError("no memory")')
