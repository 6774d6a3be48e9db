from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from nephrite import __version__, cli
from nephrite.cli import StageGroup, group, main
from nephrite.config import Config, load_config
from nephrite.errors import SourceError
from nephrite.execution import command_name
from nephrite.signatures import STAGES
from tests.conftest import CAPSTONE

NEPHRITE = Path(sys.executable).with_name("nephrite")


def run_cli(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    known = {**os.environ, **(environment or {})}
    return subprocess.run([NEPHRITE, *arguments], capture_output=True, text=True, check=False, env=known)


def invoke(*arguments: str) -> tuple[int, str]:
    """Run the command line in this process."""
    result = CliRunner().invoke(group, list(arguments))
    return result.exit_code, result.output


def test_help_lists_the_stages_in_order() -> None:
    code, shown = invoke("--help")
    places = [shown.index(f"\n  {command_name(stage)} ") for stage in STAGES]
    assert code == 0
    assert places == sorted(places)


def test_version_is_the_package_version() -> None:
    assert invoke("--version") == (0, f"nephrite, version {__version__}\n")


def test_underscores_are_accepted_in_a_stage_name() -> None:
    assert invoke("train_segmenter", "--help")[0] == 0


def test_every_command_is_one_line_of_the_help() -> None:
    shown = invoke("--help")[1].splitlines()
    for name in StageGroup("nephrite").list_commands(click.Context(group)):
        assert [line for line in shown if re.match(rf"  {name} +\S.*\.$", line)], name
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trail"], "nephrite: no such command 'trail'; did you mean 'trial'?"),
        (["xyz"], "nephrite: no such command 'xyz'; see 'nephrite --help'"),
        (["trial", "--folders", "x"], "nephrite trial: no such option '--folders'; did you mean '--folder'?"),
        (["judge"], "nephrite judge: missing option '--question'; see 'nephrite judge --help'"),
    ],
)
def test_a_call_that_is_wrong_is_one_line(words: list[str], line: str) -> None:
    done = run_cli(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")


def test_without_a_command_the_help_is_shown() -> None:
    done = run_cli()
    assert (done.returncode, done.stderr) == (2, invoke("--help")[1].replace("Usage: group", "Usage: nephrite"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_shell_and_knows_commands_and_options(shell: str) -> None:
    def complete(words: str, count: int) -> str:
        asked = {"COMP_WORDS": words, "COMP_CWORD": words.rsplit(maxsplit=1)[-1] if shell == "fish" else str(count)}
        return run_cli(environment={"_NEPHRITE_COMPLETE": f"{shell}_complete", **asked}).stdout

    script = run_cli(environment={"_NEPHRITE_COMPLETE": f"{shell}_source"})
    assert script.returncode == 0
    assert f"_NEPHRITE_COMPLETE={shell}_complete" in script.stdout
    assert "train-segmenter" in complete("nephrite train-s", 1)
    assert "--processes" in complete("nephrite trial --proc", 2)


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
