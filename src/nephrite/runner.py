"""A whole trial in one command: all stages in order, trainings in parallel, each worker process started once.

DVC starts a process per training, which costs more than a short training itself. Here a few worker processes of one
thread each take one job after the other. A job that is finished for the same settings and inputs is not run again.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError, ProgramError, StoppedError
from nephrite.execution import Notes, run_stage
from nephrite.files import disk_errors, remove_output
from nephrite.jobs import DONE, Chain, Job, begin, end, is_done, kept_steps, plan_chains
from nephrite.layout import Layout
from nephrite.locks import hold_folder
from nephrite.look_ledger import few_cells
from nephrite.pace import Pace
from nephrite.preflight import preflight
from nephrite.progress import become_worker, begin_job
from nephrite.signatures import STAGES
from nephrite.trial_bar import TrialBar
from nephrite.words import counted
from nephrite.workers import worker_pool

logger = logging.getLogger(__name__)
INTERRUPTED = 128 + signal.SIGINT  # exit code of a command that Ctrl-C ended


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
        StoppedError: Ctrl-C or SIGTERM; what is finished stays, and trainings keep a checkpoint.
        ProgramError: a program failed in some arms; all others are finished, and there is no report.
        NephriteError: the error of the first job that failed otherwise; jobs that were under way end first.
    """
    # stop before anything is computed if settings, source or folder do not fit
    layout = Layout(folder)
    preflight(config, pairs=layout.pairs, outputs=layout.outputs, here=True)
    if few := few_cells(config):
        logger.warning("trial.cells: %s", few)
    with _claimed(folder):
        return _run_trial(config, folder, processes, pool)


def _run_trial(config: Config, folder: Path, processes: int, pool: Executor | None) -> Path:
    # what an earlier attempt finished is not run again
    layout = Layout(folder)
    chains = plan_chains(config, layout)
    left = {id(chain): [job for job in chain.jobs if not is_done(job, folder)] for chain in chains}
    jobs = [job for chain in chains for job in chain.jobs]
    waiting = {job.name for chain in chains for job in left[id(chain)]}
    pace = Pace(chains, {job.name for job in jobs} - waiting, layout.pairs)
    # run the rest
    gc.freeze()  # what was imported is there for good: should the trial be stopped, nothing has to look through it
    try:
        with (
            TrialBar(pace, processes) as bar,
            pool
            or worker_pool(processes, setting="--processes", initializer=partial(_start_worker, bar.pipe)) as workers,
        ):
            for chain in _run_chains(chains, left, workers, folder):
                bar.end(chain)
    except (KeyboardInterrupt, SystemExit) as end:
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else INTERRUPTED
        raise stopped(pace, jobs, folder, code) from None
    return layout.report


def _pool(processes: int, bar: TrialBar) -> AbstractContextManager[Executor]:
    return worker_pool(processes, setting="--processes", initializer=partial(_start_worker, bar.pipe))


def stopped(pace: Pace, jobs: Sequence[Job], folder: Path, code: int) -> StoppedError:
    """What is said of a trial that was stopped: the optimizer steps that are kept, on disk.

    Args:
        pace: knows the planned steps of each job.
        jobs: of the trial.
        folder: of the trial.
        code: exit code.
    """
    kept = 0
    for job in jobs:
        planned = pace.works[job.name].steps or 0
        kept += planned if is_done(job, folder) else min(kept_steps(job, folder), planned)
    _, steps, known = pace.steps
    return StoppedError(kept, steps, code, known=known)


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


def _run_chains(chains: Sequence[Chain], left: dict[int, list[Job]], pool: Executor, folder: Path) -> Iterator[Chain]:
    """Submit each chain when those before it are done; yields every chain that ends."""
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
                yield chain
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
        resumed, started = kept_steps(job, folder) > 0, time.monotonic()
        remove_output(job.output, STAGES[job.stage].output)
        begin(job, folder)
        begin_job(job.name)
        run_stage(job.stage, job.config, dict(job.paths), Notes())
        end(job, folder, None if resumed else time.monotonic() - started)


def _start_worker(pipe: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # processes of one thread do more than one process of several
    become_worker(pipe)
