"""The commands of the quick start, as the page has them, on a folder of scans."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from nephrite.cli import group
from nephrite.config import load_config
from nephrite.preflight import preflight

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quick-start.md"


def page_commands() -> list[list[str]]:
    """The numbered commands of the page's first block, as words."""
    lines = re.findall(r"^nephrite (.*?) +# \d\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_five_commands_lead_from_a_folder_of_scans_to_a_trial(
    kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kits_folder.rename("my-scans")
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
    # what 'trial' checks before it trains; the trainings themselves are those of any trial
    assert trial[1:] == ["--params", "my_scans.yaml"]
    assert preflight(load_config(Path(trial[2])))
