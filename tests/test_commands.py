from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from nephrite.cli import group
from nephrite.commands import resolve_command
from nephrite.errors import ConfigError, TrackingError
from nephrite.recording import SilentRun
from nephrite.spool import Head, LastingRun
from tests.finished_trial import write_trial


class Silenced(SilentRun):
    """A record whose server is gone."""

    def tags(self, values: object) -> None:
        raise TrackingError("http://mlflow", "does not answer", "start it")


def test_upload_sends_what_lies_anywhere_below(record: str, tmp_path: Path) -> None:
    client = MlflowClient(record)
    run_id = client.create_run("0").info.run_id
    place = tmp_path / "results" / "models" / "segmenter.record"
    LastingRun(Silenced(), Head(run_id, None, "predict"), place).tags({"source": "folder"})
    sent = CliRunner().invoke(group, ["upload", "--folder", str(tmp_path)])
    assert (sent.exit_code, sent.output) == (0, "upload: 1 run sent\n")
    assert client.get_run(run_id).data.tags["nephrite.source"] == "folder"
    assert CliRunner().invoke(group, ["upload", "--folder", str(tmp_path)]).output == "upload: 0 runs sent\n"


@pytest.mark.usefixtures("record")
def test_upload_of_a_missing_folder_is_refused() -> None:
    assert CliRunner().invoke(group, ["upload", "--folder", "nowhere"]).exit_code == 2


def test_verify_tells_each_output_and_ends_with_1_where_one_was_changed(tmp_path: Path) -> None:
    layout = write_trial(tmp_path / "trial")
    whole = CliRunner().invoke(group, ["verify", str(layout.root)])
    assert whole.exit_code == 0
    assert whole.output.splitlines()[-1] == "verify: 13 of 13 outputs are whole and unchanged"
    (layout.pairs / "index.csv").write_text("patient")
    broken = CliRunner().invoke(group, ["verify", str(layout.root)])
    assert broken.exit_code == 1
    assert broken.output.startswith(f"CHANGED {layout.pairs / 'index.csv'}: was changed: ")
    assert broken.output.splitlines()[-1] == "verify: 12 of 13 outputs are whole and unchanged"


def test_resolve_takes_no_list_of_shares(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no code.lock
    sweep = "trial.training_sets.synthetic=[{name: real+a, synthesizer: pix2pix, share: [0.1, 0.5]}]"
    params = ["--params", str(root / "params.yaml"), "--set", sweep, "--set", "trial.synthesizers=[pix2pix]"]
    params += ["--set", "trial.question=null", "--set", "trial.questions=[]"]
    with pytest.raises(ConfigError, match=r"of 'real.a' is a list, and dvc.yaml takes the sets as they stand"):
        resolve_command().main([*params, "--resolved", str(tmp_path / "resolved")], standalone_mode=False)
    assert not (tmp_path / "resolved").exists()
