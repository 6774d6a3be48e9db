from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nephrite.errors import StoreError, TrialError
from nephrite.files import read_json, write_json
from nephrite.report.markdown import report_markdown
from nephrite.report.summary import summarize
from nephrite.report.trial_file import read_trial, trial_schema
from nephrite.report.trial_record import TrialRecord
from nephrite.verdict.blind import BlindBaseline
from nephrite.verdict.measures import Measure
from nephrite.verdict.statistics import paired_interval
from nephrite.verdict.trial import Question, Trial

MakeTrial = Callable[..., Trial]
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
OF_NOW = ("elsewhere", "lidc-fractions", "lidc-learned", "lidc-new-patients", "lidc-nnunet")
PRESENT = [RESULTS / name / "trial.json" for name in OF_NOW]
PUBLISHED = sorted({*RESULTS.glob("*/trial.json")} - {*PRESENT})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trial.json"


@pytest.fixture
def written(make_trial: MakeTrial, path: Path) -> TrialRecord:
    """The record of a small trial that was written to `path`."""
    record = summarize(make_trial(cells=2))
    write_json(path, record.model_dump(mode="json"))
    return record


def _schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(trial_schema())


def test_what_was_written_is_read_again(written: TrialRecord, path: Path) -> None:
    assert read_trial(path) == written


def test_mean_and_interval_of_a_comparison_follow_from_the_file_alone(wide_trial: Trial, path: Path) -> None:
    write_json(path, summarize(wide_trial).model_dump(mode="json"))
    trial = read_trial(path)
    assert trial.answer is not None
    for row in (trial.answer, trial.comparisons[0], trial.rivals[-1]):
        plan, table = trial.plan, trial.differences(row)
        found = paired_interval(table, confidence=plan.confidence, overlap=plan.overlap.get(row.fraction, 0.0))
        assert (found.mean, found.low, found.high) == (row.mean, row.low, row.high)
        assert table.shape == (4, 12)


