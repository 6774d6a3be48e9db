"""How far a trial is, in planned optimizer steps, and how long the rest will take.

The bar counts steps as they are configured; a job that trains nothing counts as a small share of a training. The time
that is left follows from what jobs of the same kind have taken so far: the same stage with the same network, whose
steps are the same by design. So it needs no measuring of its own, on any device and for any program, and knows of all
that a step takes: loading, validation, other processes beside it. Of what has not shown its pace yet, nothing is
guessed: the time is then said to be at least so long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from nephrite.config import Config, GeneratorRun
from nephrite.errors import NephriteError
from nephrite.generation.kind import kind_of
from nephrite.jobs import Chain, Job
from nephrite.progress import Share
from nephrite.store.slices import PairStore
from nephrite.store.split import training_subset, unlabeled_patients
from nephrite.words import duration

SMALL_SHARE = 0.05  # of the steps of a training, that a job counts as which trains nothing
ENOUGH, SETTLED = 0.02, 3.0  # share of a job, and seconds, after which its pace is believed
LAST = 0.99  # the most that a job is taken to be before it has ended


@dataclass
class Work:
    """A job and how far it is.

    Attributes:
        job: the job.
        kind: jobs of one kind take equally long.
        steps: optimizer steps of all its trainings; None for a painter whose slices are not known yet.
        bars: trainings, paintings and scorings that show how far they are, one after the other.
        done: whether it has ended.
        seconds: that it took in this attempt.
        shares: number of a bar to its share.
        began: when a worker took it.
        first, last: the first and the newest time and share that a bar of it told.
    """

    job: Job
    kind: tuple[object, ...]
    steps: int | None
    bars: int
    done: bool
    seconds: float | None = None
    shares: dict[int, float] = field(default_factory=dict)
    began: float | None = None
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return 1.0 if self.done else min(sum(self.shares.values()) / self.bars, LAST)

    def end(self, now: float) -> None:
        """Take that it has ended: it took as long as it did, without what an earlier attempt had left it."""
        if not self.done and self.began is not None:
            told, before = self.first or (self.began, 0.0)
            self.seconds = told - self.began + (now - told) / max(1 - before, ENOUGH)
        self.done = True

    @property
    def pace(self) -> float | None:
        """Seconds of the whole job by what was seen of it; None where that is too little."""
        if self.seconds is not None or self.first is None or self.last is None:
            return self.seconds
        (began, before), (now, share) = self.first, self.last
        seen = share - before >= ENOUGH and now - began >= SETTLED
        return (now - began) / (share - before) if seen else None


class Pace:
    """The work of a trial.

    Args:
        chains: all jobs, in an order in which each chain comes after those that it needs.
        done: names of jobs that are finished.
        pairs: the store, once it is prepared.
        clock: seconds.
    """

    def __init__(
        self, chains: Sequence[Chain], done: Collection[str], pairs: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.chains, self.pairs, self.clock = chains, pairs, clock
        jobs = [job for chain in chains for job in chain.jobs]
        self.works = {job.name: _work(job, job.name in done) for job in jobs}
        names = [[job.name for job in chain.jobs] for chain in chains]
        self._before = {name: known[:place] for known in names for place, name in enumerate(known)}
        self._shown = 0.0
        self._know_painters()

    def tell(self, told: Share) -> None:
        """Take what a worker said. It does the jobs of a chain in their order: those before have ended."""
        now, work = self.clock(), self.works[told.job]
        if work.began is None:
            work.began = now
            for name in self._before[told.job]:
                self.works[name].end(now)
        if told.bar:
            work.shares[told.bar] = max(told.share, work.shares.get(told.bar, 0.0))
            work.last = (now, work.share)
            work.first = work.first or work.last

    def end(self, chain: Chain) -> None:
        """Take that all jobs of a chain have ended."""
        for job in chain.jobs:
            self.works[job.name].end(self.clock())
        self._know_painters()

    @property
    def share(self) -> float:
        """How much of the planned work is done, from 0 to 1; never less than it was said to be before."""
        weights = {name: self._weight(work) for name, work in self.works.items()}
        done = sum(weights[name] * work.share for name, work in self.works.items())
        self._shown = max(self._shown, done / sum(weights.values()))
        return self._shown

    @property
    def steps(self) -> tuple[int, int, bool]:
        """Optimizer steps taken, those planned, and whether all painters' are among these."""
        known = [(work.steps, work.share) for work in self.works.values() if work.steps is not None]
        taken = sum(int(steps * share) for steps, share in known)
        return taken, sum(steps for steps, _ in known), len(known) == len(self.works)

    def left(self, processes: int) -> tuple[float, bool]:
        """Seconds that the rest will take at least, and whether every training of it has shown its pace."""
        rests = {name: self._rest(work) for name, work in self.works.items()}
        known = all(rests[name] is not None for name, work in self.works.items() if work.steps != 0)
        # what is left in each chain, with all that it waits for: the longest of these, if no worker ever waits
        after: dict[int, float] = {}
        for chain in self.chains:
            own = sum(rests[job.name] or 0.0 for job in chain.jobs)
            after[id(chain)] = own + max((after[id(one)] for one in chain.after), default=0.0)
        return max(sum(rest or 0.0 for rest in rests.values()) / processes, *after.values()), known

    def _rest(self, work: Work) -> float | None:
        """Seconds that are left of a job; None where no job of its kind has shown its pace."""
        if work.done:
            return 0.0
        like = [one.pace for one in self.works.values() if one.kind == work.kind and one.pace]
        whole = work.pace or (fmean(like) if like else None)
        return None if whole is None else whole * (1 - work.share)

    def _weight(self, work: Work) -> float:
        """Steps that a job counts as."""
        settings = work.job.config.train_segmenter
        training = settings.epochs * settings.steps_per_epoch
        return float(training if work.steps is None else work.steps or SMALL_SHARE * training)

    def _know_painters(self) -> None:
        """Count the steps of painters, once it is known how many slices they learn from."""
        unknown = [work for work in self.works.values() if work.steps is None]
        if unknown and self.works["prepare"].done:
            with suppress(NephriteError):  # the job that reads these slices tells what is wrong
                store = PairStore(self.pairs)
                for work in unknown:
                    work.steps = painter_steps(work.job.config, work.job.config.this_painter, store)


