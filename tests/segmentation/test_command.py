from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from nephrite.config import Config
from nephrite.dependencies import facts, trial_facts
from nephrite.errors import ConfigError, ProgramError, StoreError
from nephrite.files import read_json
from nephrite.layout import Layout
from nephrite.metrics.windows import Window
from nephrite.recording import SilentRun
from nephrite.runner import run_trial
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.backend import SliceShape, StoredScan
from nephrite.segmentation.command import CommandBackend, CommandSettings
from nephrite.segmentation.demands import check_trial
from nephrite.segmentation.fit_task import Addition, Cohort, FitTask
from nephrite.stages.evaluate import evaluate
from nephrite.stages.predict import predict
from nephrite.stages.prepare import prepare
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore
from nephrite.training.pseudo_labels import PseudoLabels
from tests.conftest import CHANNELS, ROOT, SIZE
from tests.toy_program import PROGRAM, START

Load = Callable[..., Config]
EXAMPLE = ROOT / "examples" / "command" / "brightness.pl"
# what a program may do wrong
MISTAKES = """
KNOWN = [False, {"imagesTs", "dataset.json"}]
NO_NUMBER = '{"step": 1, "train_loss": NaN}'
def nothing(): pass
def fails(): raise ValueError("no memory in " + str(out))
def hangs():
    Path(sys.argv[0]).with_name("hanging").touch()
    time.sleep(60)
def says(line):
    return lambda: (out / "progress.jsonl").write_text(line + "\\n")
def changed(name, value):
    def write():
        record = {"steps": 6, "seed": int(given["seed"]), "cases": 3, name: value}
        (out / "model.json").write_text(json.dumps(record))
    return write
def finding(value, cut=0):
    def write():
        for path in Path(given["scans"], "imagesTs").iterdir():
            scan = nibabel.load(path)
            found = numpy.full(scan.shape, value, "float32")[cut:]
            nibabel.save(nibabel.Nifti1Image(found, scan.affine), out / path.name.replace("_0000", ""))
    return write
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., CommandBackend]:
    """A backend of a toy program, whose code may be changed by lines before its start."""

    def write(*lines: str, name: str = "toy.py", **settings: object) -> CommandBackend:
        path = tmp_path / name
        path.write_text(PROGRAM + MISTAKES + textwrap.dedent("\n".join(lines)) + START)
        known = {"kind": "command", "command": [sys.executable, str(path)], "files": [path], **settings}
        return CommandBackend(CommandSettings.model_validate(known))

    return write


class Remembering(SilentRun):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.known: dict[str, str] = {}

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        self.rows.append((step, dict(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        self.known.update(values)


@pytest.fixture
def task(load: Load, pairs: Path, tmp_path: Path) -> FitTask:
    """Two training patients, two of validation, six steps."""
    store, config = PairStore(pairs), load()
    (tmp_path / "segmenter").mkdir()
    return FitTask(
        training=Cohort(store, ["a1", "a2"]),
        validation=Cohort(store, ["b1", "b2"]),
        channels=CHANNELS,
        region=(2,),
        threshold=0.5,
        augmentation="none",
        settings=config.train_segmenter,
        compute=config.compute,
        weights_seed=2**40 + 5,
        order_seed=1,
        folder=tmp_path / "segmenter",
        run=Remembering(),
        text="arm",
    )


def record_of(task: FitTask) -> dict[str, object]:
    content: dict[str, object] = read_json(task.folder / "model" / "model.json")
    return content


def test_a_program_is_fitted_comes_back_and_predicts(program: Callable[..., CommandBackend], task: FitTask) -> None:
    backend = program()
    fitted = backend.fit(task)
    loaded = backend.load(task.folder, CHANNELS, 0.5)
    store = task.validation.source.volumes
    scans = [StoredScan(store, patient) for patient in ("c1", "c2")]
    for scan, found in zip(scans, backend.predict_all(loaded, scans), strict=True):
        image = np.asarray(store.image(scan.patient))
        assert np.array_equal(found.labels, np.where(image > 40, 2, np.where(image > -20, 1, 0)))
        assert found.probabilities is None
        assert np.array_equal(backend.predict(fitted, scan).labels, found.labels)
    assert [path.name for path in task.folder.iterdir()] == ["model"]  # nothing else stays of a training


def test_the_learning_curve_is_the_programs_and_its_end_is_measured(
    program: Callable[..., CommandBackend], task: FitTask
) -> None:
    history = program().fit(task).history
    assert [row["step"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert [round(row["validation_dice"], 3) for row in history[:5]] == [0.083, 0.167, 0.25, 0.333, 0.417]
    store, dice = task.validation.source.volumes, []
    for patient in ("b1", "b2"):
        found, truth = np.asarray(store.image(patient)) > 40, np.asarray(store.label(patient)) == 2
        dice.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    assert history[-1]["validation_dice"] == pytest.approx(np.mean(dice))
    assert isinstance(task.run, Remembering)
    assert [step for step, _ in task.run.rows] == [1, 2, 3, 4, 5, 6]
    assert task.run.rows[3][1].keys() == {"validation_dice", "train_loss", "seconds"}
    assert task.run.known == {"program": "toy 1", "seeded": "True"}


class Blank(PseudoLabels):
    """A store's scans, with label maps that hold nothing."""

    def __init__(self, store: PairStore) -> None:
        super().__init__(store, {name: np.zeros(store.image(name).shape, np.uint8) for name in store.patients()})


