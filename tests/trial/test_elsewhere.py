"""A trial to another hospital, through all stages: home tells no tumors from kidneys, elsewhere numbers otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nephrite.config import Config
from nephrite.metrics.scores import read_scores
from nephrite.recording import SilentRun
from nephrite.report.trial_file import read_trial
from nephrite.report.trial_record import TrialRecord
from nephrite.stages.acquire import acquire
from nephrite.stages.evaluate import evaluate
from nephrite.stages.prepare import prepare
from nephrite.stages.report import report
from nephrite.stages.synthesize import synthesize
from nephrite.stages.train_gan import train_gan
from nephrite.stages.train_segmenter import train_segmenter
from nephrite.store.slices import PairStore
from nephrite.verdict.looks import read_looks

Load = Callable[..., Config]
SETTINGS = (
    *("trial.segmenters=[light]", "trial.cells=[0]", "trial.reference=real", "trial.primary=kidney_and_tumor"),
    "trial.training_sets={real: [real], synthetic: [{name: real+synthetic, synthesizer: pix2pix, way: mix}]}",
    *("trial.where=external", "trial.questions=[{metric: recall, region: tumor}]"),
    *("prepare.channels={kidney: [1, 2]}", "evaluate.regions={kidney_and_tumor: {labels: [1, 2]}}"),
    *("evaluate.parts={tumor: [2]}", "prepare.split={train: 0.5, validation: 0.25, test: 0.25}"),
    "train_gan.pix2pix.method={kind: lesion_painter, slices: apart, sizes: [{radius: [1.5, 3]}], step_of: window}",
    "synthesize.ratio=2",
)
LABELS = {"home": (0, 1, 1), "theirs": (0, 5, 6)}  # of background, kidney and tumor


@pytest.fixture
def config(load: Load, write_kits_case: Callable[..., None], tmp_path: Path) -> Config:
    """Settings of the trial, whose scans lie in two folders."""
    for number, (place, count) in enumerate({"home": 8, "theirs": 4}.items()):
        for case in range(count):
            folder = tmp_path / place / f"{place}_{case}"
            write_kits_case(folder, 100 * number + case)
            drawn = nib.Nifti1Image.from_filename(folder / "segmentation.nii.gz")
            label = np.choose(np.asarray(drawn.dataobj), LABELS[place]).astype(np.uint8)
            nib.save(nib.Nifti1Image(label, drawn.affine), folder / "segmentation.nii.gz")
    folders = (
        *("acquire.source=folder", f"acquire.folder.path={tmp_path / 'home'}"),
        f"acquire.external={{path: {tmp_path / 'theirs'}, classes: {{5: kidney, 6: tumor}}}}",
    )
    return load(*SETTINGS, *folders)


def run_all(config: Config, root: Path) -> TrialRecord:
    """All stages but those that register a model."""
    run, pairs = SilentRun(), root / "pairs"
    acquire(config, run, raw=root / "raw")
    prepare(config, run, raw=root / "raw", pairs=pairs)
    train_gan(config, run, pairs=pairs, synthesizer=root / "painter")
    synthesize(config, run, pairs=pairs, synthesizer=root / "painter", painted=root / "painted")
    for arm in config.trial.arms:
        this, segmenter = config.model_copy(update={"arm": arm}), root / "segmenters" / str(arm)
        synthetic = root / "painted" if config.trial.painter(arm) else None
        train_segmenter(this, run, pairs=pairs, segmenter=segmenter, synthetic=synthetic)
        kept = {"raw": root / "raw", "predictions": root / "predictions" / str(arm)}
        evaluate(this, run, pairs=pairs, segmenter=segmenter, scores=root / "scores" / f"{arm}.json", **kept)
    report(config, run, pairs=pairs, scores=root / "scores", report=root / "report")
    return read_trial(root / "report" / "trial.json")


def test_a_trial_to_another_hospital_runs_from_its_files_to_its_headline(config: Config, tmp_path: Path) -> None:
    found = run_all(config, tmp_path / "trial")
    store = PairStore(tmp_path / "trial" / "pairs")
    assert found.external == tuple(store.patients("external")) == tuple(f"theirs_{case}" for case in range(4))
    assert "Dice of kidney_and_tumor on the external test set" in found.headline
    assert "over 4 external test patients, 1 cell" in found.headline
    asked = {(row.measure.metric, row.measure.where): row.patients for row in found.questions if row.measure}
    assert asked == {("dice", "home"): 2, ("recall", "external"): 4}
    # home knows no tumor, so nobody there has a recall of it
    scores = read_scores(tmp_path / "trial" / "scores" / f"{config.trial.arms[0]}.json")
    assert {one.recall["tumor"] for one in scores.patients} == {None}
    assert None not in {one.recall["tumor"] for one in scores.external}
    # on their own voxels, too, each patient's kidney is that of the own label map, by the other hospital's numbers
    label = np.asarray(nib.nifti1.load(tmp_path / "theirs" / "theirs_0" / "segmentation.nii.gz").dataobj)
    own = scores.external[0].native["kidney_and_tumor"]
    assert own.truth_volume == pytest.approx(np.count_nonzero(label) * 5 * 0.8 * 0.8 / 1000)
    kept = tmp_path / "trial" / "predictions" / str(config.trial.arms[0])
    assert {path.parent.name for path in kept.glob("*/segmentation.nii.gz")} == {
        *store.patients("test"),
        *store.patients("external"),
    }
    external = found.arms[0].external
    assert external
    assert external.native
    assert external.native["kidney_and_tumor"].scored == 4
    # what was painted holds tumors, at home's kidneys alone
    painted = PairStore(tmp_path / "trial" / "painted")
    assert any((painted.label(patient) == 2).any() for patient in painted.patients())
    known = [painted.patient(patient).provenance for patient in painted.patients()]
    assert {one.source_patient for one in known if one} <= {*store.patients("train")}
    (look,) = read_looks(tmp_path / "trial" / "looks.json") or []
    assert look.patients
    assert look.external
    assert not {*look.patients} & {*look.external}
