from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nephrite.cli import group
from nephrite.doctor.checks import Check


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No torch is asked for a GPU, and no server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nephrite.doctor.machine.gpu", lambda wanted, seconds: Check("GPU", "fine", wanted))
    monkeypatch.setattr("nephrite.doctor.machine.packages", lambda lock: Check("packages", "fine", "as named"))
    for name in ("KFP_HOST", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_a_failed_check_ends_with_1_and_a_fit_machine_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("memory", "disk"):
        monkeypatch.setattr(f"nephrite.doctor.machine.{name}", lambda *given: Check("room", "fine", "enough"))
    shown = CliRunner().invoke(group, ["doctor"])
    assert shown.exit_code == 0, shown.output
    assert "checks pass" in shown.stdout
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    shown = CliRunner().invoke(group, ["doctor"])
    assert shown.exit_code == 1
    assert "fails  MLflow: http://127.0.0.1:9" in shown.stdout


def test_programs_get_every_check_and_settings_say_what_is_needed(root: Path, tmp_path: Path) -> None:
    text = (
        root / "params.yaml"
    ).read_text() + f"\npublish: {{remote: {tmp_path}/none}}\ncompute: {{accelerator: cpu}}\n"
    (tmp_path / "params.yaml").write_text(text)
    told = json.loads(CliRunner().invoke(group, ["doctor", "--json"]).stdout)
    by_name = {check["name"]: check for check in told["checks"]}
    assert by_name["GPU"]["finding"] == "cpu"
    assert by_name["DVC remote"] == {
        "name": "DVC remote",
        "state": "fails",
        "finding": f"{tmp_path}/none is not a folder",
        "remedy": f"mkdir -p {tmp_path}/none",
    }
    assert told["failed"] >= 1
