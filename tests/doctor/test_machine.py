from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from nephrite.doctor.machine import GIB, code, disk, gpu, memory, packages, processor


def test_the_processor_is_told_by_its_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    assert processor("flags\t\t: fpu avx512_bf16 amx_bf16\n").finding == "2 cores, AVX512-BF16 and AMX"
    plain = processor("flags\t\t: fpu avx2\n")
    assert (plain.state, plain.finding) == ("fine", "2 cores, no AVX512-BF16, no AMX")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0})
    assert processor("").state == "note"


@pytest.mark.parametrize(("size", "state"), [(0.5, "fails"), (2, "note"), (40, "fine")])
def test_memory_and_disk_are_told_by_what_is_free(tmp_path: Path, size: float, state: str) -> None:
    free = int(size * GIB)
    assert memory(free).state == disk(tmp_path, free).state == state


def test_a_container_has_no_more_memory_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text(f"{GIB // 2}\n")
    monkeypatch.setattr("nephrite.doctor.machine.CGROUP", tmp_path / "limit")
    assert (memory().state, memory().finding) == ("fails", "0.5 GiB are free")
    (tmp_path / "limit").write_text("max\n")
    assert memory().finding != "0.5 GiB are free"


def test_a_gpu_that_is_asked_for_must_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nephrite.doctor.machine.ASK_GPU", "print('|0')")
    assert gpu("gpu", 30).state == "fails"
    assert gpu("cpu", 30).state in ("fine", "note")  # a note where the machine has one
    monkeypatch.setattr("nephrite.doctor.machine.ASK_GPU", "print('A100|2')")
    assert gpu("gpu", 30).finding == "2 of A100"
    monkeypatch.setattr("nephrite.doctor.machine.ASK_GPU", "import nothing_of_this_name")
    assert (gpu("auto", 30).state, gpu("auto", 30).remedy) == ("fails", "make env")


def test_packages_of_another_version_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"# a comment\nnumpy=={version('numpy')} \\\n    --hash=sha256:0\nnot-installed-here==1.0\n")
    assert packages(lock).state == "fine"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:0\n")
    told = packages(lock)
    assert (told.state, told.finding) == ("fails", f"numpy {version('numpy')} instead of 0.1")
    assert packages(tmp_path / "none").state == "note"
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert packages(lock).finding == "this is Python 3.14"


def test_the_code_is_that_of_its_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert code().state == "fine"
