from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError, NephriteError, ProgramError, SourceError, StoreError
from nephrite.execution import Notes
from nephrite.files import KEPT_STEPS
from nephrite.jobs import is_done, plan_chains
from nephrite.layout import Layout
from nephrite.runner import run_trial
from nephrite.signatures import STAGES
from tests.conftest import CAPSTONE, SMALL
from tests.foreign_sets import maisi

Load = Callable[..., Config]
WRITES = {
    "acquire": "raw",
    "prepare": "pairs",
    "train_gan": "synthesizer",
    "synthesize": "painted",
    "screen": "synthetic",
    "train_segmenter": "segmenter",
    "evaluate": "scores",
    "report": "report",
    "promote": "promotion",
}
LAST = ("report", "promote")
SETTINGS = (
    *("trial.segmenters=[light]", "trial.cells=[0, 1]", "trial.synthesizers=[pix2pix, spade]"),
    "trial.training_sets.real=[real, real+geometric]",
    "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: append}, "
    "{name: real+spade, synthesizer: spade, way: append}]",
)


class Stages:
    """Stand-ins for all stages: each writes its output, if its inputs are there, and is remembered."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails = self.breaks = ""

    def __call__(self, stage: str, config: Config, paths: dict[str, Path], notes: Notes) -> None:
        output = paths[WRITES[stage]]
        work = " ".join(str(part) for part in (stage, config.painter or config.arm) if part)
        beside = paths.get(STAGES[stage].beside or "")
        assert all(path.exists() for path in paths.values() if path not in (output, beside)), work
        assert not output.exists()
        if work == self.breaks:
            raise ProgramError("program", "ended with exit code 1", "mend it")
        if work == self.fails:
            raise StoreError("pairs", "is broken", "run 'prepare' again")
        self.ran.append(work)
        if beside:
            beside.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".json":
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text("{}")
        else:
            output.mkdir(parents=True)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    """The stand-ins, in the place of the real stages."""
    stages = Stages()
    monkeypatch.setattr("nephrite.runner.run_stage", stages)
    return stages


@pytest.fixture
def run(load: Load, stages: Stages, tmp_path: Path) -> Callable[..., list[str]]:
    """Run the trial with changed settings; gives what was done, sorted."""

    def run_with(*overrides: str) -> list[str]:
        stages.ran.clear()
        run_trial(load_spade(load, *overrides), tmp_path, processes=2, pool=ThreadPoolExecutor(2))
        return sorted(stages.ran)

    return run_with


def load_spade(load: Load, *overrides: str) -> Config:
    """Settings with a second synthesizer, which differs from the first by its name alone."""
    pix2pix = load().train_gan["pix2pix"].model_dump_json()
    return load(f"train_gan.spade={pix2pix}", *SETTINGS, *overrides)


def done_with(done: list[str], *names: str) -> list[str]:
    return [work for work in done if any(name in work for name in names)]


def test_every_stage_runs_once_for_each_arm_and_painter(run: Callable[..., list[str]], load: Load) -> None:
    done, trial = run(), load_spade(load).trial
    expected = [f"{stage} {arm}" for arm in trial.arms for stage in ("train_segmenter", "evaluate")]
    expected += [f"{stage} {p}" for p in trial.painters for stage in ("train_gan", "synthesize", "screen")]
    assert done == sorted([*expected, "acquire", "prepare", *LAST])


def test_each_job_comes_after_those_that_it_needs(run: Callable[..., list[str]], stages: Stages) -> None:
    run()
    assert stages.ran[:2] == ["acquire", "prepare"]
    assert tuple(stages.ran[-2:]) == LAST
    place = {work: number for number, work in enumerate(stages.ran)}
    chain = [f"{stage} spade/1.0/1" for stage in ("train_gan", "synthesize", "screen")]
    chain += [f"{stage} real+spade/light/1.0/1" for stage in ("train_segmenter", "evaluate")]
    assert [place[work] for work in chain] == sorted(place[work] for work in chain)


def test_self_training_takes_its_teacher_from_the_arm_that_trains_it(
    run: Callable[..., list[str]], stages: Stages, load: Load, tmp_path: Path
) -> None:
    sets = "trial.training_sets.real=[real+standard+self_training, real, real+standard]"
    settings = (sets, "trial.reference=real", "trial.label_fractions=[0.5]", "trial.cells=[0]")
    run(*settings)
    arm, student = (f"train_segmenter real+standard{end}/light/0.5/0" for end in ("", "+self_training"))
    assert {arm, student} <= {*stages.ran}
    chains = {chain.jobs[0].name: chain for chain in plan_chains(load_spade(load, *settings), Layout(tmp_path))}
    assert chains[arm] in chains[student].after
    teachers = {name: chain.jobs[0].paths.get("teacher") for name, chain in chains.items()}
    assert [name for name, teacher in teachers.items() if teacher] == [student]
    assert teachers[student] == chains[arm].jobs[0].output


def test_unchanged_settings_do_nothing_the_second_time(run: Callable[..., list[str]]) -> None:
    run()
    assert run() == []


def test_a_program_that_fails_stops_its_own_arm_alone(run: Callable[..., list[str]], stages: Stages) -> None:
    whole = run()
    stages.breaks = "train_segmenter real/light/1.0/0"
    changed = "train_segmenter.epochs=3"
    told = "^trial: 1 arm failed, and all others are finished: program: ended with exit code 1; mend it; run the trial"
    with pytest.raises(ProgramError, match=told):
        run(changed)
    lost = {stages.breaks, "evaluate real/light/1.0/0", *LAST}
    others = {work for work in whole if work.startswith(("train_segmenter", "evaluate"))} - lost
    assert {*stages.ran} == others
    stages.breaks = ""
    assert {*run(changed)} == lost


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, ...]:
    """Settings that name a folder of five cases, one of one scan without labels, and one of a lesion-free scan."""
    cases = [f"cases/case_{number}/{role}.nii" for number in range(5) for role in ("imaging", "segmentation")]
    files = (*cases, "scans/other.nii", "free/healthy.nii")
    for path in (tmp_path / "source" / name for name in files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"one")
    folders = [tmp_path / "source" / name for name in ("cases", "scans", "free")]
    return (
        *("acquire.source=folder", f"acquire.folder.path={folders[0]}"),
        *(f"acquire.unlabeled={folders[1]}", f"acquire.lesion_free={folders[2]}"),
    )


@pytest.mark.parametrize("name", ["cases/case_1/segmentation.nii", "scans/other.nii", "free/healthy.nii"])
def test_changed_source_data_do_everything_again(
    run: Callable[..., list[str]], source: tuple[str, ...], tmp_path: Path, name: str
) -> None:
    everything = run(*source)
    assert run(*source) == []
    (tmp_path / "source" / name).write_bytes(b"two")
    os.utime(tmp_path / "source" / name, (1, 1))  # two writes in a row may bear one time
    assert run(*source) == everything


@pytest.mark.parametrize("setting", ["acquire.folder.path", "acquire.unlabeled", "acquire.lesion_free"])
def test_a_missing_source_leaves_what_is_there(
    run: Callable[..., list[str]], source: tuple[str, ...], tmp_path: Path, setting: str
) -> None:
    run(*source)
    with pytest.raises(SourceError, match="nowhere: is not a folder"):
        run(*source, f"{setting}={tmp_path / 'nowhere'}")
    assert (tmp_path / "data" / "raw").is_dir()
    assert run(*source) == []


def test_a_first_job_that_was_killed_before_its_mark_is_done_again(
    run: Callable[..., list[str]], stages: Stages, tmp_path: Path
) -> None:
    stages.fails = "acquire"
    with pytest.raises(StoreError):
        run()
    (tmp_path / "data" / "raw").mkdir(parents=True)
    stages.fails = ""
    assert run()[0] == "acquire"


def test_what_no_trial_wrote_is_left_alone(run: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"--folder: .*raw is there, and no trial wrote it; name a folder of the"):
        run()
    assert (tmp_path / "data" / "raw").is_dir()


def test_how_many_processes_or_threads_work_changes_nothing(run: Callable[..., list[str]]) -> None:
    run()
    assert run("acquire.workers=2", "prepare.workers=3", "compute.threads=2") == []


def test_a_changed_synthesizer_redoes_only_what_follows_from_it(run: Callable[..., list[str]]) -> None:
    run()
    done = run("train_gan.spade.learning_rate=0.01")
    assert len(done) == 2 * 5 + len(LAST)
    assert len(done_with(done, "spade", *LAST)) == len(done)


def test_another_share_of_fakes_retrains_the_arm_but_no_synthesizer(run: Callable[..., list[str]]) -> None:
    run()
    other = (
        "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: mix, share: 0.5}, "
        "{name: real+spade, synthesizer: spade, way: append}]"
    )
    arms = [f"{stage} real+synthetic/light/1.0/{cell}" for stage in ("evaluate", "train_segmenter") for cell in (0, 1)]
    assert run(other) == sorted([*arms, *LAST])


def test_a_new_cell_leaves_the_finished_ones_alone(run: Callable[..., list[str]]) -> None:
    run()
    done = run("trial.cells=[0, 1, 2]")
    assert len(done) == 2 * 3 + 4 * 2 + len(LAST)
    assert done_with(done, "1.0/0", "1.0/1") == []


def test_another_tolerance_scores_again_and_trains_nothing(run: Callable[..., list[str]]) -> None:
    run()
    done = run("evaluate.regions.tumor.tolerance=9")
    assert done_with(done, "train") == []
    assert len(done_with(done, "evaluate")) == 8


def test_a_missing_output_is_made_again(run: Callable[..., list[str]], tmp_path: Path) -> None:
    run()
    (tmp_path / "scores" / "real" / "light" / "1.0" / "0.json").unlink()
    assert run() == ["evaluate real/light/1.0/0"]


def test_a_failing_job_ends_the_run_with_its_error_and_what_is_finished_stays(
    run: Callable[..., list[str]], stages: Stages
) -> None:
    stages.fails = "train_segmenter real+spade/light/1.0/1"
    with pytest.raises(StoreError, match="pairs: is broken"):
        run()
    before = set(stages.ran)
    stages.fails = ""
    after = set(run())
    assert {"acquire", "prepare", "train_gan spade/1.0/1"} <= before
    assert "train_segmenter real+spade/light/1.0/1" in after
    assert not before & after


def test_a_trial_without_validation_patients_does_not_begin(load: Load, tmp_path: Path) -> None:
    config = load("prepare.split={train: 0.5, validation: 0, test: 0.5, salt: stone}")
    with pytest.raises(
        ConfigError, match=r"prepare.split.validation: is 0, and a trial .* is judged on 'test'; raise it"
    ):
        run_trial(config, tmp_path, processes=1)
    assert not list(tmp_path.iterdir())


def test_an_output_without_its_mark_is_not_done(load: Load, tmp_path: Path) -> None:
    job = plan_chains(load_spade(load), Layout(tmp_path))[0].jobs[0]
    job.output.mkdir(parents=True)
    assert not is_done(job, tmp_path)


@pytest.mark.usefixtures("record")
def test_the_error_of_a_stage_comes_whole_out_of_its_process(load: Load, tmp_path: Path) -> None:
    config = load("acquire.source=folder", f"acquire.folder.path={tmp_path / 'nowhere'}")
    with pytest.raises(SourceError, match="nowhere: "):
        run_trial(config, tmp_path / "trial", processes=1)


FEW = ("trial.segmenters=[light]", "trial.cells=[0, 1]")


def test_a_look_that_can_give_no_verdict_is_warned_of_before_anything_runs(
    load: Load, kits_folder: Path, tmp_path: Path, stages: Stages, caplog: pytest.LogCaptureFixture
) -> None:
    place = ("acquire.source=folder", f"acquire.folder.path={kits_folder}")
    stages.fails = "acquire"
    for more, told in (((), True), (("trial.judged_on=validation",), False)):
        caplog.clear()
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoreError):
            run_trial(load(*FEW, *place, *more), tmp_path / f"trial{told}", processes=1, pool=pool)
        assert ("trial.cells: a look at test patients is spent on 2 cells" in caplog.text) == told


@pytest.mark.parametrize(
    ("setting", "finding"),
    [
        ("acquire.patients.table={folder}/none.csv", "none.csv: cannot be read"),
        ("acquire.patients.rule=x(.)", "acquire.patients.rule: 'x(.)' matches none of 12 names"),
        ("trial.judged_on=confirmation", "prepare.split.confirmation: is 0, and 'trial.judged_on' is 'confirmation'"),
    ],
)
def test_whom_a_trial_is_judged_on_and_whose_scans_are_whose_is_checked_before_anything_runs(
    load: Load, kits_folder: Path, stages: Stages, setting: str, finding: str
) -> None:
    folder = kits_folder.parent
    place = ("acquire.source=folder", f"acquire.folder.path={kits_folder}", setting.format(folder=folder))
    with pytest.raises(NephriteError, match=re.escape(finding)):
        run_trial(load(*FEW, *place), folder / "trial", processes=1)
    assert stages.ran == []


def test_a_further_set_of_another_program_reruns_nothing_that_does_not_see_it(load: Load, tmp_path: Path) -> None:
    both = (
        "train_gan={maisi: {method: {kind: folder, source: maisi}}, other: {method: {kind: randomized}}}",
        "trial.training_sets.synthetic=[{name: real+a, synthesizer: other}, {name: real+b, synthesizer: maisi}]",
        *("trial.synthesizers=[other, maisi]", "trial.question=null"),
    )

    def keys(spread: float) -> dict[str, str]:
        told = {"stored": [0, spread]}
        chains = plan_chains(load(maisi(tmp_path, intensity=told), *both), Layout(tmp_path))
        jobs = [job for chain in chains for job in chain.jobs]
        return {f"{job.stage} {job.config.arm or job.config.painter or ''}": job.key for job in jobs}

    before, after = keys(1.0), keys(2.0)
    changed = {name for name in before if before[name] != after[name]}
    assert {name.partition(" ")[0] for name in changed} == {
        *("acquire", "prepare", "train_gan", "synthesize", "screen", "train_segmenter", "evaluate", "report", "promote")
    }
    assert all("maisi" in name or "real+b" in name for name in changed if "/" in name)
    assert any("real+a" in name for name in before)


def kept_below(folder: Path) -> int:
    """Steps that all checkpoints hold."""
    return sum(json.loads(path.read_text())["steps"] for path in folder.rglob(KEPT_STEPS))


@pytest.mark.slow
@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_a_trial_that_is_stopped_says_so_at_once_and_keeps_what_is_finished(
    record: str, tmp_path: Path, ends: signal.Signals
) -> None:
    # long trainings, which write checkpoints all the time
    long = ("train_segmenter.epochs=100000", "train_gan.pix2pix.epochs=100000", "compute.checkpoint_minutes=0.001")
    chosen = [part for text in (*SMALL, *long) for part in ("--set", text)]
    command = [sys.executable, "-m", "nephrite", "trial", "--params", str(CAPSTONE), *chosen, "--folder", "results"]
    with (tmp_path / "told.txt").open("w") as file:
        trial = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file, start_new_session=True)
    until = time.monotonic() + 300
    while not kept_below(tmp_path) and trial.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    before = kept_below(tmp_path)
    assert before, (tmp_path / "told.txt").read_text()
    # as a terminal does it: the signal reaches every process of the group; SIGTERM comes to the first alone
    started = time.monotonic()
    if ends == signal.SIGINT:
        os.killpg(trial.pid, ends)
    else:
        trial.send_signal(ends)
    code, took = trial.wait(60), time.monotonic() - started
    told = (tmp_path / "told.txt").read_text()
    assert (code, took < 5) == (128 + ends, True), (took, told)
    found = re.search(r"^Stopped at step ([\d,]+) of [\d,]+; the same command goes on from there\.$", told, re.M)
    assert found, told
    assert int(found[1].replace(",", "")) == kept_below(tmp_path) >= before
    assert "Traceback" not in told
