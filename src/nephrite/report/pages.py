"""The files of a report but for its figures: for people on a page, in Markdown and in a terminal, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nephrite.files import write_json
from nephrite.report.markdown import report_markdown
from nephrite.report.page import html_page
from nephrite.report.terminal import summary_text
from nephrite.report.trial_record import TrialRecord

PAGE, MARKDOWN, SUMMARY, TRIAL = "report.html", "report.md", "summary.txt", "trial.json"


class Sections(NamedTuple):
    """What a report holds beside the trial's record.

    Attributes:
        above: Markdown sections between the verdict and the tables.
        below: Markdown below the examples of synthetic slices.
        data: elements that the page's script reads.
    """

    above: Sequence[str] = ()
    below: Sequence[str] = ()
    data: Sequence[str] = ()


def write_pages(
    record: TrialRecord,
    folder: Path,
    pictures: Mapping[str, str],
    sections: Sections,
    *,
    title: str,
    place: Path,
) -> None:
    """Write report.md, report.html, summary.txt and trial.json.

    Args:
        record: of the trial.
        folder: to write into; holds the pictures already.
        pictures: what a picture shows to its path relative to the folder.
        sections: what stands there beside the record.
        title: of the page.
        place: where the folder will lie, as the summary tells it.
    """
    text = report_markdown(record, pictures, sections.above, sections.below)
    (folder / MARKDOWN).write_text(text, encoding="utf-8")
    (folder / PAGE).write_text(html_page(text, folder, title=title, data=sections.data), encoding="utf-8")
    (folder / SUMMARY).write_text(summary_text(record, place), encoding="utf-8")
    write_json(folder / TRIAL, record.model_dump(mode="json"))