def test_where_a_program_chooses_its_weights_the_measured_score_alone_counts(
    program: Callable[..., CommandBackend], task: FitTask
) -> None:
    settings = task.settings.model_copy(update={"weights": "best"})
    (row,) = program().fit(replace(task, settings=settings)).history
    assert row["step"] == 6
    seen = record_of(task)["seen"]
    assert isinstance(seen, dict)
    assert seen["validation"]["nephrite"]["may_choose"] is True


def test_a_region_that_vanished_on_the_grid_is_missed(program: Callable[..., CommandBackend], task: FitTask) -> None:
    backend = program("predict = finding(0)")
    empty = replace(task, validation=Cohort(Blank(task.validation.source.volumes), ["b1"]))
    there, gone = backend.fit(empty), backend.fit(replace(empty, vanished=frozenset({"b1"})))
    assert (there.history[-1]["validation_dice"], gone.history[-1]["validation_dice"]) == (1.0, 0.0)


def test_a_program_is_given_real_cases_those_of_validation_and_a_budget(
    program: Callable[..., CommandBackend], task: FitTask
) -> None:
    program().fit(task)
    given, seen = record_of(task)["given"], record_of(task)["seen"]
    assert isinstance(given, dict)
    assert isinstance(seen, dict)
    assert list(given) == ["train", "validation", "steps", "seed", "threads", "out"]
    assert (given["steps"], given["threads"]) == ("6", "1")
    assert given["seed"] == "5"  # as large as any generator takes
    assert {name: [*content["nephrite"]["windows"]] for name, content in seen.items()} == {
        "train": ["a1", "a2"],
        "validation": ["b1", "b2"],
    }
    assert (seen["train"]["nephrite"]["region"], seen["train"]["nephrite"]["may_choose"]) == ([2], False)


def test_what_is_mixed_in_comes_with_its_share(
    program: Callable[..., CommandBackend], task: FitTask, synthetic: Path
) -> None:
    fakes, store = PairStore(synthetic), task.training.source.volumes
    additions = (
        Addition(Cohort(fakes, fakes.patients()), "mix", 0.3),
        Addition(Cohort(Blank(store), ["a3"]), "mix", 0.25),
    )
    task = replace(task, additions=additions, augmentation="standard", unsure=True)
    program(takes=["synthetic", "pseudo_labels", "ignored", "augmentation"]).fit(task)
    given, seen = record_of(task)["given"], record_of(task)["seen"]
    assert isinstance(given, dict)
    assert isinstance(seen, dict)
    assert (given["share"], given["extra-share"], given["augmentation"]) == ("0.3", "0.25", "standard")
    assert [*seen["synthetic"]["nephrite"]["windows"]] == ["synthetic-a1"]
    assert [*seen["extra"]["nephrite"]["windows"]] == ["a3"]
    assert seen["train"]["labels"]["ignore"] == 255
    assert record_of(task)["cases"] == 4


