from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from nephrite.errors import StoreError
from nephrite.reader_study.evaluation import evaluate_study
from nephrite.reader_study.study import read_study
from tests.conftest import runs
from tests.reader_study.conftest import answer_all


def test_the_report_is_a_page_a_record_and_two_figures(out: Path) -> None:
    answer_all(out, read_study(out), "anna", wrong=2)
    answer_all(out, read_study(out), "bert")
    told = evaluate_study(out)
    names = {path.relative_to(out / "report").as_posix() for path in (out / "report").rglob("*.*")}
    assert names >= {"report.html", "result.json", "figures/found.png"}
    page = (out / "report" / "report.html").read_text()
    assert "Reader study: real or synthetic?" in page
    assert "data:image/png;base64," in page
    result = json.loads((out / "report" / "result.json").read_text())
    assert result["sentence"] == told.splitlines()[0]
    assert result["study"] == read_study(out).digest
    assert result["accuracy"]["value"] == pytest.approx(14 / 16)
    assert [each["accuracy"]["value"] for each in result["readers"]] == [0.75, 1.0]


def test_a_later_report_replaces_the_earlier_one(out: Path) -> None:
    answer_all(out, read_study(out), "anna")
    evaluate_study(out)
    assert not (out / "report" / "figures" / "fooled.png").exists()
    answer_all(out, read_study(out), "bert", wrong=8)
    evaluate_study(out)
    assert (out / "report" / "figures" / "fooled.png").exists()
    assert not (out / "report" / "figures" / "found.png").exists()
    assert json.loads((out / "report" / "result.json").read_text())["finished"] == 2


def test_without_answers_there_is_nothing_to_report(out: Path) -> None:
    with pytest.raises(StoreError, match="holds no answers; open the page: nephrite reader-study --out"):
        evaluate_study(out)
    assert not (out / "report").exists()


def test_mlflow_gets_one_run_and_no_pseudonym(record: str, out: Path, tmp_path: Path) -> None:
    answer_all(out, read_study(out), "anna", wrong=2)
    answer_all(out, read_study(out), "bert")
    evaluate_study(out, experiment="kidneys")
    (run,) = runs(record, stage="reader_study")
    study = read_study(out)
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert params["reader_study.seed"] == "1"
    assert params["reader_study.slices_of_each_kind"] == "4"
    assert params["reader_study.painter"] == "synthesizer-1"
    assert params["reader_study.synthetic"] == study.inputs["synthetic"]
    metrics = run.data.metrics
    assert metrics["accuracy"] == pytest.approx(14 / 16)
    assert metrics["accuracy_low"] < metrics["accuracy"] <= metrics["accuracy_high"]
    assert (metrics["readers_finished"], metrics["accuracy_reader_1"], metrics["accuracy_reader_2"]) == (2, 0.75, 1.0)
    assert {"kappa", "area", "area_low", "sensitivity", "specificity"} <= set(metrics)
    client = MlflowClient(record)
    kept = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert kept == {"report.html", "result.json", "figures"}
    everything = json.dumps([run.to_dictionary()]) + "".join(
        path.read_text(errors="replace") for path in (out / "report").rglob("*.*")
    )
    assert "anna" not in everything
    assert "bert" not in everything
    assert str(out) not in json.dumps([params, run.data.tags])
