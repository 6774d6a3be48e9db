from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from nephrite import __version__, cli
from nephrite.cli import COMMANDS, group, main
from nephrite.config import Config, load_config
from nephrite.errors import SourceError
from tests.conftest import CAPSTONE

NEPHRITE = Path(sys.executable).with_name("nephrite")


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    return subprocess.run([NEPHRITE, *arguments], capture_output=True, text=True, check=False)


def invoke(*arguments: str) -> tuple[int, str]:
    """Run the command line in this process."""
    result = CliRunner().invoke(group, list(arguments))
    return result.exit_code, result.output


def test_help_lists_every_command_in_order() -> None:
    code, shown = invoke("--help")
    places = [shown.index(f"\n  {stage.replace('_', '-')} ") for stage in COMMANDS]
    assert code == 0
    assert places == sorted(places)


def test_version_is_the_package_version() -> None:
    assert invoke("--version") == (0, f"nephrite, version {__version__}\n")


def test_underscores_are_accepted_in_a_stage_name() -> None:
    assert invoke("train_segmenter", "--help")[0] == 0


def test_unknown_stage_is_a_usage_error() -> None:
    code, shown = invoke("paint")
    assert code == 2
    assert "No such command 'paint'" in shown


def test_missing_path_is_a_usage_error() -> None:
    code, shown = invoke("prepare", "--raw", "x")
    assert code == 2
    assert "--pairs" in shown


def test_dry_run_prints_settings_that_load_again(root: Path, tmp_path: Path) -> None:
    arguments = [
        "--params",
        str(CAPSTONE),
        "--set",
        "train_gan.pix2pix.epochs=3",
        "--set",
        "arm=real/light/1.0/0",
    ]
    code, shown = invoke("prepare", "--raw", "x", "--pairs", "y", *arguments, "--dry-run")
    (tmp_path / "again.yaml").write_text(shown)
    assert code == 0
    assert load_config(tmp_path / "again.yaml") == load_config(CAPSTONE, arguments[3::2])
    assert yaml.safe_load(shown)["train_gan"]["pix2pix"]["epochs"] == 3


def test_error_on_purpose_is_one_line_and_exit_code_2(root: Path) -> None:
    done = run_cli(
        "prepare",
        "--raw",
        "x",
        "--pairs",
        "y",
        "--params",
        str(CAPSTONE),
        "--set",
        "trial.sed=1",
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"ConfigError: {CAPSTONE} with '--set trial.sed=1': trial.sed: unknown key; did you mean 'seed'?"
    ]


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the handler back that `main` replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_all_errors_of_a_file_are_printed_each_on_its_line(root: Path) -> None:
    arguments = (
        "--params",
        str(CAPSTONE),
        "--set",
        "trial.sed=1",
        "--set",
        "screen.steps=0",
    )
    done = run_cli("settings", *arguments)
    assert done.returncode == 2
    first, second, number = done.stderr.splitlines()
    assert first.startswith(f"ConfigError: {CAPSTONE} with '--set trial.sed=1': trial.sed: unknown key")
    assert second.startswith(f"{CAPSTONE} with '--set screen.steps=0': screen.steps: value 0: ")
    assert number == "2 errors in all"


def test_settings_are_printed_whole_with_their_meanings(root: Path) -> None:
    code, shown = invoke("settings", "--params", str(CAPSTONE), "--set", "screen.steps=7")
    assert code == 0
    assert "  # Optimizer steps of that segmenter" in shown
    assert "\n  steps: 7 # --set\n" in shown
    assert load_config(Path("unused"), text=shown) == load_config(CAPSTONE, ["screen.steps=7"])


@pytest.mark.usefixtures("handlers")
def test_error_of_a_stage_ends_the_process_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise SourceError("raw", "holds no cases", "name another folder")

    monkeypatch.setattr(cli, "group", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "SourceError: raw: holds no cases; name another folder\n"


@pytest.mark.usefixtures("handlers")
def test_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "group", lambda **_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main()


def test_terminated_stage_leaves_nothing_half_written(root: Path, tmp_path: Path) -> None:
    arguments = [
        "acquire",
        "--raw",
        "raw",
        "--params",
        str(CAPSTONE),
        "--set",
        "acquire.phantom.matrix=128",
    ]
    with subprocess.Popen([NEPHRITE, *arguments], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("raw.partial/*")) and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("raw*"))


def test_pipeline_hands_settings_as_text_and_learns_run_and_page(
    record: str, load: Callable[..., Config], tmp_path: Path
) -> None:
    text = yaml.safe_dump(load("acquire.phantom.patients=2").model_dump(mode="json"))
    files = ("--page", str(tmp_path / "out" / "page.html"), "--run-id", str(tmp_path / "out" / "id"))
    facts = ("--lineage", '{"image": "nephrite@sha256:1"}')
    code, shown = invoke("acquire", "--raw", str(tmp_path / "raw"), "--params-text", text, *facts, *files)
    assert code == 0, shown
    run = MlflowClient(record).get_run((tmp_path / "out" / "id").read_text())
    assert run.data.tags["nephrite.image"] == "nephrite@sha256:1"
    page = (tmp_path / "out" / "page.html").read_text()
    assert run.info.run_id in page
    assert re.search(r"<t[hd][^>]*>cases</t[hd]>", page)
    assert invoke("close-trial", "--params-text", text) == (0, "close-trial: FAILED\n")


def test_wrong_settings_in_text_are_named(tmp_path: Path) -> None:
    shown = run_cli("acquire", "--raw", str(tmp_path), "--params-text", "trial: 3")
    assert shown.returncode == 2
    assert "ConfigError: --params-text: trial" in shown.stderr


def test_whole_trial_and_plan_are_listed_with_their_options() -> None:
    for command, option in (("trial", "--processes"), ("plan", "--finished")):
        assert option in invoke(command, "--help")[1]


def test_trial_shows_the_summary(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "summary.txt").write_text("No evidence.")
    monkeypatch.setattr("nephrite.runner.run_trial", lambda config, folder, processes: folder / "reports")
    arguments = ("--params", str(CAPSTONE), "--folder", str(tmp_path))
    clock = iter([100.0, 3295.4])
    monkeypatch.setattr("nephrite.cli.time.monotonic", lambda: next(clock))
    took = "This took 3,195 seconds; what was finished before is not in it."
    assert invoke("trial", *arguments) == (0, f"No evidence.\n{took}\n")


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