def test_the_page_shows_how_to_analyze_a_trial_again(
    make_trial: MakeTrial, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = summarize(make_trial())
    write_json(tmp_path / "reports" / "trial.json", record.model_dump(mode="json"))
    shown = (
        (root / "docs" / "trial-json.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    )
    (tmp_path / "again.py").write_text(shown, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    row, found = record.comparisons[0], runpy.run_path("again.py")["interval"]
    assert (found.mean, found.low, found.high) == (row.mean, row.low, row.high)


def test_the_schema_is_one_and_takes_what_is_written(written: TrialRecord, path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(trial_schema())
    assert trial_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    _schema().validate(read_json(path))


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"surprise": 1}, {"patients": []}, {"patients": ["a", "a"]}, {"headline": None}, {"arms": []}],
)
@pytest.mark.usefixtures("written")
def test_the_schema_refuses_other_content(path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        _schema().validate(read_json(path) | change)


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: path.parent.name)
def test_a_published_trial_of_version_2_is_read_whole(published: Path) -> None:
    trial, content = read_trial(published), read_json(published)
    assert content["version"] == 2
    assert trial.version == 4
    assert all(arm.dice_by_cell is None for arm in trial.arms)
    sets = [arm["training_set"] for arm in content["arms"]]
    copies = {name: name.removesuffix("+null") for name in sets if name.endswith("+null")}
    expected = {
        **content,
        "version": 4,
        "arms": [{**arm, "dice_by_cell": None} for arm in content["arms"]],
    }
    expected["plan"] = {**content["plan"], "copies": copies}
    found = _as_version_3(json.loads(trial.model_dump_json()))
    assert _without_null_arms(found) == _without_null_arms({**expected, "version": 3})
    assert report_markdown(trial, {}).startswith(f"# {trial.headline.partition(':')[0]}")
    with pytest.raises(TrialError, match="has no table of Dice of"):
        trial.differences(trial.comparisons[0])


def _as_version_3(content: dict[str, Any]) -> dict[str, Any]:
    """What version 3 would have written; it told nothing of families and overlap."""
    content = json.loads(json.dumps(content))
    lists = [content[name] for name in ("answers", "answer_by_segmenter", "comparisons", "rivals")]
    lists += [[content["answer"]], *(best["comparisons"] for best in content["best_synthetic"])]
    for row in [row for rows in lists for row in rows if row]:
        row["resampled"], row["p_holm"] = row.pop("sampled"), row.pop("p_adjusted")
        for name in ("family", "adjusted_low", "adjusted_high", "measure"):
            del row[name]
    for name in ("overlap", "judged_on", "metric", "where", "questions"):
        del content["plan"][name]
    for found in content["equivalence"] or ():
        del found["exponent"]
    for name in ("look", "blind", "questions", "external", "provenance", "unverifiable"):
        del content[name]
    for arm in content["arms"]:
        del arm["external"], arm["native"]
    return {**content, "version": 3}


def test_a_file_of_version_3_is_read_with_its_own_p_and_intervals(written: TrialRecord, path: Path) -> None:
    write_json(path, _as_version_3(read_json(path)))
    found = read_trial(path)
    assert found.version == 4
    for row, before in zip(found.comparisons, written.comparisons, strict=True):
        assert (row.p, row.low, row.p_adjusted, row.family) == (before.p, before.low, before.p_adjusted, None)
        assert (row.adjusted_low, row.adjusted_high) == (before.low, before.high)


def _without_null_arms(content: Any) -> Any:
    """The content without keys 'arm' that are null: the first files of version 2 lacked them."""
    if isinstance(content, list):
        return [_without_null_arms(item) for item in content]
    if isinstance(content, dict):
        kept = {key: _without_null_arms(value) for key, value in content.items()}
        return {key: value for key, value in kept.items() if (key, value) != ("arm", None)}
    return content


def test_all_published_trials_are_tried() -> None:
    assert len(PUBLISHED) == 5


@pytest.mark.parametrize("place", PRESENT, ids=lambda path: path.parent.name)
def test_a_published_trial_of_this_version_is_read_and_told_as_its_page_tells_it(place: Path) -> None:
    trial = read_trial(place)
    content = {"provenance": "recorded", "unverifiable": []} | read_json(place)
    for scored in (part for arm in content["arms"] for part in (arm, arm["external"]) if part):
        scored.setdefault("native", None)  # the first files of this version lack it
    if content["look"]:
        content["look"].setdefault("external", [])  # likewise
    assert json.loads(trial.model_dump_json()) == content
    assert trial.headline.partition(": ")[2] in place.with_name("report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", [1, 5, "4", None, [2]])
@pytest.mark.usefixtures("written")
def test_another_version_is_refused_in_one_line(path: Path, version: Any) -> None:
    write_json(path, read_json(path) | {"version": version})
    with pytest.raises(StoreError) as caught:
        read_trial(path)
    assert str(caught.value) == f"{path}: has version {version}, not 4 (or 2, 3); run 'report' again"


@pytest.mark.parametrize("text", ["[]", "3", "{}", "null"])
def test_what_names_no_version_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(StoreError, match=r"has version None, not 4 \(or 2, 3\); run 'report' again"):
        read_trial(path)


@pytest.mark.usefixtures("written")
def test_a_broken_record_is_refused_with_the_field(path: Path) -> None:
    content = read_json(path)
    content["arms"][1]["cells"] = ["0"]
    write_json(path, content)
    with pytest.raises(
        StoreError, match=r"trial.json: arms\.1\.cells\.0: Input should be a valid integer, not '0'; run 'report'"
    ):
        read_trial(path)


@pytest.mark.parametrize("change", [{"arms": None}, {"answers": [1]}, {"best_synthetic": [{}]}])
@pytest.mark.usefixtures("written")
def test_a_broken_record_of_version_2_is_refused_in_one_line(path: Path, change: dict[str, Any]) -> None:
    write_json(path, read_json(path) | {"version": 2} | change)
    with pytest.raises(StoreError, match=r"is no trial of version 2 \(.*\); run 'report' again"):
        read_trial(path)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        read_trial(path)


def test_files_from_before_external_test_sets_are_all_of_home(make_trial: MakeTrial, path: Path) -> None:
    trial = make_trial()
    asked = (Question(Measure("surface_dice", "tumor"), "real", "real+geometric"),)
    dice = BlindBaseline("predict nothing", (0.0,) * 10, Measure("dice", "tumor"))
    record = summarize(Trial(replace(trial.plan, questions=asked), trial.arms), blind=[dice])
    content = json.loads(record.model_dump_json())
    measures = [content["plan"]["questions"][0]["measure"], content["questions"][0]["measure"]]
    for part in (content["plan"], *measures, content["blind"][0]["measure"]):
        assert part.pop("where") == "home"
    for part in (content, *content["arms"]):
        del part["external"]
    write_json(path, content)
    assert read_trial(path) == record
