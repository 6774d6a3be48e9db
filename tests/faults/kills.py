"""Commands are killed at random moments and run again: the outcome is that of an undisturbed run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.harness import (
    ROOT,
    Outcome,
    content,
    environment,
    left_over,
    moments,
    nephrite,
    running,
    settings,
    start,
    still_there,
)

ARM, SYNTHETIC_ARM, PAINTER = "real+geometric/light/1.0/0", "real+synthetic+geometric/light/1.0/0", "pix2pix/1.0/0"
SETS = "trial.training_sets.real=[real, real+geometric]"
PLACES = {
    "raw": "data/raw",
    "pairs": "data/prepared",
    "synthesizer": f"models/synthesizers/{PAINTER}",
    "painted": f"data/painted/{PAINTER}",
    "synthetic": f"data/synthetic/{PAINTER}",
    "segmenter": f"models/segmenters/{ARM}",
    "scores": f"scores/{ARM}.json",
}
STAGES = {  # command: paths, the output last; what it works on
    "acquire": (("raw",), ""),
    "prepare": (("raw", "pairs"), ""),
    "train-gan": (("pairs", "synthesizer"), f"painter={PAINTER}"),
    "synthesize": (("pairs", "synthesizer", "painted"), f"painter={PAINTER}"),
    "screen": (("pairs", "painted", "synthetic"), f"painter={PAINTER}"),
    "train-segmenter": (("pairs", "segmenter"), f"arm={ARM}"),
    "evaluate": (("pairs", "segmenter", "scores"), f"arm={ARM}"),
}
OUTPUTS = ("data", "models", "scores", "predictions", "reports", "promotion")


def kill_stages(count: int, work: Path) -> Iterator[Outcome]:
    """Kill each stage some times; its inputs are those of the stages before."""
    project = work / "stages"
    project.mkdir()
    for number, (stage, (names, unit)) in enumerate(STAGES.items()):
        paths = [part for name in names for part in (f"--{name}", PLACES[name])]
        arguments, output = [stage, *settings(SETS, *([unit] if unit else [])), *paths], project / PLACES[names[-1]]
        undisturbed = nephrite(arguments, project)
        if undisturbed.code:
            yield Outcome("kills", f"{stage}, undisturbed", undisturbed.output[-300:])
            return
        wanted = content(output)
        for moment in moments(count, undisturbed.seconds, number):
            _remove(output)
            fault = _kill(arguments, project, moment) or _again(arguments, project, output, wanted)
            yield Outcome("kills", f"{stage} after {moment:.1f} s", fault)


def kill_trials(count: int, work: Path) -> Iterator[Outcome]:
    """Kill whole trials, in the middle of whatever they do."""
    first = work / "trial"
    first.mkdir()
    arguments = ["trial", "--folder", "results", *settings(SETS)]
    undisturbed = nephrite(arguments, first)
    if undisturbed.code:
        yield Outcome("kills", "trial, undisturbed", undisturbed.output[-300:])
        return
    wanted = _outcome(first / "results")
    for number, moment in enumerate(moments(count, undisturbed.seconds, 100)):
        project = work / f"trial-{number}"
        project.mkdir()
        fault = _kill(arguments, project, moment)
        if not fault:
            done = nephrite(arguments, project)
            fault = done.fault or (done.output[-200:] if done.code else "")
            fault = fault or _compare(wanted, _outcome(project / "results")) or _traces(project, project)
        shutil.rmtree(project)
        yield Outcome("kills", f"trial after {moment:.0f} s", fault)


def kill_repros(count: int, work: Path) -> Iterator[Outcome]:
    """Kill `dvc repro`, which starts every stage as a process of its own."""
    first = _dvc_project(work / "repro")
    started = time.monotonic()
    subprocess.run([*DVC, "repro"], cwd=first, env=environment(), check=True, capture_output=True)
    seconds, wanted = time.monotonic() - started, _outcome(first)
    for number, moment in enumerate(moments(count, seconds, 200)):
        project = _dvc_project(work / f"repro-{number}")
        variables = environment()
        process = subprocess.Popen(
            [*DVC, "repro"],
            cwd=project,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)  # as a closed terminal or a full memory does
        process.wait()
        done = subprocess.run(
            [*DVC, "repro"], check=False, cwd=project, env=environment(), capture_output=True, text=True
        )
        fault = done.stderr[-300:] if done.returncode else ""
        fault = fault or _compare(wanted, _outcome(project)) or _traces(project, project)
        shutil.rmtree(project)
        yield Outcome("kills", f"dvc repro after {moment:.0f} s", fault)


DVC = [sys.executable, "-m", "dvc"]


def _dvc_project(folder: Path) -> Path:
    """The project with a params file that takes a minute: one cell, since all cells take the same stages."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "code.lock", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "nephrite",
            "prepare",
            "--raw",
            "r",
            "--pairs",
            "p",
            "--dry-run",
            *settings(SETS, "trial.cells=[0]"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    (folder / "params.yaml").write_text(shown.stdout)
    for command in (["init", "--no-scm", "-q"], ["config", "core.analytics", "false"]):
        subprocess.run([*DVC, *command], cwd=folder, check=True, capture_output=True)
    return folder


def _kill(arguments: Sequence[str], project: Path, moment: float) -> str:
    process, mark = start(arguments, project)
    time.sleep(moment)
    process.kill()
    process.communicate()
    orphans = still_there(mark)
    return f"orphans: {', '.join(orphans)}" if orphans else ""


def _again(arguments: Sequence[str], project: Path, output: Path, wanted: dict[str, str]) -> str:
    done = nephrite(arguments, project)
    if done.fault or done.code:
        return done.fault or done.output[-200:]
    return _compare(wanted, content(output)) or _traces(project, output.parent)


def _compare(wanted: dict[str, str], found: dict[str, str]) -> str:
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    return f"differs: {', '.join(differing[:5])}" if differing else ""


def _traces(project: Path, place: Path) -> str:
    if partial := left_over(place):
        return f"partial files: {', '.join(partial[:3])}"
    count = running(project)
    return f"{count} runs are left RUNNING" if count else ""


def _outcome(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in OUTPUTS:
        found |= {f"{name}/{file}": digest for file, digest in content(folder / name).items()}
    return found


def _remove(output: Path) -> None:
    shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
