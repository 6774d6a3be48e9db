"""Names of processes that outlive them, so that a later one can tell whether they still run."""

from __future__ import annotations

import hashlib
import os
import platform

import psutil

TOLERANCE = 2  # seconds by which the start of one process is told differently, when the clock is set


def this_host() -> str:
    """This machine, or this container; a digest, since names of machines are nobody's business."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def this_process() -> str:
    """This process: its number, and its start in seconds."""
    return f"{os.getpid()} {psutil.Process().create_time():.0f}"


def still_runs(process: str) -> bool:
    """Whether a process of this host, as `this_process` named it, still runs; numbers are given anew after its end."""
    number, _, start = process.partition(" ")
    try:
        return abs(psutil.Process(int(number)).create_time() - float(start)) <= TOLERANCE
    except (psutil.Error, ValueError):
        return False
