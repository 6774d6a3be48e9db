"""Processor, memory, disk, GPU, and the versions of packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from nephrite.dependencies import check_lock
from nephrite.doctor.checks import Check

CPUINFO, CGROUP = Path("/proc/cpuinfo"), Path("/sys/fs/cgroup/memory.max")
LOCK = "requirements.lock"
PYTHONS = ((3, 11), (3, 12))
GIB = 2**30
MEMORY, LEAST_MEMORY = 4 * GIB, GIB  # two trainings of a small network take 2 GiB, and the reading of a scan another
DISK, LEAST_DISK = 10 * GIB, GIB  # the demo's outputs take 1 GiB, with DVC's cache 2
ASK_GPU = "import torch; n = torch.cuda.device_count(); print(torch.cuda.get_device_name(0) if n else '', n, sep='|')"
SHOWN = 5


def processor(text: str | None = None) -> Check:
    """Cores, and what the processor has for bfloat16.

    Args:
        text: in place of /proc/cpuinfo.
    """
    cores = len(os.sched_getaffinity(0))
    known = text if text is not None else CPUINFO.read_text(encoding="utf-8") if CPUINFO.is_file() else ""
    flags = {flag for line in re.findall(r"(?m)^(?:flags|Features)\s*:(.*)$", known) for flag in line.split()}
    have = [name for name, flag in (("AVX512-BF16", "avx512_bf16"), ("AMX", "amx_bf16")) if flag in flags]
    told = f"{cores} cores, {' and '.join(have) if have else 'no AVX512-BF16, no AMX'}"
    if cores < 2:
        return Check("processor", "note", told, "trainings run one after the other: '--processes 1'")
    return Check("processor", "fine", told)


def memory(available: int | None = None) -> Check:
    """Memory that is free, within the limit of a container.

    Args:
        available: bytes, in place of what the system says.
    """
    free = available if available is not None else psutil.virtual_memory().available
    if available is None and CGROUP.is_file() and (limit := CGROUP.read_text(encoding="utf-8").strip()).isdecimal():
        free = min(free, int(limit))
    told = f"{free / GIB:.1f} GiB are free"
    if free < LEAST_MEMORY:
        return Check("memory", "fails", told, "end other programs, or give the container more")
    if free < MEMORY:
        return Check("memory", "note", told, "run one training at a time: '--processes 1'")
    return Check("memory", "fine", told)


def disk(folder: Path, free: int | None = None) -> Check:
    """Space where the outputs go.

    Args:
        folder: of the outputs.
        free: bytes, in place of what the system says.
    """
    left = free if free is not None else shutil.disk_usage(folder).free
    told = f"{left / GIB:.1f} GiB are free in {folder}"
    if left < LEAST_DISK:
        return Check("disk", "fails", told, "free some, e.g. 'dvc gc --workspace', or work elsewhere")
    if left < DISK:
        return Check("disk", "note", told, "a large trial may fill it: work elsewhere with '--folder'")
    return Check("disk", "fine", told)


def gpu(wanted: str, seconds: float) -> Check:
    """Whether torch sees a GPU; asked in a process of its own.

    Args:
        wanted: 'compute.accelerator'.
        seconds: that torch may take.
    """
    try:
        asked = subprocess.run(  # noqa: S603 -- our own interpreter, and a script of ours
            [sys.executable, "-c", ASK_GPU], capture_output=True, text=True, timeout=seconds, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return Check("GPU", "fails", f"torch cannot be asked ({type(error).__name__})", "make env")
    name, _, count = asked.stdout.strip().rpartition("|")
    if int(count or 0):
        return Check("GPU", "fine", f"{count} of {name}")
    if wanted == "gpu":
        finding = "none is seen, and 'compute.accelerator' is 'gpu'"
        return Check("GPU", "fails", finding, "mend the driver, or take 'auto'")
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return Check("GPU", "note", "one is there, and torch does not see it", "nvidia-smi, then mend the driver")
    return Check("GPU", "fine", "none; trainings run on the processor")


def packages(lock: Path) -> Check:
    """Whether what is installed is what the lock names; packages that are not installed are left to extras.

    Args:
        lock: requirements.lock.
    """
    python = sys.version_info[:2]
    if python not in PYTHONS:
        return Check("packages", "fails", f"this is Python {python[0]}.{python[1]}", "install 3.11 or 3.12; make env")
    if not lock.is_file():
        return Check("packages", "note", f"{lock} is not here: versions are not compared")
    named = re.findall(r"(?m)^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)", lock.read_text(encoding="utf-8"))
    odd = [f"{name} {found} instead of {wanted}" for name, wanted in named if (found := _installed(name, wanted))]
    if odd:
        more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
        return Check("packages", "fails", f"{', '.join(odd[:SHOWN])}{more}", "make env")
    return Check("packages", "fine", f"all that is installed is as {LOCK} names it")


def code() -> Check:
    """Whether code.lock is that of the code."""
    check_lock()
    return Check("code", "fine", "code.lock is that of the code")


def _installed(name: str, wanted: str) -> str:
    """Another version than the wanted one; empty where it is the same, or none is installed."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return ""
    return "" if found in _spellings(wanted) else found


def _spellings(wanted: str) -> Collection[str]:
    """A build may name its variant: '2.12.1' and '2.12.1+cpu'."""
    return {wanted, wanted.partition("+")[0]}
