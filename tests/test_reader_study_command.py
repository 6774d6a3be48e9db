from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from nephrite.cli import group
from nephrite.config import GeneratorRun
from nephrite.errors import ConfigError, NephriteError
from nephrite.layout import Layout
from nephrite.reader_study.study import read_study
from nephrite.reader_study_command import find_sources, read_pseudonym
from tests.conftest import free_ports
from tests.reader_study.conftest import answer_all

PAINTERS = [GeneratorRun.parse(f"pix2pix/1.0/{cell}") for cell in range(2)]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str | None]]:
    """What would be served, in place of serving it."""
    calls: list[tuple[Path, str | None]] = []
    monkeypatch.setattr(
        "nephrite.reader_study_command.serve", lambda out, study, port, reader: calls.append((out, reader))
    )
    return calls


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(group, ["reader-study", *map(str, words)])


def refused(*words: str | Path) -> str:
    error = invoke(*words).exception
    assert isinstance(error, NephriteError)
    return str(error)


def test_stores_make_a_study_that_goes_on_by_its_folder(
    pairs: Path, synthetic: Path, tmp_path: Path, served: list[tuple[Path, str | None]]
) -> None:
    out = tmp_path / "study"
    stores = ("--pairs", pairs, "--synthetic", synthetic)
    assert invoke(*stores, "--slices", "3", "--seed", "4", "--out", out).exit_code == 0
    study = read_study(out)
    assert (study.asked.count, study.asked.seed, study.asked.per_patient) == (3, 4, None)
    assert invoke("--out", out, "--reader", "Anna").exit_code == 0
    assert invoke("--out", out, "--seed", "4", "--slices", "3").exit_code == 0
    assert served == [(out, None), (out, "anna"), (out, None)]
    assert read_study(out) == study
    assert "holds a study with seed 4, not 5" in refused("--out", out, "--seed", "5")
    assert "slices of each kind: 3, not 30" in refused(*stores, "--seed", "4", "--out", out)


def test_a_trial_names_its_stores(
    root: Path, pairs: Path, synthetic: Path, tmp_path: Path, served: list[tuple[Path, str | None]]
) -> None:
    layout = Layout(tmp_path / "trial")
    layout.pairs.parent.mkdir(parents=True)
    pairs.rename(layout.pairs)
    place = layout.synthetic(GeneratorRun.parse("pix2pix/0.14/1"))
    place.parent.mkdir(parents=True)
    synthetic.rename(place)
    trial = ("--params", root / "params.yaml", "--folder", layout.root, "--slices", "2")
    done = invoke(*trial, "--painter", "pix2pix/0.14/1", "--out", tmp_path / "study")
    assert done.exit_code == 0, done.exception
    assert read_study(tmp_path / "study").painter == "pix2pix/0.14/1"
    assert "--painter: is missing, and the trial has 9 painters: pix2pix/0.14/0, " in refused(
        *trial, "--out", tmp_path / "other"
    )
    assert not (tmp_path / "other").exists()
    assert len(served) == 1


def test_sources_are_those_named_or_those_of_the_trial() -> None:
    layout, named = Layout(Path("trial")), Path("here")
    assert find_sources(layout, PAINTERS[:1], None, None, None) == (
        Path("trial/data/prepared"),
        Path("trial/data/synthetic/pix2pix/1.0/0"),
        "pix2pix/1.0/0",
    )
    assert find_sources(layout, [], None, None, named) == (layout.pairs, named, "")
    assert find_sources(layout, [], "pix2pix/1.0/0", named, named) == (named, named, "pix2pix/1.0/0")
    assert find_sources(layout, PAINTERS, "pix2pix/1.0/1", None, None).synthetic == layout.synthetic(PAINTERS[1])
    with pytest.raises(ConfigError, match=r"--painter: is missing, and the trial has 0 painters; name"):
        find_sources(layout, [], None, None, None)
    with pytest.raises(ConfigError, match="'pix2pix' is no painter; write it as"):
        find_sources(layout, PAINTERS, "pix2pix", None, None)
    with pytest.raises(
        ConfigError, match=r"'pix2pix/1\.0/5' is no painter of the trial; name one of: pix2pix/1\.0/0, "
    ):
        find_sources(layout, PAINTERS, "pix2pix/1.0/5", None, None)


def test_what_is_no_pseudonym_is_one_line() -> None:
    assert read_pseudonym("Reader-1") == "reader-1"
    with pytest.raises(ConfigError, match=r"--reader: '\.\./x' is no pseudonym: a pseudonym has 1 to 32"):
        read_pseudonym("../x")


def test_the_report_is_told_with_its_page(pairs: Path, synthetic: Path, tmp_path: Path, served: object) -> None:
    out = tmp_path / "study"
    invoke("--pairs", pairs, "--synthetic", synthetic, "--slices", "4", "--out", out)
    assert "holds no answers" in refused("--out", out, "--report", "--no-record")
    answer_all(out, read_study(out), "anna")
    told = invoke("--out", out, "--report", "--no-record")
    assert told.exit_code == 0, told.exception
    assert told.output.startswith(
        "Told apart at 95 %: one reader called 100.0% of 8 slices what they are [63.1%, 100.0%]"
    )
    assert "reader 1 (anna): 8 of 8 judged" in told.output
    assert f"The page: {out / 'report' / 'report.html'}" in told.output
    assert "study.json: is missing" in refused("--out", tmp_path / "none", "--report", "--no-record")


def test_it_serves_until_ctrl_c_and_says_how_far_readers_came(pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    stores = ["--pairs", str(pairs), "--synthetic", str(synthetic), "--slices", "2", "--port", str(port)]
    command = [sys.executable, "-m", "nephrite", "reader-study", *stores]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            address = program.stdout.readline().strip()
            assert re.fullmatch(rf"http://127\.0\.0\.1:{port}/[\w-]{{20,}}/", address)
            given = {"reader": "anna", "place": 0, "rating": 1, "seconds": 2}
            assert requests.post(f"{address}answers", json=given, timeout=5).status_code == 200
            os.kill(program.pid, signal.SIGINT)
            output, errors = program.communicate(timeout=30)
        finally:
            program.kill()
    assert program.returncode == 0
    assert output.splitlines()[-1] == "anna: 1 of 4 slices judged"
    assert errors == ""
