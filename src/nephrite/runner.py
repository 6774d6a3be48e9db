"""A whole trial in one command: all stages in order, trainings in parallel, each worker process started once.

DVC starts a process per training, which costs more than a short training itself. Here a few worker processes of one
thread each take one job after the other. A job that is finished for the same settings and inputs is not run again.

A painter is a synthesizer trained for one label fraction and cell; a cell is a replicate: patients and seed.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nephrite import __version__
from nephrite.config import Arm, Config, GeneratorRun
from nephrite.dependencies import facts
from nephrite.errors import ConfigError, ProgramError, StoppedError, StoreError
from nephrite.execution import Notes, run_stage
from nephrite.files import digest, disk_errors, read_json, remove_output, write_json
from nephrite.layout import Layout
from nephrite.lineage import source_listing
from nephrite.locks import hold_folder
from nephrite.look_ledger import few_cells
from nephrite.preflight import preflight
from nephrite.progress import new_bar
from nephrite.signatures import STAGES
from nephrite.words import counted
from nephrite.workers import worker_pool

logger = logging.getLogger(__name__)
DONE = ".done"
INTERRUPTED = 128 + signal.SIGINT  # exit code of a command that Ctrl-C ended


@dataclass(frozen=True)
class Job:
    """One call of a stage.

    Attributes:
        stage: its name.
        config: settings, with the arm or painter that it works on.
        paths: its arguments.
        output: the one among them that it writes.
        key: digest of everything that the output follows from.
    """

    stage: str
    config: Config
    paths: dict[str, Path]
    output: Path
    key: str

    @property
    def name(self) -> str:
        """The stage, and what it works on."""
        return " ".join(str(part) for part in (self.stage, self.config.painter or self.config.arm) if part)


@dataclass
class Chain:
    """Jobs that one worker runs one after the other, once other chains are done."""

    jobs: list[Job]
    after: list[Chain] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The key of its last job."""
        return self.jobs[-1].key


def run_trial(config: Config, folder: Path, *, processes: int, pool: Executor | None = None) -> Path:
    """Run every stage of a trial below `folder` that is not finished already; gives the folder of the report.

    Args:
        config: settings of the trial.
        folder: where everything lies; see `layout.Layout`.
        processes: trainings side by side.
        pool: workers in their place; shut down at the end.

    Raises:
        ConfigError: a split without a share, a segmenter that does not suit an arm or is no segmenter, or `folder`
            holds data that no trial wrote; nothing has run.
        OutputError: another process works on `folder`, or it is, holds or lies in a source; nothing has run.
        SourceError: a folder of scans cannot be used; nothing has run.
        StoppedError: Ctrl-C or SIGTERM; what is finished stays.
        ProgramError: a program failed in some arms; all others are finished, and there is no report.
        NephriteError: the error of the first job that failed otherwise; jobs that were under way end first.
    """
    # stop before anything is computed if settings, source or folder do not fit
    layout = Layout(folder)
    preflight(config, pairs=layout.pairs, outputs=layout.outputs)
    if few := few_cells(config):
        logger.warning("trial.cells: %s", few)
    with _claimed(folder):
        return _run_trial(config, folder, processes, pool)


def _run_trial(config: Config, folder: Path, processes: int, pool: Executor | None) -> Path:
    # what an earlier attempt finished is not run again
    chains = plan_chains(config, Layout(folder))
    left = {id(chain): [job for job in chain.jobs if not is_done(job, folder)] for chain in chains}
    # run the rest
    try:
        with (
            new_bar(only_on_terminal=True) as bar,
            pool or worker_pool(processes, setting="--processes", initializer=_start_worker) as workers,
        ):
            task = bar.add_task("trial", total=sum(len(jobs) for jobs in left.values()))
            for count in _run_chains(chains, left, workers, folder):
                bar.advance(task, count)
    except (KeyboardInterrupt, SystemExit) as end:
        jobs = [job for chain in chains for job in chain.jobs]
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else INTERRUPTED
        raise StoppedError(sum(is_done(job, folder) for job in jobs), len(jobs), code) from None
    return Layout(folder).report


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold a trial's folder; one whose data `dvc repro` or a stage run by hand wrote is refused: it lacks the marks."""
    made = next((path for path in Layout(folder).outputs if path.exists()), None)
    if made and not (folder / DONE).is_dir():
        raise ConfigError("--folder", f"{made} is there, and no trial wrote it", "name a folder of the trial's own")
    with disk_errors(folder):  # before any job: one may be killed between output and mark
        (folder / DONE).mkdir(parents=True, exist_ok=True)
    with hold_folder(folder / DONE, folder):
        yield


def plan_chains(config: Config, layout: Layout) -> list[Chain]:
    """The trial's jobs in an order in which each chain comes after those that it needs."""
    # data for all, then painters
    raw, pairs = _first_jobs(config, layout)
    data, real = Chain([raw, pairs]), _real_key(config, layout)
    brought = {name for name, known in config.train_gan.items() if known.method.brought_set}
    painters = {
        painter: Chain(
            _painter_jobs(config, layout, painter, pairs.key if painter.synthesizer in brought else real), [data]
        )
        for painter in config.trial.painters
    }
    arms: dict[Arm, Chain] = {}
    # A chain comes after those that it waits for: arms with synthetic slices after painters, students after teachers.
    trial = config.trial
    for arm in sorted(trial.arms, key=lambda arm: (bool(trial.painter(arm)), trial.training_set(arm).trains_itself)):
        painter, teacher = config.trial.painter(arm), config.trial.teacher(arm)
        source = painters[painter] if painter else None
        before = [source or data, *([arms[teacher]] if teacher else [])]
        arms[arm] = Chain(_arm_jobs(config, layout, arm, real, source), before)
    # the report waits for all arms
    judged = Chain(_last_jobs(config, layout, [arms[arm].key for arm in config.trial.arms]), [*arms.values()])
    return [data, *painters.values(), *arms.values(), judged]


