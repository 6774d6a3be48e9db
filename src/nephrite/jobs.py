"""The jobs of a whole trial: which stage runs on what, in which order, and which of it an earlier attempt finished.

A painter is a synthesizer trained for one label fraction and cell; a cell is a replicate: patients and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nephrite import __version__
from nephrite.config import Arm, Config, GeneratorRun
from nephrite.dependencies import facts
from nephrite.errors import StoreError
from nephrite.files import KEPT_STEPS, PARTIAL, digest, read_json, read_record, write_json
from nephrite.layout import Layout
from nephrite.lineage import source_listing
from nephrite.record_fields import STRICT, Count
from nephrite.signatures import STAGES

DONE = ".done"


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
    mark = _marked(job, folder)
    return job.output.exists() and isinstance(mark, dict) and mark.get("key") == job.key


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


@dataclass(frozen=True)
class Kept:
    """What stands beside a checkpoint; see `training.checkpoints.save_checkpoint`."""

    __pydantic_config__ = STRICT

    steps: Count


def begin(job: Job, folder: Path) -> None:
    """Mark that a job works on its output: what it keeps on the way counts from now on."""
    write_json(_mark(job, folder), {"begun": job.key})


def end(job: Job, folder: Path, seconds: float | None) -> None:
    """Mark that a job is done, and what it took from its start to its end; None where an earlier attempt did a part."""
    write_json(_mark(job, folder), {"key": job.key, "seconds": seconds})


def seconds_of(job: Job, folder: Path) -> float | None:
    """What a finished job took; None where nobody saw it from its start to its end."""
    mark = _marked(job, folder)
    seconds = mark.get("seconds") if isinstance(mark, dict) and mark.get("key") == job.key else None
    return float(seconds) if isinstance(seconds, int | float) else None


def kept_steps(job: Job, folder: Path) -> int:
    """Optimizer steps that the checkpoints of a job hold that was begun and is not done; it goes on from there."""
    if _marked(job, folder) != {"begun": job.key}:
        return 0
    partial = job.output.with_name(job.output.name + PARTIAL)
    return sum(read_record(path, Kept, "it is written again").steps for path in partial.rglob(KEPT_STEPS))


def _marked(job: Job, folder: Path) -> object:
    """What stands in a job's mark; None where there is none, or a damaged one: the job is done once more."""
    try:
        return read_json(_mark(job, folder))
    except StoreError:
        return None


def _mark(job: Job, folder: Path) -> Path:
    return folder / DONE / f"{job.output.relative_to(folder)}.json"
