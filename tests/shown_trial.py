"""A trial whose report shows slices, made without training: eight test patients, label maps of both arms, scores."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from nephrite.config import Arm, Config, load_config
from nephrite.files import write_json
from nephrite.imaging.masks import write_mask
from nephrite.layout import Layout
from nephrite.metrics.overlap import volume_dice
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.recording import SilentRun
from nephrite.stages.report import report
from nephrite.store.slices import PairStore, Patient
from tests.conftest import CAPSTONE, SMALL, SPLITS, finish, write_pair, write_synthetic

TESTED = tuple(f"c{number}" for number in range(8))
REGIONS = {"kidney_and_tumor": (1, 2), "tumor": (2,)}
SPACING = (4.0, 2.0, 2.0)
OVERRIDES = ("trial.segmenters=[light]", "trial.cells=[0, 1, 2]")
HISTORY = ({"step": 3, "train_loss": 0.9, "validation_loss": 0.9, "validation_dice": 0.4, "learning_rate": 0.1},)


def write_shown_trial(root: Path, *overrides: str) -> tuple[Layout, Config]:
    """Write stores, label maps, scores and the report below `root`."""
    layout, config = Layout(root), load_config(CAPSTONE, [*SMALL, *OVERRIDES, *overrides])
    splits = {name: split for name, split in SPLITS.items() if split != "test"} | dict.fromkeys(TESTED, "test")
    for number, patient in enumerate(splits):
        write_pair(layout.pairs, Patient(patient, SPACING, "IPL", (-200.0, 200.0), version="test"), number)
    store = finish(layout.pairs, "real", splits)
    for painter in config.trial.painters:
        write_synthetic(layout.synthetic(painter), source="a1", known=("a1", "a2", "a3"))
    for number, arm in enumerate(config.trial.arms):
        write_arm(layout, store, arm, number)
    report(config, SilentRun(), **stage_paths(layout))
    return layout, config


def stage_paths(layout: Layout) -> dict[str, Path]:
    """What the stage reads and writes."""
    read = {"pairs": layout.pairs, "synthetic": layout.synthetic_sets, "scores": layout.scores}
    return {**read, "predictions": layout.predictions, "report": layout.report}


def write_arm(layout: Layout, store: PairStore, arm: Arm, number: int) -> None:
    """Label maps that miss the truth by a few pixels, another few for each arm and patient, and their Dice."""
    scores, segmenter = [], f"{number:064x}"
    generator = np.random.default_rng(number)
    for place, patient in enumerate(TESTED):
        truth = np.asarray(store.label(patient))
        found = ndimage.shift(truth, (0, *generator.integers(0, 1 + place // 3, 2)), order=0)
        write_map(layout.prediction(arm) / patient / "segmentation.nii.gz", found)
        dice = {name: volume_dice(np.isin(found, values), np.isin(truth, values)) for name, values in REGIONS.items()}
        slices = SliceScores(6, 60.0, 58.0, {"kidney": 0.5, "tumor": None}, {"kidney": 4, "tumor": 0})
        regions = {name: RegionScore(value, value, 5.0, 2.0 + place, 2.0) for name, value in dice.items()}
        scores.append(PatientScore(patient, regions, slices))
    write_json(layout.prediction(arm) / "manifest.json", {"format": 1, "arm": str(arm), "segmenter": segmenter})
    inputs = {"pairs": store.manifest.digest, "segmenter": segmenter}
    kept = ArmScores(arm, tuple(scores), 0.4, 3, 1.0, 3, HISTORY, inputs)
    write_json(layout.score(arm), kept.to_json())


def write_map(path: Path, found: np.ndarray) -> None:
    """A label map on the grid of the store, as a scan of that grid would have it."""
    affine = np.array([[0, 0, -SPACING[2], 0], [0, -SPACING[1], 0, 0], [-SPACING[0], 0, 0, 0], [0, 0, 0, 1.0]])
    path.parent.mkdir(parents=True)
    write_mask(path, found.astype(np.uint8), nib.Nifti1Image(found.astype(np.uint8), affine).header)