def is_done(job: Job, folder: Path) -> bool:
    """Whether the output is there, made by the same settings from the same inputs."""
    try:
        return job.output.exists() and bool(read_json(_mark(job, folder)) == {"key": job.key})
    except StoreError:  # no mark, or a damaged one: the job is done once more
        return False


def _first_jobs(config: Config, layout: Layout) -> tuple[Job, Job]:
    raw = _job("acquire", config, {"raw": layout.raw}, [source_listing(config, times=True), __version__])
    return raw, _job("prepare", config, {"raw": layout.raw, "pairs": layout.pairs}, [raw.key])


def _real_key(config: Config, layout: Layout) -> str:
    """Key of the real slices alone: a further set of another program reruns nothing that does not see it."""
    alone = config.acquire.model_copy(update={"synthetic": {}})
    return _first_jobs(config.model_copy(update={"acquire": alone}), layout)[1].key


def _painter_jobs(config: Config, layout: Layout, painter: GeneratorRun, pairs: str) -> list[Job]:
    settings, jobs, before = config.model_copy(update={"painter": painter}), list[Job](), pairs
    places = {
        "pairs": layout.pairs,
        "synthesizer": layout.synthesizer(painter),
        "painted": layout.painted(painter),
        "synthetic": layout.synthetic(painter),
    }
    # a change of one stage reruns the later ones: each key holds the one before
    for stage in ("train_gan", "synthesize", "screen"):
        jobs.append(_job(stage, settings, {name: places[name] for name in STAGES[stage].paths}, [pairs, before]))
        before = jobs[-1].key
    return jobs


def _arm_jobs(config: Config, layout: Layout, arm: Arm, pairs: str, source: Chain | None) -> list[Job]:
    settings = config.model_copy(update={"arm": arm})
    painter, teacher = config.trial.painter(arm), config.trial.teacher(arm)
    places = {"pairs": layout.pairs, "segmenter": layout.segmenter(arm)}
    given = {"synthetic": layout.synthetic(painter)} if painter else {}
    given |= {"teacher": layout.segmenter(teacher)} if teacher else {}  # not in the key: the same training as its own
    trained = _job("train_segmenter", settings, places | given, [pairs, source.key if source else None])
    places |= {"raw": layout.raw, "scores": layout.score(arm), "predictions": layout.prediction(arm)}
    scored = _job("evaluate", settings, places, [pairs, trained.key])
    return [trained, scored]


def _last_jobs(config: Config, layout: Layout, scores: Sequence[str]) -> list[Job]:
    painted = {"synthetic": layout.synthetic_sets} if config.trial.painters else {}
    found = {"scores": layout.scores, "predictions": layout.predictions}
    paths = {"pairs": layout.pairs, "report": layout.report, **found, **painted}
    report = _job("report", config, paths, scores)
    candidates = {"report": layout.report, "segmenters": layout.segmenters, "promotion": layout.promotion}
    candidates["pairs"] = layout.pairs
    return [report, _job("promote", config, candidates, [report.key])]


def _job(stage: str, config: Config, paths: dict[str, Path], inputs: Sequence[str | None]) -> Job:
    """A call of a stage, whose output follows from settings, code and the keys of its inputs."""
    key = digest({**facts(config, stage), "inputs": list(inputs)})
    return Job(stage, config, paths, paths[STAGES[stage].output], key)


def _run_chains(chains: Sequence[Chain], left: dict[int, list[Job]], pool: Executor, folder: Path) -> Iterator[int]:
    """Submit each chain when those before it are done; yields the number of jobs of every chain that ends."""
    done = {id(chain) for chain in chains if not left[id(chain)]}
    running: dict[Future[None], Chain] = {}
    waiting = [chain for chain in chains if id(chain) not in done]
    failed: list[ProgramError] = []
    broken: list[Chain] = []
    try:
        while True:
            # start every chain whose predecessors are done
            for chain in [chain for chain in waiting if all(id(other) in done for other in chain.after)]:
                running[pool.submit(_run_jobs, left[id(chain)], folder)] = chain
                waiting.remove(chain)
            if not running:
                break
            # a failed one raises here and stops the rest; a program of the user's concerns its own arm alone
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                chain = running.pop(future)
                try:
                    future.result()
                except ProgramError as error:
                    logger.warning("%s: %s", left[id(chain)][0].name, error)
                    failed.append(error)
                    broken.append(chain)
                    continue
                done.add(id(chain))
                yield len(left[id(chain)])
        if failed:
            arms = sum(chain.jobs[0].stage == "train_segmenter" for chain in (*broken, *waiting))
            finding = f"{counted(arms, 'arm')} failed, and all others are finished: {failed[0]}"
            raise ProgramError("trial", finding, "run the trial again, which takes up the missing arms alone")
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _run_jobs(jobs: Sequence[Job], folder: Path) -> None:
    """What a worker does: each job inside the record of its own run, then its mark."""
    for job in jobs:
        remove_output(job.output, STAGES[job.stage].output)
        run_stage(job.stage, job.config, dict(job.paths), Notes())
        write_json(_mark(job, folder), {"key": job.key})


def _start_worker() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # processes of one thread do more than one process of several
    os.environ["TTY_COMPATIBLE"] = "0"  # the trial has one progress bar, that of the first process


def _mark(job: Job, folder: Path) -> Path:
    return folder / DONE / f"{job.output.relative_to(folder)}.json"