def test_of_cases_that_just_lie_beside_the_share_is_their_own(
    program: Callable[..., CommandBackend], task: FitTask, synthetic: Path
) -> None:
    fakes = PairStore(synthetic)
    addition = Addition(Cohort(fakes, fakes.patients()), "append", 0.9)
    program(takes=["synthetic"]).fit(replace(task, additions=(addition,)))
    given = record_of(task)["given"]
    assert isinstance(given, dict)
    assert given["share"] == "0.333333"  # 6 slices beside 12


def test_a_plan_sees_the_real_cases_alone(
    program: Callable[..., CommandBackend], task: FitTask, synthetic: Path
) -> None:
    fakes = PairStore(synthetic)
    addition = Addition(Cohort(fakes, fakes.patients()), "mix", 0.5)
    backend, digests = program(takes=["synthetic"], plans=True), []
    for additions in ((), (addition,)):
        backend.fit(replace(task, additions=additions))
        assert record_of(task)["plan"] == "2"
        assert isinstance(task.run, Remembering)
        digests.append(task.run.known["plan"])
    assert digests[0] == digests[1]


def test_predict_is_given_scans_and_no_label(program: Callable[..., CommandBackend], task: FitTask) -> None:
    backend = program(
        "held = verb == 'predict' and {p.name for p in Path(given['scans']).iterdir()}", "assert held in KNOWN"
    )
    trained = backend.fit(task)
    assert backend.predict(trained, StoredScan(task.training.source.volumes, "c1")).labels.any()


def test_windows_of_one_patient_are_scans_of_their_own(program: Callable[..., CommandBackend], task: FitTask) -> None:
    backend, store = program(), task.training.source.volumes
    trained, windows = backend.fit(task), [Window(0, 0, 16), Window(16, 16, 16)]
    found = [*backend.predict_all(trained, [StoredScan(store, "c1", window) for window in windows])]
    whole = backend.predict(trained, StoredScan(store, "c1")).labels
    assert np.array_equal(found[0].labels, whole[:, :16, :16])
    assert np.array_equal(found[1].labels, whole[:, 16:, 16:])
    assert [*backend.predict_all(trained, [])] == []


def test_probabilities_are_read_where_they_are_promised(program: Callable[..., CommandBackend], task: FitTask) -> None:
    backend = program(name="probabilities.py", probabilities=True)
    found = backend.predict(backend.fit(task), StoredScan(task.training.source.volumes, "c1"))
    assert found.probabilities is not None
    assert np.array_equal(found.probabilities[:, 1] > 0.5, found.labels == 2)


def test_the_identity_is_that_of_the_models_files(program: Callable[..., CommandBackend], task: FitTask) -> None:
    backend = program()
    backend.fit(task)
    before = backend.identity(task.folder)
    assert backend.identity(task.folder) == before
    (task.folder / "model" / "weights.bin").write_bytes(b"other")
    assert backend.identity(task.folder) != before


def test_an_attempt_that_was_stopped_leaves_nothing_to_the_next(
    program: Callable[..., CommandBackend], task: FitTask
) -> None:
    for name in ("model", "work"):
        (task.folder / name).mkdir()
        (task.folder / name / "progress.jsonl").write_text("rubbish")
    assert len(program().fit(task).history) == 6
    assert sorted(path.name for path in (task.folder / "model").iterdir()) == ["model.json", "progress.jsonl"]


def test_a_folder_without_a_model_is_refused(program: Callable[..., CommandBackend], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"model\.json: is missing; run 'train_segmenter' again"):
        program().load(tmp_path, CHANNELS, 0.5)


