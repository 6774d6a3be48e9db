from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nephrite.cli import group


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(group, ["inspect", *map(str, words), "--processes", "1", "--class", "1=kidney"])


def test_a_page_is_written_and_a_good_folder_ends_with_0(
    kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = invoke(kits_folder)
    assert shown.exit_code == 0, shown.output
    assert "12 cases: 0 refused" in shown.stdout
    assert "The page: source-inspected.html" in shown.stdout
    assert "<h3>case_00000</h3>" in Path("source-inspected.html").read_text()


def test_what_prepare_would_refuse_ends_with_1_and_programs_are_told(
    kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (kits_folder / "case_00003" / "imaging.nii.gz").write_bytes(b"no scan")
    shown = invoke(kits_folder, "--json")
    assert shown.exit_code == 1
    facts = json.loads(shown.stdout)
    assert next(case["name"] for case in facts["cases"] if case["findings"]) == "case_00003"
    assert not list(tmp_path.glob("*.html"))
    invoke(kits_folder, "--json", "--out", tmp_path / "page.html")
    assert "case_00003" in (tmp_path / "page.html").read_text()
