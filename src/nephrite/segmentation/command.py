"""Any program as a segmenter: folders in, folders out, and exit codes; docs/bring-your-own.md is its contract.

    COMMAND plan    --train DIR --out PLAN
    COMMAND fit     --train DIR [--synthetic DIR --share S] [--extra DIR --extra-share S] [--augmentation NAME]
                    --validation DIR [--plan PLAN] --steps N --seed K --threads T --out MODEL
    COMMAND predict --model MODEL --scans DIR --threads T --out DIR

The program never sees a label of a test patient: `predict` is given scans alone. What it writes is believed only as far
as it can be checked: steps, seed and cases as it says them, grids, label values, and the validation Dice by scoring.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from pydantic import Field

from nephrite.config import Config, Intake, SegmenterSettings
from nephrite.errors import ConfigError, StoreError
from nephrite.evidence import digest_files, finished_files
from nephrite.files import digest
from nephrite.programs.case_folders import Case, Wanted, distinct_names, emptied, image_path, write_cases
from nephrite.programs.settings import LARGEST_SEED, ProgramSettings
from nephrite.segmentation.artifacts import REMEDY
from nephrite.segmentation.backend import Backend, Prediction, Scan, SliceShape, StoredScan, Trained
from nephrite.segmentation.fit_task import Addition, Cohort, FitTask, Row
from nephrite.segmentation.programs.cohort_cases import cases_of
from nephrite.segmentation.programs.fit_record import PROGRESS, RECORD, Progress, read_fit_record
from nephrite.segmentation.programs.predictions import read_prediction
from nephrite.segmentation.programs.seed_pair import confirm_seed

MODEL, WORK = "model", "work"


class CommandSettings(ProgramSettings, SegmenterSettings):
    """Any program that keeps the contract of docs/bring-your-own.md."""

    kind: Literal["command"] = Field(description="Any program that keeps the contract of docs/bring-your-own.md.")
    takes: tuple[Literal["synthetic", "pseudo_labels", "ignored", "augmentation", "channels"], ...] = Field(
        default=(),
        description="What it learns from beside real cases: 'synthetic' cases (--synthetic, --share), further cases "
        "such as 'pseudo_labels' (--extra, --extra-share), labels of which some are 'ignored' (255), "
        "'augmentation' by the name in the training set (--augmentation), and scans of several 'channels' (_0000, "
        "_0001, ...). Nothing, since an arm that is trained "
        "without what it should have would be a wrong answer.",
    )
    probabilities: bool = Field(
        default=False,
        description="Whether 'predict' writes probabilities as well; without them 'cpm', 'brier' and 'calibration' "
        "are refused.",
    )
    plans: bool = Field(
        default=False,
        description="Whether it has the verb 'plan', which sees the real cases of a cell alone: the same in all arms.",
    )
    seeded: bool = Field(
        default=True,
        description="Whether one seed gives one model, which a trial tries once, with two short trainings. If not, it "
        "needs an A/A arm ('SET+null'), which shows how far chance alone moves the scores.",
    )
    dimensions: Literal[2, 3] = Field(
        default=2,
        description="What a case is to it: 2 = slices, in any order; 3 = a volume, so that slices must be neighbors "
        "at a known distance, and each run of painted neighbors is a case. 2 asks nothing of the data.",
    )
    seconds_per_step: float | None = Field(
        default=None, gt=0, le=10**6, description="For 'nephrite plan', which cannot time it; null = it says so."
    )

    @property
    def intake(self) -> frozenset[Intake]:
        """What the settings say that it takes."""
        return frozenset(self.takes)

    @property
    def gives_probabilities(self) -> bool:
        """As the settings say."""
        return self.probabilities

    @property
    def is_seeded(self) -> bool:
        """As the settings say."""
        return self.seeded

    @property
    def sees_volumes(self) -> bool:
        """As the settings say."""
        return self.dimensions == 3


@dataclass(frozen=True, kw_only=True)
class TrainedProgram(Trained):
    """What a program learned.

    Attributes:
        model: the folder that `fit` wrote.
    """

    model: Path


class CommandBackend(Backend[CommandSettings, TrainedProgram]):
    """A program, started anew for each verb."""

    def fit(self, task: FitTask) -> TrainedProgram:
        """Train from the beginning: what an attempt that was stopped left is of no use to a program.

        Raises:
            ProgramError: the program failed, took too long, or did other than it was asked for.
        """
        work, model = emptied(task.folder / WORK), emptied(task.folder / MODEL)
        options, cases = self._given(task, work)
        # a plan, from the real cases of the cell: the same for all of its arms
        if self.settings.plans:
            plan = emptied(work / "plan")
            self._run("plan", {"train": options["train"], "out": plan}, work)
            options["plan"] = plan
            task.run.tags({"plan": _folder_digest(plan)})
        # train
        steps, seed = task.settings.epochs * task.settings.steps_per_epoch, task.weights_seed % LARGEST_SEED
        budget = {"steps": steps, "seed": seed, "threads": self.settings.threads, "out": model}
        if task.confirms_seed and self.settings.seeded:
            confirm_seed(self.settings.program, options | budget, work)
        with Progress(model / PROGRESS, steps=steps, run=task.run, text=task.text) as progress:
            self.settings.program.run("fit", options | budget, work, progress.look)
        record = read_fit_record(model, steps=steps, seed=seed, cases=cases)
        task.run.tags({"program": record.version or self.settings.command[0], "seeded": str(self.settings.seeded)})
        # measure how well it learned, as for every other kind
        trained = TrainedProgram(backend=self, channels=task.channels, threshold=task.threshold, model=model)
        chosen = task.settings.weights == "best"  # by the program; its own word for a score does not count
        history: Sequence[Row] = progress.history(self._validation_dice(trained, task), last_alone=chosen)
        shutil.rmtree(work)
        return TrainedProgram(
            backend=self, channels=task.channels, threshold=task.threshold, history=history, model=model
        )

    def load(
        self, folder: Path, channels: Mapping[str, tuple[int, ...]], threshold: float, *, as_fitted: bool = False
    ) -> TrainedProgram:
        """The folder of the model; what lies in it, its program knows."""
        if not (folder / MODEL / RECORD).is_file():
            raise StoreError(folder / MODEL / RECORD, "is missing", REMEDY)
        return TrainedProgram(backend=self, channels=channels, threshold=threshold, model=folder / MODEL)

    def identity(self, folder: Path) -> str:
        """SHA-256 of all files of the model."""
        return _folder_digest(folder / MODEL)

    def predict(self, trained: TrainedProgram, scan: Scan) -> Prediction:
        """Start the program for one scan."""
        (found,) = self.predict_all(trained, [scan])
        return found

    def predict_all(self, trained: TrainedProgram, scans: Sequence[Scan]) -> Iterator[Prediction]:
        """Start the program once for all scans; one prediction after the other is read when it is asked for.

        Raises:
            ProgramError: the program failed, took too long, or left out or spoiled a scan.
        """
        if not scans:
            return
        names = distinct_names([scan.patient for scan in scans])
        with TemporaryDirectory(prefix="nephrite-") as scratch:
            given, found = Path(scratch) / "scans", emptied(Path(scratch) / "found")
            write_cases(given, map(Case, names, scans), self._wanted(trained.channels))
            options = {"model": trained.model, "scans": given, "threads": self.settings.threads, "out": found}
            self._run("predict", options, Path(scratch))
            for name in names:
                image = image_path(given, name, labeled=False)
                probable = self.settings.probabilities
                yield read_prediction(image, found, name, trained.channels, probabilities=probable)

    def step_seconds(self, config: Config) -> float:
        """As the settings say: a program cannot be timed without its data.

        Raises:
            ConfigError: they do not say.
        """
        if self.settings.seconds_per_step is None:
            finding = "is not told, and a program cannot be timed from outside"
            place = f"seconds_per_step of '{' '.join(self.settings.command)}'"
            raise ConfigError(place, finding, "time a short 'fit', and name its seconds per step")
        return self.settings.seconds_per_step

    def check_here(self) -> None:
        """Refuse a program that is not there."""
        self.settings.check_program()

    def check(self, config: Config, shape: SliceShape) -> None:
        """Refuse a program that is not there, and settings that it could not keep."""
        self.check_here()
        place = self.settings.place
        if config.trial.without_labels:
            finding = "needs real cases, and 'trial.without_labels' asks for arms that have none"
            raise ConfigError(place, finding, "leave 'trial.without_labels' empty")
        if config.train_segmenter.early_stopping is not None:
            finding = "takes all its steps, and 'train_segmenter.early_stopping' would end other arms before"
            raise ConfigError(place, finding, "set it to null")
        if config.compute.devices != 1:
            finding = f"is one process, and 'compute.devices' is {config.compute.devices}"
            raise ConfigError(place, finding, "set it to 1")

    def _given(self, task: FitTask, work: Path) -> tuple[dict[str, object], int]:
        """Write all cases; the options that name them, and the number of those that are learned from."""
        wanted, volumes = self._wanted(task.channels, task), self.settings.sees_volumes
        options: dict[str, object] = {"train": work / "train"}
        count = len(write_cases(work / "train", cases_of(task.training, volumes=volumes), wanted))
        # what is mixed in: synthetic cases, and further ones as one folder
        fakes = [each for each in task.additions if each.cohort.source.volumes.manifest.kind == "synthetic"]
        others = [each for each in task.additions if each not in fakes]
        for option, additions in (("synthetic", fakes), ("extra", others)):
            if additions:
                cases = [case for each in additions for case in cases_of(each.cohort, volumes=volumes)]
                count += len(write_cases(work / option, cases, wanted))
                share = sum(_share(each, task.training) for each in additions)
                options |= {option: work / option, "share" if additions is fakes else "extra-share": f"{share:.6g}"}
        if "augmentation" in self.settings.takes:
            options["augmentation"] = task.augmentation
        # whole validation patients
        options["validation"] = work / "validation"
        write_cases(work / "validation", cases_of(task.validation, volumes=volumes), wanted)
        return options, count

    def _wanted(self, channels: Mapping[str, tuple[int, ...]], task: FitTask | None = None) -> Wanted:
        facts = {} if task is None else {"region": task.region, "may_choose": task.settings.weights == "best"}
        return Wanted(channels, bool(task and task.unsure), self.settings.image, facts)

    def _run(self, verb: str, options: Mapping[str, object], work: Path) -> None:
        self.settings.program.run(verb, options, work, lambda: None)

    def _validation_dice(self, trained: TrainedProgram, task: FitTask) -> float:
        """Mean over patients of the 3-D Dice of the region; where it vanished on the grid, nothing meets it."""
        patients, store = list(task.validation.patients), task.validation.source
        found = self.predict_all(trained, [StoredScan(store.volumes, patient) for patient in patients])
        scores = []
        for patient, prediction in zip(patients, found, strict=True):
            masks = prediction.masks(task.channels, task.threshold)
            inside = [set(values) <= set(task.region) for values in task.channels.values()]
            region, truth = masks[:, inside].any(axis=1), np.isin(store.label(patient), task.region)
            size = int(region.sum()) + int(truth.sum()) + int(patient in task.vanished)
            scores.append(2 * int((region & truth).sum()) / size if size else 1.0)
        return float(np.mean(scores))


def _share(added: Addition, real: Cohort) -> float:
    """Of what is learned from; of what just lies beside the real slices, its share of all."""
    if added.way != "append":
        return added.share
    count = len(added.cohort.slices())
    return count / (count + len(real.slices()))


def _folder_digest(folder: Path) -> str:
    return digest(digest_files(folder, finished_files(folder)))


SETTINGS, BACKEND = CommandSettings, CommandBackend
