"""A registered model on scans that it never saw: whole files in, label maps on the same voxels out."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from torch import nn

from nephrite.config import Config, ResampleSettings, ResizeSettings, WindowSettings
from nephrite.errors import (
    DicomError,
    ModelNotRegisteredError,
    NephriteError,
    SourceError,
    StoreError,
    TrackingUnreachableError,
    VolumeError,
)
from nephrite.files import sha256
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.sources import Scan, open_scan
from nephrite.phantom.phantom import write_patient
from nephrite.privacy.pseudonyms import pseudonyms
from nephrite.programs.settings import program_digest
from nephrite.recording import SilentRun
from nephrite.redaction import hidden_name
from nephrite.registry import CHALLENGER, CHAMPION, Registry, load_champion
from nephrite.segmentation.artifacts import SegmenterCard, read_card, write_card
from nephrite.segmentation.backend import Prediction, Trained, backend_of
from nephrite.segmentation.command import CommandBackend, CommandSettings
from nephrite.segmentation.in_process.family import InProcess
from nephrite.segmentation.serving import GridScan
from nephrite.stages.predict import predict
from nephrite.tracking import open_run
from tests.conftest import strip_meta, write_series

Load = Callable[..., Config]
MODEL, SIZE = "nephrite-segmenter", 64
RECIPE = Recipe(
    {1: "kidney", 2: "tumor"},
    {"kidney": (1, 2), "tumor": (2,)},
    WindowSettings(kind="window", center=0, width=400),
    ResizeSettings(kind="resize", size=SIZE),
    0.5,
)


class Thresholds(nn.Module):
    """Kidney at or above 0 HU, tumor at or above 100 HU, in a window of 0 +- 200 HU."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of two channels."""
        return torch.cat([image - 0.5, image - 0.75], dim=1) * 1000


def register(
    network: nn.Module | None = None, recipe: Recipe | str | None = RECIPE, *, alias: str = CHAMPION, size: int = SIZE
) -> None:
    """Make a version, and point an alias to it."""
    registry, tags = Registry(MODEL), {"weights": "abc"}
    if recipe is not None:
        tags["recipe"] = recipe if isinstance(recipe, str) else recipe.to_text()
    version = registry.register(network or Thresholds(), channels=2, size=size, run_id=None, tags=tags)
    registry.point(alias, version)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients of the phantom, 64 x 64, in KiTS layout."""
    folder = tmp_path_factory.mktemp("phantom") / "raw"
    for number in range(2):
        write_patient(folder, 19, number, matrix=SIZE)
    return folder


@pytest.fixture
def masks(record: str, tmp_path: Path) -> Path:
    return tmp_path / "masks"


def expected(image: nib.Nifti1Image) -> np.ndarray:
    """What `Thresholds` finds, in the scan's own axes."""
    values = image.get_fdata()
    return np.where(values >= 100, 2, np.where(values >= 0, 1, 0)).astype(np.uint8)


def copy_turned(source: Path, target: Path, codes: str) -> None:
    """A copy of a scan with its axes in another order and direction."""
    image = nib.Nifti1Image.from_filename(source)
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(tuple(codes)))
    target.parent.mkdir(parents=True, exist_ok=True)
    image.as_reoriented(turn).to_filename(target)


