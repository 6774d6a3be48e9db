from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.layout import Layout
from nephrite.recording import SilentRun
from nephrite.stages.report import report
from tests.shown_trial import TESTED, stage_paths, write_shown_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Config]:
    return write_shown_trial(tmp_path_factory.mktemp("shown"))


def again(trial: tuple[Layout, Config], tmp_path: Path, **settings: float) -> str:
    """The page of the same scores with other settings."""
    layout, config = trial
    changed = config.model_copy(update={"report": config.report.model_copy(update=settings)})
    report(changed, SilentRun(), **stage_paths(layout) | {"report": tmp_path / "reports"})
    return (tmp_path / "reports" / "report.html").read_text(encoding="utf-8")


def test_verdict_provenance_patients_and_sizes_come_first(trial: tuple[Layout, Config]) -> None:
    page = (trial[0].report / "report.html").read_text(encoding="utf-8")
    order = ["Verdict: ", ">Where this comes from</h2>", ">Patients</h2>", ">By size</h2>", ">The question</h2>"]
    assert sorted(order, key=page.index) == order
    assert page.count("data-patient=") == len(TESTED)
    assert "select a patient to see up to 24 slices." in page
    assert "3 sets of synthetic slices took no part in screening." in page


def test_no_slices_are_shown_where_settings_say_so(trial: tuple[Layout, Config], tmp_path: Path) -> None:
    page = again(trial, tmp_path, slices=0)
    assert "image/webp" not in page
    assert "The page shows no slices: 'report.slices' is 0." in page


def test_the_page_stays_below_its_limit(trial: tuple[Layout, Config], tmp_path: Path) -> None:
    whole = (trial[0].report / "report.html").stat().st_size
    pictures = sum(path.stat().st_size for path in trial[0].report.rglob("*.png"))
    limit = (0.5 + 4 / 3 * pictures / 1e6) + 0.02  # room for 20,000 bytes of slices
    page = again(trial, tmp_path, megabytes=limit)
    assert len(page) < whole
    assert len(page) <= limit * 1e6
    assert "select a patient to see up to 3 slices." in page
    full = again(trial, tmp_path, megabytes=0.5)
    assert "MB ('report.megabytes') have no room for them." in full


def test_without_label_maps_the_page_says_so(trial: tuple[Layout, Config], tmp_path: Path) -> None:
    layout, config = trial
    paths = {name: path for name, path in stage_paths(layout).items() if name != "predictions"}
    report(config, SilentRun(), **paths | {"report": tmp_path / "reports"})
    assert "no slices: no label maps were given." in (tmp_path / "reports" / "report.md").read_text(encoding="utf-8")
    shutil.copytree(layout.predictions, tmp_path / "predictions", ignore=shutil.ignore_patterns("c*"))
    report(
        config, SilentRun(), **stage_paths(layout) | {"predictions": tmp_path / "predictions", "report": tmp_path / "2"}
    )
    assert "'evaluate' kept no label maps." in (tmp_path / "2" / "report.md").read_text(encoding="utf-8")


def test_the_numbers_of_a_patient_are_those_of_the_record(trial: tuple[Layout, Config]) -> None:
    record = json.loads((trial[0].report / "trial.json").read_text(encoding="utf-8"))
    arm = {each["training_set"]: each["dice_by_patient"] for each in record["arms"]}
    text = (trial[0].report / "report.md").read_text(encoding="utf-8")
    for patient in TESTED:
        with_it, without = arm["real+synthetic+geometric"][patient], arm["real+geometric"][patient]
        assert f"| {patient} | {with_it - without:+.3f} | {with_it:.3f} | {without:.3f} |" in text
