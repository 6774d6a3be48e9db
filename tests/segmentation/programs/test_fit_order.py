from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nephrite.config import Config
from nephrite.files import read_json
from nephrite.programs.case_folders import Wanted
from nephrite.programs.running import Program
from nephrite.recording import SilentRun
from nephrite.segmentation.arm_inputs import open_stores
from nephrite.segmentation.arm_task import arm_task
from nephrite.segmentation.fit_task import Addition, Cohort
from nephrite.segmentation.programs.fit_order import ask_fit
from nephrite.store.slices import PairStore
from nephrite.training.pseudo_labels import PseudoLabels
from tests.conftest import CHANNELS
from tests.toy_program import toy_trial

Load = Callable[..., Config]


def test_an_order_is_a_plan_two_short_trainings_and_the_training(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = toy_trial(load, tmp_path, None)
    inputs = open_stores(config, pairs)
    task = arm_task(config, inputs, [], folder=tmp_path, run=SilentRun(), text="arm")
    asked = ask_fit(task, volumes=False, augments=True, plans=True, seeded=True)
    assert (asked.cases, asked.steps, {name: len(cases) for name, cases in asked.folders.items()}) == (
        *(3, 6),
        {"train": 3, "validation": 2},
    )
    given, done = tmp_path / "given", tmp_path / "done"
    order = asked.order(Program(["segment"], 60, 2), Wanted(CHANNELS), given, done)
    assert [call.verb for call in order.calls] == ["plan", "fit", "fit", "fit"]
    assert [call.out.name for call in order.calls] == ["plan", "seed_first", "seed_second", "model"]
    assert order.calls[0].options == {"train": given / "train", "out": done / "plan"}
    fit = order.calls[-1].options
    assert (fit["steps"], fit["threads"], fit["augmentation"], fit["plan"]) == (6, 2, "none", done / "plan")
    assert {call.options["seed"] for call in order.calls[1:]} == {asked.seed}
    assert read_json(given / "train" / "dataset.json")["numTraining"] == 3
    # nothing that it cannot do
    asked = ask_fit(task, volumes=False, augments=False, plans=False, seeded=False)
    (call,) = asked.order(Program(["segment"], 60), Wanted(CHANNELS), given, done).calls
    assert not {"plan", "augmentation"} & call.options.keys()


def test_further_cases_come_in_one_folder_with_the_sum_of_their_shares(load: Load, pairs: Path, tmp_path: Path) -> None:
    config, store = toy_trial(load, tmp_path, None), PairStore(pairs)
    labels = {patient: store.label(patient) for patient in ("a1", "a2")}
    further = [Addition(Cohort(PseudoLabels(store, labels), [patient]), "mix", 0.2) for patient in labels]
    inputs = open_stores(config, pairs)
    task = arm_task(config, inputs, further, folder=tmp_path, run=SilentRun(), text="arm")
    asked = ask_fit(task, volumes=False, augments=False, plans=False, seeded=False)
    assert asked.words == {"extra-share": "0.4"}
    assert (len(asked.folders["extra"]), asked.cases) == (2, 5)
