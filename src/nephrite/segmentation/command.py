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
from dataclasses import dataclass, replace
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
from nephrite.programs.orders import FOUND, MODEL, PLAN, SCANS, Call, Order
from nephrite.programs.settings import ProgramSettings
from nephrite.segmentation.artifacts import REMEDY
from nephrite.segmentation.backend import Backend, Prediction, Scan, SliceShape, StoredScan, Trained
from nephrite.segmentation.fit_task import FitTask
from nephrite.segmentation.programs.apart import check_apart, read_seconds
from nephrite.segmentation.programs.fit_order import FitAsked, ask_fit
from nephrite.segmentation.programs.fit_record import RECORD, Progress, read_fit_record
from nephrite.segmentation.programs.predictions import read_prediction
from nephrite.segmentation.programs.seed_pair import compare_pair

WORK, GIVEN, DONE = "work", "given", "done"


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
    own_image: str | None = Field(
        default=None,
        pattern=r"^[^\s]{1,500}$",
        description="An image that holds the program and knows nothing of this package, as 'NAME@sha256:...': a "
        "pipeline on Kubeflow hands it folders (docs/cluster.md). null = it is started here.",
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

    @property
    def lies_in(self) -> str | None:
        """As the settings say."""
        return self.own_image


@dataclass(frozen=True, kw_only=True)
class TrainedProgram(Trained):
    """What a program learned.

    Attributes:
        model: the folder that `fit` wrote.
        found: label maps that were found elsewhere in the scans which are asked for next; None = the program is asked.
    """

    model: Path
    found: Path | None = None


class CommandBackend(Backend[CommandSettings, TrainedProgram]):
    """A program, started anew for each verb."""

    def fit(self, task: FitTask) -> TrainedProgram:
        """Train from the beginning: what an attempt that was stopped left is of no use to a program.

        Raises:
            ProgramError: the program failed, took too long, or did other than it was asked for.
            ConfigError: it lies in an image of its own, and the task does not say what was made there.
        """
        work, model = emptied(task.folder / WORK), emptied(task.folder / MODEL)
        asked = self._asked(task)
        with Progress(steps=asked.steps, run=task.run, text=task.text) as progress:
            done = task.done or self._trained_here(asked, task, work, progress)
            progress.look(done / MODEL)
        # believe what can be checked
        if asked.tries_seed:
            compare_pair(done, asked.steps)
        record = read_fit_record(done / MODEL, steps=asked.steps, seed=asked.seed, cases=asked.cases)
        shutil.copytree(done / MODEL, model, dirs_exist_ok=True)
        task.run.tags({"program": record.version or self.settings.command[0], "seeded": str(self.settings.seeded)})
        if self.settings.plans:
            task.run.tags({"plan": _folder_digest(done / PLAN)})
        # measure how well it learned, as for every other kind
        told = done / FOUND if task.done else None
        trained = TrainedProgram(
            backend=self, channels=task.channels, threshold=task.threshold, model=model, found=told
        )
        chosen = task.settings.weights == "best"  # by the program; its own word for a score does not count
        seconds = read_seconds(done) if task.done else None
        history = progress.history(self._validation_dice(trained, task), last_alone=chosen, whole=seconds)
        shutil.rmtree(work)
        return replace(trained, history=history, found=None)

    def order_fit(self, task: FitTask, folder: Path) -> None:
        """Write what `fit` would do into a folder, with its script; validation scans are asked for at the end."""
        done = folder / DONE  # told to the script when it runs; nothing lies there
        order = self._asked(task).order(self.settings.program, self._wanted(task.channels, task), folder, done)
        scans = [StoredScan(task.validation.source.volumes, patient) for patient in task.validation.patients]
        ask = self._scans_asked(scans, task.channels, folder, done / FOUND, done / MODEL)
        replace(order, calls=(*order.calls, ask)).write_script()

    def order_predict(self, trained: TrainedProgram, scans: Sequence[StoredScan], folder: Path) -> None:
        """Write what `predict_all` would do into a folder, the model with it, and its script."""
        shutil.copytree(trained.model, folder / MODEL)
        done = folder / DONE
        ask = self._scans_asked(scans, trained.channels, folder, done / FOUND, folder / MODEL)
        Order(self.settings.program, folder, done, [ask]).write_script()

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
            ConfigError: it lies in an image of its own, and what was found there is not told.
        """
        if not scans:
            return
        with TemporaryDirectory(prefix="nephrite-") as scratch:
            given, found = Path(scratch), trained.found or Path(scratch) / FOUND
            ask = self._scans_asked(scans, trained.channels, given, found, trained.model)
            if trained.found is None:
                self.check_here()
                Order(self.settings.program, given, given, [ask]).carry_out(given, lambda _: None)
            for name in distinct_names([scan.patient for scan in scans]):
                image = image_path(given / SCANS, name, labeled=False)
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
        if image := self.settings.own_image:
            finding = f"lies in an image of its own, {image}, which a cluster's pipeline alone starts"
            raise ConfigError(
                self.settings.place, finding, "compile the trial (docs/cluster.md), or leave 'own_image' out"
            )
        self.settings.check_program()

    def check(self, config: Config, shape: SliceShape) -> None:
        """Refuse a program that is not there, and settings that it could not keep."""
        if self.settings.own_image is None:
            self.check_here()
        else:
            own = [name for name, one in config.train_segmenter.segmenters.items() if one == self.settings]
            check_apart(self.settings, own, config)
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

    def _asked(self, task: FitTask) -> FitAsked:
        own = self.settings
        augments = "augmentation" in own.takes
        return ask_fit(task, volumes=own.sees_volumes, augments=augments, plans=own.plans, seeded=own.seeded)

    def _trained_here(self, asked: FitAsked, task: FitTask, work: Path, progress: Progress) -> Path:
        """Train by this machine's program; gives the folder of what it made."""
        self.check_here()
        order = asked.order(self.settings.program, self._wanted(task.channels, task), work / GIVEN, work / DONE)
        model = order.done / MODEL
        order.carry_out(work, lambda call: progress.look(model) if call.out == model else None)
        return order.done

    def _scans_asked(
        self, scans: Sequence[Scan], channels: Mapping[str, tuple[int, ...]], given: Path, found: Path, model: Path
    ) -> Call:
        """Write scans, and say that a model is to look at them."""
        names = distinct_names([scan.patient for scan in scans])
        write_cases(given / SCANS, map(Case, names, scans), self._wanted(channels))
        options = {"model": model, "scans": given / SCANS, "threads": self.settings.threads, "out": found}
        return Call("predict", options)

    def _wanted(self, channels: Mapping[str, tuple[int, ...]], task: FitTask | None = None) -> Wanted:
        facts = {} if task is None else {"region": task.region, "may_choose": task.settings.weights == "best"}
        return Wanted(channels, bool(task and task.unsure), self.settings.image, facts)

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


def _folder_digest(folder: Path) -> str:
    return digest(digest_files(folder, finished_files(folder)))


SETTINGS, BACKEND = CommandSettings, CommandBackend
