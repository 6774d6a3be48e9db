from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nephrite.report.markdown import report_markdown
from nephrite.report.pages import Sections, write_pages
from nephrite.report.summary import summarize
from nephrite.report.trial_file import read_trial
from nephrite.verdict.trial import Trial


def test_people_and_programs_read_the_same_record(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    record = summarize(make_trial())
    sections = Sections(["## Above"], ["Below."], ["<i>data</i>"])
    write_pages(record, tmp_path, {}, sections, title="Trial <x>", place=Path("elsewhere"))
    assert read_trial(tmp_path / "trial.json") == record
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == report_markdown(record, {}, ["## Above"], ["Below."])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Trial &lt;x&gt;</title>" in page
    assert "<i>data</i>" in page
    summary = (tmp_path / "summary.txt").read_text(encoding="utf-8")
    assert "Open next: elsewhere/report.html" in summary
    assert max(map(len, summary.splitlines())) <= 110
