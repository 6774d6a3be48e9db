from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from nephrite.cli import group
from nephrite.errors import ConfigError, ModelNotRegisteredError, SourceError
from nephrite.predict_command import named_model
from tests.imaging.label_maps.test_seg_writing import write_whole_series
from tests.predicting.test_model import segmenter as trained
from tests.stages.test_predict import register

segmenter = trained


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no server."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "here"


def test_one_file_and_a_folder_of_a_segmenter_need_nothing_else(segmenter: Path, kits_folder: Path, here: Path) -> None:
    scan = kits_folder / "case_00003" / "imaging.nii.gz"
    done = CliRunner().invoke(group, ["predict", str(scan), "--model", str(segmenter)], catch_exceptions=False)
    assert done.exit_code == 0
    mask = nib.Nifti1Image.from_filename("predictions/case_00003/segmentation.nii.gz")
    assert mask.shape == nib.Nifti1Image.from_filename(scan).shape
    assert done.stdout.endswith(f"{Path('predictions/summary.txt').read_text()}Masks: predictions\n")
    assert [path.name for path in here.iterdir()] == ["predictions"]


@pytest.mark.usefixtures("segmenter")
def test_a_folder_is_recorded_where_a_record_is_named(segmenter: Path, kits_folder: Path, record: str) -> None:
    words = ["predict", str(kits_folder), "--out", "masks", "--model", str(segmenter), "--run-id", "id"]
    assert CliRunner().invoke(group, words, catch_exceptions=False).exit_code == 0
    assert Path("id").read_text()
    assert len([*Path("masks").glob("*/segmentation.nii.gz")]) == 12


def test_a_registered_model_needs_no_params_file(kits_folder: Path, record: str) -> None:
    register()
    words = ["predict", str(kits_folder / "case_00003"), "--out", "masks", "--model", "models:/nephrite-segmenter/1"]
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    assert (done.exit_code, [*Path("masks").glob("*/segmentation.nii.gz")] != []) == (0, True)


def test_without_a_registry_none_is_made(kits_folder: Path, here: Path) -> None:
    with pytest.raises(ModelNotRegisteredError, match=r"there is no mlflow\.db here, and no server is named"):
        CliRunner().invoke(group, ["predict", str(kits_folder)], catch_exceptions=False)
    assert not [*here.iterdir()]


@pytest.mark.parametrize("words", [[], ["a", "--scans", "b"]])
def test_scans_are_given_once(words: list[str]) -> None:
    done = CliRunner().invoke(group, ["predict", *words])
    assert (done.exit_code, "Give SCANS" in done.stderr) == (2, True)


def test_a_params_file_that_is_named_must_be_there(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: is missing"):
        CliRunner().invoke(group, ["predict", "a", "--params", "mine.yaml"], catch_exceptions=False)
    assert "name: predict" in CliRunner().invoke(group, ["predict", "a", "--dry-run"]).stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/kidney/3", ["predict.folder=null", "predict.model=kidney", "predict.version=3"]),
        (
            "models:/kidney@champion",
            ["predict.folder=null", "predict.version=null", "predict.model=kidney", "predict.alias=champion"],
        ),
    ],
)
def test_a_model_is_named_as_mlflow_does(text: str, expected: list[str]) -> None:
    assert named_model(text) == expected


@pytest.mark.parametrize("text", ["models:/kidney", "models:/kidney/last", "kidney", "."])
def test_another_model_is_refused(text: str, here: Path) -> None:
    with pytest.raises(ConfigError, match="is no registered model by its form, and no folder of a segmenter"):
        named_model(text)


def test_a_training_patient_is_told_by_name_or_pseudonym(segmenter: Path, kits_folder: Path, here: Path) -> None:
    (kits_folder / "case_00003").rename(kits_folder / "A1")
    words = ["predict", str(kits_folder), "--model", str(segmenter), "--set", "predict.overlays=1"]
    shown = CliRunner().invoke(group, words, catch_exceptions=False).stdout
    warned = [line for line in shown.splitlines() if "learned from this patient" in line]
    assert [line.partition(":")[0] for line in warned] == ["A1"]
    assert len([*Path("predictions/A1").glob("slice-*.png")]) == 1


def test_a_dicom_seg_is_written_on_request(segmenter: Path, here: Path, tmp_path: Path) -> None:
    write_whole_series(tmp_path / "p1")
    words = ["predict", str(tmp_path / "p1"), "--model", str(segmenter)]
    for more, count in (([], 0), (["--dicom-seg"], 1)):
        assert CliRunner().invoke(group, [*words, *more], catch_exceptions=False).exit_code == 0
        found = [*Path("predictions").glob("patient-*/segmentation.dcm")]
        empty = not np.asarray(
            nib.Nifti1Image.from_filename(next(Path("predictions").glob("*/*.nii.gz"))).dataobj
        ).any()
        assert len(found) == (0 if empty else count)


def test_a_dicom_seg_of_other_scans_is_refused(segmenter: Path, kits_folder: Path, here: Path) -> None:
    words = ["predict", str(kits_folder), "--model", str(segmenter), "--dicom-seg"]
    with pytest.raises(SourceError, match="holds no DICOM series, which a DICOM SEG belongs to; leave"):
        CliRunner().invoke(group, words, catch_exceptions=False)
    assert not [*here.iterdir()]