def progress_text(pace: Pace, processes: int) -> tuple[str, str]:
    """'step 140 of 2,400', and 'about 12 minutes left', or 'at least'."""
    seconds, known = pace.left(processes)
    told = f"{'about' if known else 'at least'} {duration(seconds)} left"
    return step_text(pace), told if known or seconds else "time left: not known yet"


def step_text(pace: Pace) -> str:
    """'step 140 of 2,400'."""
    taken, planned, known = pace.steps
    return f"step {taken:,} of {'' if known else 'at least '}{planned:,}"


def painter_steps(config: Config, painter: GeneratorRun, store: PairStore) -> int:
    """Optimizer steps of a painter's training.

    Raises:
        ConfigError: its label fraction leaves no patient.
    """
    settings, persons = config.train_gan[painter.synthesizer], store.persons("train")
    labeled = training_subset(persons, painter.fraction, cell=painter.cell, trial=config.trial)
    count = len(store.slices_of(labeled))
    if settings.unlabeled:
        count += len(store.slices_of(unlabeled_patients(store.splits, store.persons(), labeled), split=None))
    return settings.epochs * math.ceil(count / settings.batch_size)


def _work(job: Job, done: bool) -> Work:
    """A job, its kind, and the steps and bars that its settings ask for."""
    config, stage = job.config, job.stage
    if stage == "train_segmenter":
        chosen, settings = config.this_training_set, config.train_segmenter
        trainings = 2 if chosen.trains_itself and "teacher" not in job.paths else 1
        learned = (stage, config.this_arm.segmenter, chosen.augmentation, trainings)
        return Work(job, learned, trainings * settings.epochs * settings.steps_per_epoch, trainings, done)
    if stage == "evaluate":
        return Work(job, (stage, config.this_arm.segmenter), 0, 1, done)
    if config.painter is None:
        return Work(job, (stage,), 0, 1, done)
    kind = (stage, config.painter.synthesizer, config.painter.fraction)
    if stage == "train_gan":
        trained = kind_of(config.train_gan[config.painter.synthesizer].method).TRAINING is not None
        return Work(job, kind, None if trained else 0, 1, done)
    # others may train a helper segmenter first
    labeler = config.synthesize.scan_labeler
    steps = {"screen": config.screen.steps if config.screen.filter != "all" else 0}
    steps["synthesize"] = labeler.steps if labeler else 0
    return Work(job, kind, steps[stage], 2 if stage == "synthesize" and labeler else 1, done)
