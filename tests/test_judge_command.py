from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nephrite.cli import group
from nephrite.errors import ConfigError
from nephrite.files import write_json, write_table
from nephrite.judge_command import read_copies, read_question, read_regions
from nephrite.report.trial_file import read_trial
from tests.judging.conftest import GAINS, folders, scores_of

__all__ = ["folders"]  # a fixture


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(group, ["judge", *map(str, words), "--no-record"])


def test_scores_become_a_verdict_on_the_terminal(tmp_path: Path) -> None:
    write_json(tmp_path / "s.json", [asdict(score) for score in scores_of(gains={**GAINS, "again": 0.0})])
    write_table(
        tmp_path / "p.csv", ("case", "patient"), [(f"p{n:02d}", "one" if n < 2 else f"p{n:02d}") for n in range(10)]
    )
    options = (
        "--patients",
        tmp_path / "p.csv",
        "--null",
        "again=real",
        "--overlap",
        "0",
        "--confidence",
        "0.9",
        "--out",
        tmp_path / "judged",
    )
    shown = invoke("--scores", tmp_path / "s.json", "--question", "fakes,real", "--region", "tumor", *options)
    assert shown.exit_code == 0, shown.output
    assert "Provenance unverifiable: 'fakes' helps: fakes minus real is +0.09" in shown.output
    trial = read_trial(tmp_path / "judged" / "trial.json")
    assert len(trial.patients) == 9
    plan = trial.plan
    assert (plan.copies, plan.overlap, plan.confidence) == ({"again": "real"}, {1.0: 0.0}, 0.9)


def test_a_verdict_is_told_in_few_lines_or_as_json(tmp_path: Path) -> None:
    write_json(tmp_path / "s.json", [asdict(score) for score in scores_of(gains=GAINS)])
    words = ("--scores", tmp_path / "s.json", "--question", "fakes,real", "--out", tmp_path / "judged")
    headline, place = invoke(*words, "--quiet").stdout.splitlines()
    shown = json.loads(invoke(*words, "--json").stdout)
    assert (shown["headline"], shown["answer"]["against"]) == (headline, "real")
    assert place.startswith(f"Open next: {shown['report']};")


def test_label_maps_become_a_verdict_on_the_terminal(folders: Path, tmp_path: Path) -> None:
    maps = ("--predictions", folders / "predictions", "--references", folders / "references")
    words = ("--region", "tumor=2", "--question", "fakes,real", "--metric", "recall", "--out", tmp_path / "judged")
    shown = invoke(*maps, *words, "--processes", "1", "--tolerance", "4")
    assert isinstance(shown.exception, Exception)
    assert "2 of 3 patients have any tumor, and 3 are needed for its recall" in str(shown.exception)
    shown = invoke(*maps, *words[:-4], *words[-2:], "--processes", "1", "--tolerance", "4")
    assert shown.exit_code == 0, shown.output
    arms = read_trial(tmp_path / "judged" / "trial.json").arms
    assert {arm.training_set: arm.regions["tumor"].surface_dice for arm in arms} == {"fakes": 1.0, "real": 1.0}


def test_help_names_both_ways_in() -> None:
    shown = CliRunner().invoke(group, ["judge", "--help"]).output
    assert all(option in shown for option in ("--scores", "--predictions", "--references", "--ledger", "--overlap"))


@pytest.mark.parametrize(
    ("texts", "read"),
    [((), {}), (("tumor",), {"tumor": ()}), (("tumor=2", "kidney = 1, 2"), {"tumor": (2,), "kidney": (1, 2)})],
)
def test_regions_are_read(texts: tuple[str, ...], read: dict[str, tuple[int, ...]]) -> None:
    assert read_regions(texts) == read


@pytest.mark.parametrize("text", ["tumor=0", "tumor=256", "tumor=1.5", "=2", "tumor=2,", "tumor=x", "tumor=²"])
def test_what_is_no_region_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--region: .* is no region with label values from 1 to 255"):
        read_regions((text,))


def test_a_region_twice_and_names_that_are_no_pair_are_one_line() -> None:
    with pytest.raises(ConfigError, match="'tumor' is named twice"):
        read_regions(("tumor=1", "tumor=2"))
    assert read_question("fakes, real") == ("fakes", "real")
    for text in ("fakes", "a,b,c", "a,"):
        with pytest.raises(ConfigError, match=r"--question: .* is not two arms"):
            read_question(text)
    assert read_copies(("b=a", "d = c")) == {"b": "a", "d": "c"}
    for text in ("b", "b=", "a=a", "a=b=c"):
        with pytest.raises(ConfigError, match=r"--null: .* is not two arms"):
            read_copies((text,))
