"""Disks that are full, closed or strange: one line, nothing half-written, nothing of the user's touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.harness import Outcome, nephrite, settings

ARM = "arm=real/light/1.0/0"


def disks(work: Path) -> Iterator[Outcome]:
    """Write where no one can write, and where something of the user's lies."""
    for arguments in (["acquire", "--raw", "raw"], ["prepare", "--raw", "raw", "--pairs", "pairs"]):
        done = nephrite([*arguments, *settings()], work)
        if done.code:
            yield Outcome("disks", arguments[0], done.output[-300:])
            return
    stages = {
        "acquire": ["acquire", "--raw"],
        "prepare": ["prepare", "--raw", "raw", "--pairs"],
        "train-segmenter": ["train-segmenter", "--pairs", "pairs", "--set", ARM, "--segmenter"],
    }
    (work / "docs").mkdir()
    (work / "docs" / "thesis.tex").write_text("years of work")
    (work / "file").write_text("a file")
    strange = {
        "a folder of the user's": "docs",
        "the input itself": "raw",
        "the working folder": ".",
        "below a file": "file/out",
        "a name of 300 letters": "n" * 300,
    }
    for what, place in strange.items():
        for stage, arguments in stages.items():
            before = _listing(work)
            # what the phantom's scans lie in is no input: they may be made anew
            source = ("acquire.source=folder", "acquire.folder.path=raw") if place == "raw" else ()
            done = nephrite([*arguments, place, *settings(*source)], work)
            fault = done.fault or ("accepted" if done.code == 0 else "")
            fault = fault or ("files have changed" if _listing(work) != before else "")
            yield Outcome("disks", f"{stage} into {what}", fault)
    for what, mount in (("a full disk", ["-o", "size=200k"]), ("a read-only disk", ["-o", "ro,size=1m"])):
        with _mounted(work / "disk", mount) as there:
            if not there:
                continue  # not the system's administrator
            for stage, arguments in stages.items():
                done = nephrite([*arguments, "disk/out", *settings("acquire.phantom.matrix=128")], work)
                fault = done.fault or ("accepted" if done.code == 0 else "")
                left = [path.name for path in (work / "disk").iterdir() if not path.name.endswith(".partial")]
                fault = fault or (f"left: {left}" if left else "")
                yield Outcome("disks", f"{stage} onto {what}", fault)
    for what, setting in (("a missing GPU", "compute.accelerator=gpu"), ("no device", "compute.accelerator=tpux")):
        done = nephrite([*stages["train-segmenter"], "out", *settings(setting)], work)
        yield Outcome("disks", what, done.fault or ("accepted" if done.code == 0 and "gpu" not in setting else ""))


def _listing(work: Path) -> dict[str, int]:
    """Files of the user and of earlier stages; not the record of runs."""
    return {
        str(path.relative_to(work)): path.stat().st_size
        for path in work.rglob("*")
        if path.is_file() and not str(path.relative_to(work)).startswith(("mlruns", "mlflow.db"))
    }


@contextmanager
def _mounted(place: Path, options: list[str]) -> Iterator[bool]:
    place.mkdir(exist_ok=True)
    if os.geteuid() or shutil.which("mount") is None:
        yield False
        return
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(place)], check=False, capture_output=True)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", str(place)], check=True)