def rows(masks: Path) -> list[dict[str, str]]:
    with (masks / "volumes.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("codes", ["IPL", "LAS", "ARI"])
def test_mask_has_the_voxels_and_the_affine_of_its_scan(
    phantom: Path, masks: Path, load: Load, tmp_path: Path, codes: str
) -> None:
    register()
    cases = sorted(phantom.iterdir())
    for case in cases:
        copy_turned(case / "imaging.nii.gz", tmp_path / "scans" / f"{case.name}.nii.gz", codes)
    metrics = predict(load("predict.batch_size=5"), SilentRun(), scans=tmp_path / "scans", masks=masks)
    for case in cases:
        scan = nib.Nifti1Image.from_filename(tmp_path / "scans" / f"{case.name}.nii.gz")
        mask = nib.Nifti1Image.from_filename(masks / case.name / "segmentation.nii.gz")
        assert np.array_equal(mask.affine, scan.affine)
        assert np.array_equal(np.asarray(mask.dataobj), expected(scan))
    assert (metrics["scans"], metrics["seconds_per_slice"] > 0) == (2.0, True)


def test_volumes_and_manifest_tell_what_was_found_and_with_what(phantom: Path, masks: Path, load: Load) -> None:
    register()
    metrics = predict(load(), SilentRun(), scans=phantom, masks=masks)
    case = min(phantom.iterdir())
    image = nib.Nifti1Image.from_filename(case / "imaging.nii.gz")
    kidney, voxels = rows(masks)[0], int((expected(image) == 1).sum())
    assert (kidney["patient"], kidney["class"], int(kidney["voxels"])) == (case.name, "kidney", voxels)
    assert float(kidney["milliliters"]) == pytest.approx(voxels * np.prod(image.header.get_zooms()) / 1000, abs=1e-3)
    assert metrics["kidney_ml"] == pytest.approx(sum(float(row["milliliters"]) for row in rows(masks)[::2]), abs=0.01)
    manifest = json.loads((masks / "manifest.json").read_text())
    assert (manifest["model"], manifest["version"], manifest["weights"]) == (MODEL, 1, "abc")
    digest = sha256(case / "imaging.nii.gz")
    assert manifest["patients"][case.name]["sources"] == {hidden_name(case / "imaging.nii.gz"): digest}


def test_where_spacing_is_nominal_there_are_no_milliliters(
    phantom: Path, masks: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    register()
    metrics = predict(load("prepare.spacing=nominal"), SilentRun(), scans=phantom, masks=masks)
    assert not [name for name in metrics if name.endswith("_ml")]
    assert {row["milliliters"] for row in rows(masks)} == {""}
    assert int(rows(masks)[0]["voxels"]) > 0
    told = "'prepare.spacing' is nominal: voxels are of made-up size, so milliliters are left out"
    assert json.loads((masks / "manifest.json").read_text())["note"] == told
    assert told in caplog.text


def mark(self: object, trained: Trained, scans: Sequence[GridScan]) -> Iterator[Prediction]:
    """In place of a program: a kidney at or above the middle of the window."""
    for scan in scans:
        yield Prediction((scan.windowed(range(scan.shape[0])) >= 0.5).astype(np.uint8))


@pytest.fixture
def folder(record: str, tmp_path: Path) -> Path:
    """A registered champion that is the folder of a program's segmenter; gives the file of the program."""
    program, root = tmp_path / "program.pl", tmp_path / "segmenter"
    program.write_text("1")
    root.mkdir()
    settings = CommandSettings(kind="command", command=("perl", str(program)), files=(program,))
    known = SegmenterCard(
        arm="real/mine/1.0/0",
        settings=settings,
        classes=RECIPE.classes,
        channels=RECIPE.channels,
        intensity=RECIPE.intensity,
        in_plane=RECIPE.in_plane,
        training_patients=("a1",),
        synthesizer=None,
        pairs="digest",
        validation_score=0.5,
        region="tumor",
        threshold=0.5,
        steps=6,
        seconds=1.0,
        run_id=None,
        version="test",
        inputs={"program": program_digest([program])},
    )
    (root / "model").mkdir()
    (root / "model" / "model.json").write_text("{}")
    write_card(root, known, [])
    tags = {"weights": "abc", "recipe": RECIPE.to_text()}
    registry = Registry(MODEL)
    registry.point(CHAMPION, registry.register_folder(root, read_card(root).digest, run_id=None, tags=tags))
    return program


def test_a_folder_is_handed_to_its_program(folder: Path, phantom: Path, masks: Path, load: Load) -> None:
    """The program itself is tried in tests/segmentation/test_command.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CommandBackend, "predict_all", mark)
        predict(load("predict.batch_size=5"), SilentRun(), scans=phantom, masks=masks)
    for case in phantom.iterdir():
        scan = nib.Nifti1Image.from_filename(case / "imaging.nii.gz")
        mask = nib.Nifti1Image.from_filename(masks / case.name / "segmentation.nii.gz")
        assert np.array_equal(np.asarray(mask.dataobj), (scan.get_fdata() >= 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("program", r"was trained by another version of program\.pl; bring back the files of the program"),
        ("gone", r"names the file .*program\.pl, which is not there"),
        ("tag", r"its tags .* are not those that it was registered with"),
    ],
)
def test_a_folder_whose_program_or_tags_were_changed_is_refused(
    folder: Path, phantom: Path, masks: Path, load: Load, *, change: str, told: str
) -> None:
    if change == "program":
        folder.write_text("2")
    elif change == "gone":
        folder.unlink()
    else:
        MlflowClient().set_model_version_tag(MODEL, "1", "folder", "0" * 64)
    with pytest.raises(NephriteError, match=told) as caught:
        predict(load(), SilentRun(), scans=phantom, masks=masks)
    assert "\n" not in str(caught.value)
    assert not masks.exists()


def test_a_folder_is_no_graph(folder: Path) -> None:
    with pytest.raises(StoreError, match="is the folder of a segmenter that is no graph; use 'nephrite predict'"):
        load_champion(MODEL)


def test_model_sees_what_its_recipe_says_whatever_the_settings_are(phantom: Path, masks: Path, load: Load) -> None:
    register()
    other = ("prepare.intensity={kind: window, center: 900, width: 10}", "prepare.in_plane={kind: resize, size: 16}")
    predict(load(*other), SilentRun(), scans=phantom, masks=masks)
    case = min(phantom.iterdir())
    mask = nib.Nifti1Image.from_filename(masks / case.name / "segmentation.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), expected(nib.Nifti1Image.from_filename(case / "imaging.nii.gz")))


@pytest.mark.parametrize("mirroring", [False, True])
def test_model_of_windows_segments_slices_that_are_larger(
    phantom: Path, masks: Path, load: Load, mirroring: bool
) -> None:
    register(recipe=replace(RECIPE, window=24, mirroring=mirroring), size=24)
    predict(load(), SilentRun(), scans=phantom, masks=masks)
    case = min(phantom.iterdir())
    mask = nib.Nifti1Image.from_filename(masks / case.name / "segmentation.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), expected(nib.Nifti1Image.from_filename(case / "imaging.nii.gz")))


@pytest.mark.parametrize("size", [40, 48])  # the 64 mm of the scan are 43 pixels: cropped, padded
def test_mask_of_a_resampled_scan_lies_on_the_scan(masks: Path, load: Load, tmp_path: Path, size: int) -> None:
    plan = ResampleSettings(kind="resample", spacing=1.5, size=size)
    register(recipe=replace(RECIPE, in_plane=plan), size=size)
    rows, columns, _ = np.indices((SIZE, SIZE, 3))
    disc = (rows - 24) ** 2 + (columns - 40) ** 2 < 15**2
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(np.where(disc, 150, -100).astype(np.int16), np.eye(4)), tmp_path / "scans" / "p.nii.gz")
    predict(load(), SilentRun(), scans=tmp_path / "scans", masks=masks)
    found = np.asarray(nib.Nifti1Image.from_filename(masks / "p" / "segmentation.nii.gz").dataobj) > 0
    assert 2 * (found & disc).sum() / (found.sum() + disc.sum()) > 0.95


def test_segmenter_of_the_project_runs_on_any_number_of_slices(phantom: Path, masks: Path, load: Load) -> None:
    config = load("predict.batch_size=7", "predict.alias=challenger")
    backend = backend_of(config.train_segmenter.segmenters["light"])
    assert isinstance(backend, InProcess)
    register(backend.build(2), alias=CHALLENGER)
    metrics = predict(config, SilentRun(), scans=phantom, masks=masks)
    slices = sum(min(nib.Nifti1Image.from_filename(path).shape) for path in phantom.glob("*/imaging.nii.gz"))
    assert metrics["slices"] == slices


def test_mask_of_a_dicom_series_lies_where_the_series_lies(masks: Path, load: Load, tmp_path: Path) -> None:
    register()
    voxels = np.random.default_rng(0).integers(-300, 300, (3, SIZE, SIZE))
    write_series(tmp_path / "scans" / "p1", voxels)
    predict(load(), SilentRun(), scans=tmp_path / "scans", masks=masks)
    mask = nib.Nifti1Image.from_filename(masks / pseudonyms(["p1"])["p1"] / "segmentation.nii.gz")
    truth = np.where(voxels >= 100, 2, np.where(voxels >= 0, 1, 0))
    assert np.array_equal(np.asarray(mask.dataobj), truth.transpose(2, 1, 0))
    assert mask.affine.tolist() == [[-0.75, 0, 0, 4], [0, -0.5, 0, 3], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    told = (masks / "manifest.json").read_text() + (masks / "volumes.csv").read_text()
    assert not [word for word in ("Jane", "p1", ".dcm") if word in told]


@pytest.mark.parametrize("broken", ["bare", "cut"])
def test_slice_without_preamble_is_part_of_the_mask_and_a_broken_one_stops_the_stage(
    masks: Path, load: Load, tmp_path: Path, broken: str
) -> None:
    register()
    folder = tmp_path / "scans" / "DICOM" / "s"
    write_series(folder, np.random.default_rng(0).integers(-300, 300, (6, SIZE, SIZE)))
    for path in folder.iterdir():
        path.rename(path.with_suffix(""))
    last = folder / "6"
    last.write_bytes(strip_meta(last) if broken == "bare" else last.read_bytes()[:100])
    if broken == "bare":
        predict(load(), SilentRun(), scans=tmp_path / "scans", masks=masks)
        assert nib.Nifti1Image.from_filename(next(masks.glob("*/segmentation.nii.gz"))).shape[2] == 6
        return
    with pytest.raises(DicomError, match=r"DICOM/s/6: is empty or not DICOM, and is named as a slice is; fetch"):
        predict(load(), SilentRun(), scans=tmp_path / "scans", masks=masks)
    assert not masks.exists()


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("mm", 1.0), ("micron", 1e3), ("unknown", 1.0)])
def test_volumes_are_in_milliliters_whatever_the_unit_of_the_file(
    masks: Path, load: Load, caplog: pytest.LogCaptureFixture, unit: str, factor: float
) -> None:
    register()
    tmp_path = masks.parent
    voxels = np.full((SIZE, SIZE, 3), -100, np.int16)
    voxels[4:13, 5, 1] = 150
    image = nib.Nifti1Image(voxels, np.diag([factor, factor, 5 * factor, 1]))
    image.header.set_xyzt_units(unit)
    (tmp_path / "scans").mkdir()
    nib.save(image, tmp_path / "scans" / "p.nii.gz")
    metrics = predict(load(), SilentRun(), scans=tmp_path / "scans", masks=masks)
    assert metrics["tumor_ml"] == pytest.approx(9 * 5 / 1000)
    written = nib.Nifti1Image.from_filename(masks / "p" / "segmentation.nii.gz")
    assert written.affine == pytest.approx(image.affine, rel=1e-6)
    assert written.header.get_xyzt_units()[0] == unit
    assert ("xyzt_units" in caplog.text) == (unit == "unknown")


def test_volume_of_an_uneven_series_follows_the_spacing_of_prepare(masks: Path, load: Load, tmp_path: Path) -> None:
    register()
    voxels = np.full((4, SIZE, SIZE), -100)
    voxels[1, 5, 4:13] = 150
    write_series(tmp_path / "scans" / "p1", voxels, places=[0, 2.4, 5.0, 7.6])
    metrics = predict(load("acquire.pseudonyms=false"), SilentRun(), scans=tmp_path / "scans", masks=masks)
    spacing = open_scan(Scan("p1", "dicom", tmp_path / "scans" / "p1")).spacing
    affine = nib.Nifti1Image.from_filename(masks / "p1" / "segmentation.nii.gz").affine
    assert metrics["tumor_ml"] == pytest.approx(9 * np.prod(spacing) / 1000)
    assert metrics["tumor_ml"] == pytest.approx(9 * abs(np.linalg.det(affine[:3, :3])) / 1000, rel=1e-6)


def test_mask_of_a_scan_with_a_rounded_quaternion_is_readable(masks: Path, load: Load, tmp_path: Path) -> None:
    register()
    image = nib.Nifti1Image(np.zeros((SIZE, SIZE, 3), np.int16), np.diag([-1.0, -1, 5, 1]))
    image.set_qform(image.affine, code=1)
    image.set_sform(None, code=0)
    (tmp_path / "scans").mkdir()
    nib.save(image, tmp_path / "scans" / "p.nii")
    content = bytearray((tmp_path / "scans" / "p.nii").read_bytes())
    content[256:268] = np.array([0, 0, 1.0000004], "<f4").tobytes()
    (tmp_path / "scans" / "p.nii").write_bytes(content)
    predict(load(), SilentRun(), scans=tmp_path / "scans", masks=masks)
    affine = nib.Nifti1Image.from_filename(masks / "p" / "segmentation.nii.gz").affine
    assert np.allclose(affine, np.diag([-1.0, -1, 5, 1]), atol=1e-6)


def refused(load: Load, scans: Path, masks: Path, *overrides: str) -> None:
    predict(load(*overrides), SilentRun(), scans=scans, masks=masks)


def test_registry_without_the_model_is_refused(phantom: Path, masks: Path, load: Load) -> None:
    with pytest.raises(ModelNotRegisteredError, match=r"model 'nobody': is not in the registry.*'predict.model'"):
        refused(load, phantom, masks, "predict.model=nobody")


def test_model_without_a_champion_is_refused(phantom: Path, masks: Path, load: Load) -> None:
    register(alias=CHALLENGER)
    with pytest.raises(ModelNotRegisteredError, match="model 'nephrite-segmenter': has no champion; run 'promote'"):
        refused(load, phantom, masks)


def test_version_without_a_recipe_is_refused(phantom: Path, masks: Path, load: Load) -> None:
    register(recipe=None)
    with pytest.raises(StoreError, match=r"version 1: does not say what it wants.*run 'promote' on its report again"):
        refused(load, phantom, masks)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"in_plane": ResizeSettings(kind="resize", size=32)}, "refuses slices of 32 x 32"),
        ({"channels": {"tumor": (2,)}}, r"returns \(1, 2, 64, 64\)"),
    ],
)
def test_model_that_does_not_fit_its_recipe_is_refused(
    phantom: Path, masks: Path, load: Load, change: dict[str, Any], finding: str
) -> None:
    register(recipe=replace(RECIPE, **change))
    with pytest.raises(StoreError, match=f"model 'nephrite-segmenter' version 1: {finding}"):
        refused(load, phantom, masks)
    assert not masks.exists()


def test_scan_with_nan_is_named_and_nothing_is_written(masks: Path, load: Load, tmp_path: Path) -> None:
    register()
    voxels = np.zeros((SIZE, SIZE, 3), np.float32)
    voxels[0, 0, 1] = np.nan
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "scans" / "bad.nii.gz")
    with pytest.raises(VolumeError, match=r"scans/bad\.nii\.gz: 1 intensities are NaN or infinite; fix the file"):
        refused(load, tmp_path / "scans", masks)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("masks")]


def test_folder_without_scans_is_refused(masks: Path, load: Load, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="empty: holds no scan"):
        refused(load, tmp_path / "empty", masks)


def test_unreachable_registry_is_named(phantom: Path, masks: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingUnreachableError, match=r"http://127\.0\.0\.1:9"):
        refused(load, phantom, masks)


def test_folder_that_predict_did_not_write_is_never_replaced(
    phantom: Path, masks: Path, load: Load, tmp_path: Path
) -> None:
    register()
    scans = shutil.copytree(phantom, tmp_path / "mine" / "scans")
    for target in (scans, scans.parent):
        with pytest.raises(SourceError, match="would be replaced, and holds the scans"):
            refused(load, scans, target)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.tex").write_text("years of work")
    with pytest.raises(SourceError, match="would be replaced, and is no folder of masks"):
        refused(load, scans, tmp_path / "thesis")
    for _ in range(2):
        refused(load, scans, masks)  # its own folder is


def test_run_stands_beside_the_trials(phantom: Path, masks: Path, load: Load, record: str) -> None:
    register()
    with open_run(load(), "report"):
        pass
    client = MlflowClient(record)
    before = [run.to_dictionary() for run in client.search_runs(["1"])]
    for _ in range(2):
        with open_run(load(), "predict") as run:
            predict(load(), run, scans=phantom, masks=masks)
    kept = {item.path for item in client.list_artifacts(str(run.id))}
    assert kept == {"settings.yaml", "volumes.csv", "manifest.json"}
    runs = {found.info.run_id: found for found in client.search_runs(["1"])}
    tags = runs[str(run.id)].data.tags
    assert (tags["nephrite.model_version"], tags["nephrite.model"]) == ("1", MODEL)
    assert "mlflow.parentRunId" not in tags
    assert [runs[found["info"]["run_id"]].to_dictionary() for found in before] == before
    assert not [found for found in runs.values() if "nephrite.superseded_by" in found.data.tags]
