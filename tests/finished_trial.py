"""A finished trial on disk, made without training: stores, segmenters, a synthesizer, scores, report, decision."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from nephrite import evidence
from nephrite.config import Config, ResizeSettings, WindowSettings, load_config
from nephrite.evidence import sealed
from nephrite.files import read_json, write_json
from nephrite.generation.intensities import Intensity
from nephrite.generation.kinds.pix2pix import Pix2PixSettings
from nephrite.generation.synthesizers import SynthesizerCard, write_synthesizer
from nephrite.layout import Layout
from nephrite.metrics.scores import ArmScores
from nephrite.recording import SilentRun
from nephrite.segmentation.artifacts import WEIGHTS, SegmenterCard, load_segmenter, write_card
from nephrite.segmentation.in_process.unet import UNetBackend, UNetSettings
from nephrite.segmentation.scoring import score_patients
from nephrite.stages.report import report
from nephrite.store.slices import PairStore, Patient
from nephrite.training.weights import save_weights
from tests.conftest import CAPSTONE, CHANNELS, CLASSES, SIZE, SMALL, SPLITS, finish, write_pair, write_synthetic

SMALL_TRIAL = ("trial.segmenters=[light]", "trial.cells=[0]")
NETWORK = UNetSettings(kind="unet", base_width=4, depth=1, padding="same", normalization="batch")
CURVE = [{"step": 3.0, "train_loss": 0.9, "validation_loss": 0.9, "validation_dice": 0.4, "learning_rate": 0.1}]


def write_trial(root: Path) -> Layout:
    """Write the trial below `root`."""
    layout, config = Layout(root), load_config(CAPSTONE, [*SMALL, *SMALL_TRIAL])
    for number, patient in enumerate(SPLITS):
        write_pair(layout.pairs, Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), version="test"), number)
    store = finish(layout.pairs, "real", SPLITS)
    (painter,) = config.trial.painters
    write_painter(layout.synthesizer(painter), store)
    write_synthetic(layout.synthetic(painter), source="a1", known=("a1", "a2", "a3"))
    for arm in config.trial.arms:
        write_segmenter(layout.segmenter(arm), str(arm), store)
        write_scores(layout.score(arm), config.model_copy(update={"arm": arm}), layout, store)
    paths = {"pairs": layout.pairs, "synthetic": layout.synthetic_sets, "scores": layout.scores}
    report(config, SilentRun(), **paths, report=layout.report)
    write_json(layout.promotion, sealed(decision(root)))
    return layout


def write_painter(folder: Path, store: PairStore) -> None:
    """A generator with random weights."""
    method = Pix2PixSettings(kind="pix2pix", base_width=4, depth=3, upsampling="resize", dropout=0.5)
    card = SynthesizerCard(
        id="",
        method=method,
        condition="labels",
        tissue_edges=None,
        tissue_smoothing=1.0,
        classes=dict(CLASSES),
        lesions=(2,),
        intensities=(Intensity(0.2, 0.1, 0.0, 0.4), Intensity(0.6, 0.1, 0.4, 0.8), Intensity(None, None, None, None)),
        size=SIZE,
        training_patients=("a1", "a2", "a3"),
        pairs=store.manifest.digest,
        run_id=None,
        version="test",
        inputs={"pairs": store.manifest.digest},
    )
    folder.mkdir(parents=True)
    write_synthesizer(folder, card, card.build())


def write_segmenter(folder: Path, arm: str, store: PairStore) -> None:
    """A segmenter with random weights, the same for every arm."""
    torch.manual_seed(1)
    save_weights(folder / WEIGHTS, UNetBackend(NETWORK).build(2).state_dict())
    card = SegmenterCard(
        arm=arm,
        settings=NETWORK,
        classes=dict(CLASSES),
        channels=dict(CHANNELS),
        intensity=WindowSettings(kind="window", center=0, width=400),
        in_plane=ResizeSettings(kind="resize", size=SIZE),
        training_patients=("a1", "a2", "a3"),
        synthesizer=None,
        pairs=store.manifest.digest,
        validation_score=0.4,
        region="tumor",
        threshold=0.5,
        steps=3,
        seconds=1.0,
        run_id=None,
        version="test",
        inputs={"pairs": store.manifest.digest},
    )
    write_card(folder, card, CURVE)


def write_scores(path: Path, config: Config, layout: Layout, store: PairStore) -> None:
    """Scores as `evaluate` gives them."""
    trained = load_segmenter(layout.segmenter(config.this_arm))
    found = score_patients(config, store, trained)
    inputs = {"pairs": store.manifest.digest, "segmenter": trained.card.digest}
    write_json(path, ArmScores(config.this_arm, found, 0.4, 3, 1.0, 3, tuple(CURVE), inputs).to_json())


def decision(root: Path) -> dict[str, object]:
    """What `promote` keeps, as far as it is read again."""
    names = sorted(name for name, split in SPLITS.items() if split == "test")
    candidate = {"arm": "real/light/1.0/0", "weights": "0" * 64, "region": "tumor", "validation_score": 0.4}
    tables = {"dice": dict.fromkeys(names, 0.5), "truth_volumes": dict.fromkeys(names, 20.0), "run_id": None}
    report = read_json(root / "reports" / evidence.EVIDENCE)["digest"]
    found = {"candidate": {**candidate, **tables}, "inputs": {"report": report}}
    return {"format": 1, "version": 1, "decision": "champion", **found}


def let_clock_pass() -> None:
    """Wait until a further change of a file shows in its times."""
    time.sleep(evidence.SETTLED / 1e9 + 0.02)
