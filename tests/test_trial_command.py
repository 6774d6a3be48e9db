from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from nephrite.cli import group
from nephrite.config import Config
from nephrite.report.trial_file import read_trial
from nephrite.terminal import is_quiet
from tests.conftest import CAPSTONE
from tests.shown_trial import write_shown_trial
from tests.test_cli import invoke


def test_whole_trial_and_plan_are_listed_with_their_options() -> None:
    for command, option in (("trial", "--processes"), ("plan", "--finished")):
        assert option in invoke(command, "--help")[1]


def test_trial_shows_the_summary(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "summary.txt").write_text("No evidence.")
    monkeypatch.setattr("nephrite.runner.run_trial", lambda config, folder, processes: folder / "reports")
    arguments = ("--params", str(CAPSTONE), "--folder", str(tmp_path))
    clock = iter([100.0, 3295.4])
    monkeypatch.setattr("nephrite.trial_command.time.monotonic", lambda: next(clock))
    took = "This took 3,195 seconds; what was finished before is not in it."
    begun = "trial: settings, data and networks are checked before anything runs"
    assert invoke("trial", *arguments) == (0, f"{begun}\nNo evidence.\n{took}\n")


def test_a_trial_lies_apart_from_what_dvc_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr("nephrite.runner.run_trial", lambda config, folder, processes: seen.append(folder))
    invoke("trial", "--params", str(root / "configs" / "lidc.yaml"))
    assert seen == [Path("results/lidc")]


def test_plan_tells_the_cost_by_a_table_of_prices(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nephrite.planning.trainings_seconds", lambda config, arms, helpers: 7200.0)
    (tmp_path / "prices.yaml").write_text("{currency: EUR, segmenter: {hour: 3}, synthesizer: {hour: 1}}")
    words = ["--params", str(CAPSTONE), "--folder", str(tmp_path), "--prices", str(tmp_path / "prices.yaml")]
    code, shown = invoke("plan", *words)
    assert code == 0, shown
    assert "cost  about 6.00 EUR (segmenters 2.0 hours at 3; synthesizers not counted" in shown


def test_plan_shows_its_lines(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nephrite.planning.trainings_seconds", lambda config, arms, helpers: 90.0)
    code, shown = invoke("plan", "--params", str(CAPSTONE), "--folder", str(tmp_path))
    assert code == 0, shown
    assert shown.startswith("arms ")
    assert "smallest effect" in shown


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a verdict."""
    layout, _ = write_shown_trial(tmp_path_factory.mktemp("trial"))
    return layout.report


def trial_with(report: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What the command prints of a trial that is finished."""

    def run_trial(config: Config, folder: Path, processes: int) -> Path:
        assert is_quiet() == ("--quiet" in words)
        return report

    monkeypatch.setattr("nephrite.runner.run_trial", run_trial)
    done = CliRunner().invoke(group, ["trial", "--params", str(CAPSTONE), *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_quiet_trial_tells_the_verdict_and_where_the_report_is(
    root: Path, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, place = trial_with(report, monkeypatch, "--quiet").splitlines()
    assert verdict == read_trial(report / "trial.json").headline
    assert place.startswith(f"Open next: {report / 'report.html'};")


def test_a_trial_for_programs_is_json_and_nothing_else(
    root: Path, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, trial = json.loads(trial_with(report, monkeypatch, "--json")), read_trial(report / "trial.json")
    assert trial.answer
    assert shown["answer"] == trial.answer.model_dump(mode="json")
    assert (shown["headline"], shown["record"]) == (trial.headline, str(report / "trial.json"))


def test_a_plan_for_programs_is_json_and_nothing_else(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nephrite.planning.trainings_seconds", lambda config, arms, helpers: 90.0)
    code, shown = invoke("plan", "--params", str(CAPSTONE), "--folder", str(tmp_path), "--json")
    plan = json.loads(shown)
    assert (code, plan["seconds"] * plan["processes"], plan["cost"]) == (0, 90.0, None)
    assert plan["trainings"] == math.prod(plan["kinds"]) * plan["cells"]