FAULTS = {
    "fit = nothing": r"model\.json: is missing",
    "fit = fails": r"program 'python\S* toy\.py fit': ended with exit code 1: ValueError: no memory",
    "fit = changed('steps', 5)": "says 5 for optimizer steps, and 6 was asked for",
    "fit = changed('cases', 1)": "says 1 for cases, and 3 was asked for",
    "fit = changed('seed', 0)": "says 0 for the seed, and",
    "fit = says(NO_NUMBER)": r"progress\.jsonl, line 1: .*NaN is no number",
    "predict = nothing": r"prediction b1\.nii\.gz: was not written",
    "predict = fails": r"program 'python\S* toy\.py predict': ended with exit code 1: ValueError: no memory",
    "predict = finding(3)": r"prediction b1\.nii\.gz: .*3",
    "predict = finding(float('nan'))": r"prediction b1\.nii\.gz: label value nan",
    "predict = finding(1, cut=1)": r"prediction b1\.nii\.gz: shape \(31, 32, 6\) differs",
    "fit = hangs": "took longer than 60 seconds and was ended",
    "predict = hangs": "took longer than 60 seconds and was ended",
}


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let a minute pass as soon as the program hangs."""
    clock = SimpleNamespace(monotonic=lambda: 61 if (tmp_path / "hanging").exists() else 0)
    monkeypatch.setattr("nephrite.programs.running.time", clock)


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_leaves_nothing(
    program: Callable[..., CommandBackend],
    load: Load,
    pairs: Path,
    tmp_path: Path,
    fault: str,
) -> None:
    known = program(fault, limit=60).settings
    config = use(load, known, "arm=real/mine/1.0/0")
    with pytest.raises(ProgramError, match=FAULTS[fault]) as caught:
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "out" / "segmenter")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def use(load: Load, settings: CommandSettings, *overrides: str) -> Config:
    """A trial of a program on real cases, and on synthetic ones."""
    entry = json.dumps(settings.model_dump(mode="json"))
    return load(*ONE, f"train_segmenter.segmenters.mine={entry}", *overrides)


ONE = (
    *("trial.segmenters=[mine]", "trial.cells=[0]", "trial.reference=real", "trial.training_sets.real=[real]"),
    *("trial.primary=kidney_and_tumor", "screen.filter=all"),
    "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: mix, share: 0.25}]",
)


def test_a_trained_program_comes_back_from_its_stage(
    program: Callable[..., CommandBackend], load: Load, pairs: Path, tmp_path: Path
) -> None:
    config = use(load, program().settings, "arm=real/mine/1.0/0")
    told = train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    known = load_segmenter(tmp_path / "segmenter")
    assert known.card.steps == told["best_step"] == 6
    assert known.card.validation_score == known.trained.history[-1]["validation_dice"]
    (tmp_path / "segmenter" / "model" / "model.json").write_text("changed")
    with pytest.raises(StoreError, match="was changed"):
        load_segmenter(tmp_path / "segmenter")


def test_a_seed_is_confirmed_once_in_a_trial(
    program: Callable[..., CommandBackend], load: Load, pairs: Path, tmp_path: Path
) -> None:
    lines = ("if verb == 'fit':", "    (out / 'weights').write_text(str(time.monotonic_ns()))")
    first, other = "arm=real/mine/1.0/0", "arm=real+null/mine/1.0/0"
    sets = "trial.training_sets.real=[real, real+null]"
    config = use(load, program(*lines).settings, sets, first)
    with pytest.raises(ProgramError, match=r"setting 'seeded': gave two models for one seed.*weights differs") as told:
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / "segmenter")
    assert "set it to false, and add an A/A arm" in str(told.value)
    loose = program(*lines, seeded=False).settings
    for number, (settings, arm) in enumerate(((program(*lines).settings, other), (loose, first))):
        config = use(load, settings, sets, arm)
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=tmp_path / f"segmenter{number}")


def test_evaluate_starts_it_once_for_all_patients(
    program: Callable[..., CommandBackend], load: Load, pairs: Path, tmp_path: Path
) -> None:
    lines = (f"with open({str(tmp_path / 'starts')!r}, 'a') as file:", "    file.write(verb + ' ')")
    config = use(load, program(*lines).settings, "arm=real/mine/1.0/0")
    paths = {"pairs": pairs, "segmenter": tmp_path / "segmenter"}
    train_segmenter(config, SilentRun(), **paths)
    told = evaluate(config, SilentRun(), **paths, scores=tmp_path / "scores.json")
    # two short trainings that confirm the seed, the training, validation, test
    assert (tmp_path / "starts").read_text().split() == ["fit", "fit", "fit", "predict", "predict"]
    store, dice = PairStore(pairs), []
    for patient in ("c1", "c2"):
        found, truth = np.asarray(store.image(patient)) > -20, np.asarray(store.label(patient)) > 0
        dice.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    assert told["kidney_and_tumor_dice"] == pytest.approx(np.mean(dice))


def test_a_changed_program_concerns_its_arms(program: Callable[..., CommandBackend], load: Load) -> None:
    known = program().settings
    config = use(load, known, "arm=real/mine/1.0/0")
    before = facts(config, "train_segmenter"), trial_facts(config)
    assert (facts(config, "train_segmenter"), trial_facts(config)) == before
    program("# changed")
    after = facts(config, "train_segmenter"), trial_facts(config)
    assert after[0] != before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("settings", "override", "told"),
    [
        ({"command": ["no-such-program"]}, "", r"command 'no-such-program': is no program that can be started here"),
        ({"files": ["missing.py"]}, "", r"names the file missing\.py, which is not there"),
        ({}, "train_segmenter.early_stopping=3", "takes all its steps"),
        ({}, "compute.devices=2", r"is one process, and 'compute\.devices' is 2"),
        ({"takes": []}, "", r"arm real\+synthetic/mine/1\.0/0: needs a segmenter that takes synthetic slices"),
        ({}, "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: schedule}]", "changes"),
        ({}, "trial.training_sets.real=[real, real+standard]", "takes augmentation from outside"),
        ({}, "trial.metric=brier", r"trial\.metric: asks for 'brier', which needs probabilities, and segmenter 'mine'"),
        ({}, "trial.questions=[{metric: calibration}]", r"trial\.questions: asks for 'calibration', which needs"),
        ({"seeded": False}, "", r"trial\.training_sets: has no A/A arm, and segmenter 'mine' is not seeded"),
    ],
)
def test_what_a_program_cannot_do_is_refused_before_anything_runs(
    program: Callable[..., CommandBackend], load: Load, settings: dict[str, object], override: str, told: str
) -> None:
    known = program(**{"takes": ["synthetic"], **settings}).settings
    with pytest.raises(ConfigError, match=told):
        check_trial(use(load, known, *filter(None, [override])))


def test_what_it_can_do_is_not_refused(program: Callable[..., CommandBackend], load: Load) -> None:
    check_trial(use(load, program(takes=["synthetic"]).settings))
    sure = program(takes=["synthetic"], probabilities=True, seeded=False).settings
    check_trial(use(load, sure, "trial.metric=brier", "trial.training_sets.real=[real, real+null]"))


def test_arms_without_any_label_are_refused(program: Callable[..., CommandBackend], load: Load) -> None:
    config = use(load, program(takes=["synthetic"]).settings)
    trial = config.trial.model_copy(update={"without_labels": config.trial.training_sets.synthetic[:1]})
    with pytest.raises(
        ConfigError, match=r"needs real cases, and 'trial\.without_labels' asks for arms that have none"
    ):
        program().check(config.model_copy(update={"trial": trial}), SliceShape(SIZE, 2))


def test_its_time_is_what_the_settings_say(program: Callable[..., CommandBackend], load: Load) -> None:
    assert program(seconds_per_step=0.2).step_seconds(load()) == 0.2
    with pytest.raises(ConfigError, match=r"seconds_per_step of .*: is not told, and a program cannot be timed"):
        program().step_seconds(load())


def test_a_program_that_fails_in_one_arm_concerns_no_other(
    program: Callable[..., CommandBackend], load: Load, record: str, tmp_path: Path
) -> None:
    known = program("if 'synthetic' in given: fit = fails", takes=["synthetic"]).settings
    config, layout = use(load, known), Layout(tmp_path / "trial")
    told = (
        r"^trial: 1 arm failed, and all others are finished: program .*: ended with exit code 1: ValueError: no memory"
    )
    with pytest.raises(ProgramError, match=told), ThreadPoolExecutor(1) as pool:
        run_trial(config, layout.root, processes=1, pool=pool)
    real, synthetic = config.trial.arms
    assert layout.score(real).is_file()
    assert not layout.segmenter(synthetic).parent.exists() or not list(layout.segmenter(synthetic).parent.iterdir())
    assert not layout.report.exists()


def test_the_example_goes_through_a_whole_trial(load: Load, record: str, tmp_path: Path) -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 30
    known = CommandSettings(
        kind="command", command=("perl", str(EXAMPLE)), files=(EXAMPLE,), takes=("synthetic",), seconds_per_step=0.01
    )
    config, layout = use(load, known, "promote.floor=0.1"), Layout(tmp_path / "trial")
    with ThreadPoolExecutor(1) as pool:
        run_trial(config, layout.root, processes=1, pool=pool)
    trial = read_json(layout.report / "trial.json")
    dice = [arm["regions"]["kidney_and_tumor"]["dice"] for arm in trial["arms"]]
    assert len(dice) == 2
    assert min(dice) > 0.1  # it looks at the scan
    # its best arm is registered as a folder, and predicts what was scored
    decision = read_json(layout.promotion)
    assert (decision["decision"], decision["version"]) == ("champion", 1)
    predict(config, SilentRun(), scans=layout.raw, masks=tmp_path / "masks")
    (arm,) = [arm for arm in config.trial.arms if str(arm) == decision["candidate"]["arm"]]
    kept = sorted(layout.prediction(arm).glob("*/segmentation.nii.gz"))
    assert kept
    for path in kept:
        scored, found = (nib.nifti1.load(file) for file in (path, tmp_path / "masks" / path.parent.name / path.name))
        assert np.array_equal(scored.affine, found.affine)
        assert np.array_equal(np.asarray(scored.dataobj), np.asarray(found.dataobj))
        assert np.asarray(found.dataobj).any()
    # once more: nothing is left to be done
    finished = layout.segmenter(config.trial.arms[0]).stat().st_mtime_ns
    with ThreadPoolExecutor(1) as pool:
        run_trial(config, layout.root, processes=1, pool=pool)
    assert layout.segmenter(config.trial.arms[0]).stat().st_mtime_ns == finished


def test_it_is_given_all_channels_where_it_takes_several(
    program: Callable[..., CommandBackend], load: Load, kits_folder: Path, tmp_path: Path
) -> None:
    # the label map is seen in the second channel alone
    rng = np.random.default_rng(0)
    for case in kits_folder.iterdir():
        label = nib.Nifti1Image.from_filename(case / "segmentation.nii.gz")
        other = rng.normal(0, 1, label.shape) + 100 * np.asarray(label.dataobj)
        (case / "imaging.nii.gz").rename(case / "imaging_0000.nii.gz")
        nib.save(nib.Nifti1Image(other.astype(np.float32), label.affine), case / "imaging_0001.nii.gz")
    (kits_folder / "channels.json").write_text('{"channels": ["T1w", "FLAIR"]}')
    reads = """
    def predict():
        for path in Path(given["scans"], "imagesTs").glob("*_0001.nii.gz"):
            scan = nibabel.load(path)
            found = numpy.rint(scan.get_fdata() / 100).clip(0, 2).astype("uint8")
            name = path.name.removesuffix("_0001.nii.gz")
            nibabel.save(nibabel.Nifti1Image(found, scan.affine), out / f"{name}.nii.gz")
    """
    settings = program(textwrap.dedent(reads), takes=("channels",)).settings
    config = use(load, settings, "arm=real/mine/1.0/0", "prepare.intensity={kind: percentile, low: 0, high: 100}")
    paths = {"pairs": tmp_path / "pairs", "segmenter": tmp_path / "segmenter"}
    prepare(config, SilentRun(), raw=kits_folder, pairs=paths["pairs"])
    train_segmenter(config, SilentRun(), **paths)
    told = evaluate(config, SilentRun(), **paths, raw=kits_folder, scores=tmp_path / "scores.json")
    assert told["kidney_and_tumor_dice"] > 0.9
    seen = read_json(tmp_path / "segmenter" / "model" / "model.json")["seen"]
    assert seen["train"]["channel_names"] == {"0": "T1w", "1": "FLAIR"}
    # a network of one channel is refused, and not shown the first
    with pytest.raises(StoreError, match=r"holds scans of 2 channels \(T1w, FLAIR\), and one is read here"):
        train_segmenter(load("arm=real/light/1.0/0"), SilentRun(), pairs=paths["pairs"], segmenter=tmp_path / "light")
