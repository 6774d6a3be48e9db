"""The commands of the quick start, as the page has them, on a folder of scans."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nephrite.cli import group
from nephrite.files import write_json
from nephrite.report.trial_file import read_trial

SMALL = ("train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=2", "prepare.in_plane={kind: resize, size: 32}")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "quick-start.md"


def page_commands() -> list[list[str]]:
    """The numbered commands of the page's first block, as words."""
    lines = re.findall(r"^nephrite (.*?) +# \d\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines]


class Here(Executor):
    """Does each job at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it, and give what is done."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def as_nnunet_raw(cases: Path, folder: Path) -> None:
    """The same scans as nnU-Net keeps them."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case in sorted(cases.iterdir()):
        (case / "imaging.nii.gz").rename(folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        (case / "segmentation.nii.gz").rename(folder / "labelsTr" / f"{case.name}.nii.gz")
    labels = {"background": 0, "kidney": 1, "tumor": 2}
    write_json(folder / "dataset.json", {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"})


def test_five_commands_lead_from_a_folder_of_scans_to_a_verdict(
    kits_folder: Path, record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_nnunet_raw(kits_folder, Path("my-scans"))
    doctor, inspect, init, plan, trial = page_commands()
    assert [words[0] for words in (doctor, inspect, init, plan, trial)] == [
        "doctor",
        "inspect",
        "init",
        "plan",
        "trial",
    ]
    shown = CliRunner().invoke(group, doctor)
    assert shown.exit_code in (0, 1), shown.output  # a finding about this machine is no failure of the command
    assert "memory" in shown.output
    for words, made in ((inspect, "my_scans-inspected.html"), (init, "my_scans.yaml")):
        shown = CliRunner().invoke(group, [*words, "--processes", "1"])
        assert shown.exit_code == 0, shown.output
        assert Path(made).is_file()
    shown = CliRunner().invoke(group, plan)
    assert shown.exit_code == 0, shown.output
    assert "smallest" in shown.output
    # the trial, made small: a few steps of each training, one after the other in this process
    assert trial[1:] == ["--params", "my_scans.yaml"]
    monkeypatch.setattr("nephrite.runner.worker_pool", lambda *_, **__: nullcontext(Here()))
    shown = CliRunner().invoke(group, [*trial, *(word for setting in SMALL for word in ("--set", setting))])
    assert shown.exit_code == 0, shown.output
    report = Path("results") / "my_scans" / "reports"
    assert read_trial(report / "trial.json").headline in " ".join(shown.stdout.split())
    assert (report / "report.html").is_file()
