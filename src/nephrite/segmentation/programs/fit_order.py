"""What a program is asked to do so that an arm has a model: cases, a plan, a seed that is tried, the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nephrite.programs.case_folders import Case, Wanted, write_cases
from nephrite.programs.orders import MODEL, PLAN, Call, Order
from nephrite.programs.running import Program
from nephrite.programs.settings import LARGEST_SEED
from nephrite.segmentation.fit_task import Addition, Cohort, FitTask
from nephrite.segmentation.programs.cohort_cases import cases_of
from nephrite.segmentation.programs.seed_pair import seed_calls

LEARNED = ("train", "synthetic", "extra")  # folders that are learned from


@dataclass(frozen=True)
class FitAsked:
    """What is asked for, before a file of it is written.

    Attributes:
        folders: name of a folder to its cases.
        words: options that are no folders.
        steps: optimizer steps.
        seed: below `LARGEST_SEED`.
        plans: whether the program plans first.
        tries_seed: whether two short trainings come first.
    """

    folders: Mapping[str, list[Case]]
    words: Mapping[str, str]
    steps: int
    seed: int
    plans: bool
    tries_seed: bool

    @property
    def cases(self) -> int:
        """The number of cases that are learned from."""
        return sum(len(cases) for name, cases in self.folders.items() if name in LEARNED)

    def order(self, program: Program, wanted: Wanted, given: Path, done: Path) -> Order:
        """Write the cases, and say what is to be done with them.

        Args:
            program: that is to do it.
            wanted: what is to be found.
            given: gets a folder of cases for each name.
            done: where the program is to write.
        """
        for name, cases in self.folders.items():
            write_cases(given / name, cases, wanted)
        options: dict[str, object] = {**{name: given / name for name in self.folders}, **self.words}
        calls = []
        # a plan, from the real cases of the cell: the same for all of its arms
        if self.plans:
            options["plan"] = done / PLAN
            calls.append(Call("plan", {"train": given / "train", "out": done / PLAN}))
        # train
        budget = {"steps": self.steps, "seed": self.seed, "threads": program.threads, "out": done / MODEL}
        fit = Call("fit", options | budget)
        if self.tries_seed:
            calls += seed_calls(fit, done)
        return Order(program, given, done, (*calls, fit))


def ask_fit(task: FitTask, *, volumes: bool, augments: bool, plans: bool, seeded: bool) -> FitAsked:
    """What is asked of a program, by the task and by what the program can do.

    Args:
        task: patients, budget and seeds.
        volumes: whether slices of a case must be neighbors.
        augments: whether it is told the augmentation.
        plans: whether it plans.
        seeded: whether one seed has to give one model.
    """
    # what is mixed in: synthetic cases, and further ones as one folder
    fakes = [each for each in task.additions if each.cohort.source.volumes.manifest.kind == "synthetic"]
    others = [each for each in task.additions if each not in fakes]
    folders, words = {"train": [*cases_of(task.training, volumes=volumes)]}, {}
    for name, additions, share in (("synthetic", fakes, "share"), ("extra", others, "extra-share")):
        if additions:
            folders[name] = [case for each in additions for case in cases_of(each.cohort, volumes=volumes)]
            words[share] = f"{sum(_share(each, task.training) for each in additions):.6g}"
    if augments:
        words["augmentation"] = task.augmentation
    # whole validation patients
    folders["validation"] = [*cases_of(task.validation, volumes=volumes)]
    steps = task.settings.epochs * task.settings.steps_per_epoch
    seed, tries = task.weights_seed % LARGEST_SEED, task.confirms_seed and seeded
    return FitAsked(folders, words, steps, seed, plans, tries)


def _share(added: Addition, real: Cohort) -> float:
    """Of what is learned from; of what just lies beside the real slices, its share of all."""
    if added.way != "append":
        return added.share
    count = len(added.cohort.slices())
    return count / (count + len(real.slices()))
