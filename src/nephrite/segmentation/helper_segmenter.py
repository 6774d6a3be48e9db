"""Helper segmenters, which label slices for other stages: trained only on real slices of a painter's own patients.

A painter is a synthesizer of one label fraction and cell. `screen` uses a helper to see whether painted slices show
what was asked for, `synthesize` to label scans without labels.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from nephrite.config import IGNORED, Config
from nephrite.recording import SilentRun
from nephrite.seeds import derive_seed
from nephrite.segmentation.backend import StoredScan, Trained, backend_of
from nephrite.segmentation.fit_task import Cohort, FitTask
from nephrite.store.lesion_free import read_lesion_free, shows_lesion_free
from nephrite.store.slices import PairStore
from nephrite.training.pseudo_labels import PseudoLabels, sure_labels

logger = logging.getLogger(__name__)
EPOCHS = 4  # epochs to choose the weights from
CHOOSING = 128  # training slices that choose the weights
SMALLEST = 4  # pixels of a slice; fewer are no finding


def fit_helper(
    config: Config, store: PairStore, patients: Sequence[str], folder: Path, *, segmenter: str, steps: int, seed: int
) -> Trained:
    """Train a segmenter on some real patients only, with the standard augmentation.

    Its learning rate, batch size and loss are those of the arms. Its weights are chosen on training slices too, so
    that validation patients stay unseen: its figures are compared with theirs.

    Args:
        config: the settings.
        store: of real slices.
        patients: training patients whose labels are known.
        folder: of checkpoints; a training that was killed goes on from there.
        segmenter: a name under 'train_segmenter.segmenters'.
        steps: optimizer steps.
        seed: of weights and order.

    Returns:
        Ready to predict, 'evaluate.batch_size' slices at a time.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
    """
    # a short training without early stopping
    epochs = min(EPOCHS, steps)
    pace = {"epochs": epochs, "steps_per_epoch": -(-steps // epochs), "early_stopping": None}
    backend = backend_of(config.train_segmenter.segmenters[segmenter])
    # on one device: it only has to tell the classes apart
    task = FitTask(
        training=Cohort(store, patients),
        validation=Cohort(store, patients, most=CHOOSING),
        channels=store.manifest.channels,
        region=config.evaluate.regions[config.trial.primary].labels,
        threshold=config.evaluate.threshold,
        augmentation="standard" if "augmentation" in backend.settings.intake else "none",
        settings=config.train_segmenter.model_copy(update=pace),
        compute=config.compute.model_copy(update={"devices": 1, "strategy": "auto", "loader_workers": 0}),
        weights_seed=derive_seed(seed, "weights"),
        order_seed=seed,
        folder=folder,
        run=SilentRun(),
        text=f"Reader of {config.this_painter}",
    )
    folder.mkdir(parents=True, exist_ok=True)
    return backend.ready(backend.fit(task), config.compute, batch_size=config.evaluate.batch_size)


def label_scans(
    teacher: Trained,
    store: PairStore,
    patients: Sequence[str],
    channels: Mapping[str, tuple[int, ...]],
    *,
    confidence: float,
) -> PseudoLabels:
    """Let a teacher label scans; where it is unsure of a structure, the pixel gets the ignore index.

    Args:
        teacher: ready to predict; without probabilities all of its label map counts as sure.
        store: where the scans are; its labels of them are not read.
        patients: whose scans.
        channels: output channel to label values.
        confidence: between 0.5 and 1; sure is an output of at least it, or of at most 1 minus it.
    """
    labels = {}
    predictions = teacher.backend.predict_all(teacher, [StoredScan(store, patient) for patient in patients])
    for patient, found in zip(patients, predictions, strict=True):
        outputs = found.probabilities
        labels[patient] = found.labels if outputs is None else sure_labels(outputs, channels, confidence)
    return PseudoLabels(store, labels)


def warn_of_lesions(
    config: Config, helper: Trained, store: PairStore, painted: PairStore, labeled: Collection[str]
) -> list[str]:
    """Warn of lesion-free scans in which a helper finds a lesion, outside of what is ignored; gives their patients.

    It is a hint and no proof: a segmenter of few patients finds much that is none. Without slices that were painted on
    such scans nothing is looked at.

    Args:
        config: the settings.
        helper: ready to predict.
        store: of real slices.
        painted: what was painted.
        labeled: training patients whose labels are known.
    """
    if not shows_lesion_free(painted):
        return []
    found, lesions = [], config.prepare.lesion_values
    free = read_lesion_free(store, labeled, lesions, config.prepare.lesion_free, asker=f"painter {config.this_painter}")
    for patient, label in free.labels.items():
        seen = helper.backend.predict(helper, StoredScan(store, patient)).labels
        counts = (np.isin(seen, list(lesions)) & (label != IGNORED)).sum((1, 2))
        if counts.max() >= SMALLEST:
            found.append(patient)
    if found:
        text = "%d of %d lesion-free scans hold lesions by the word of a segmenter of the painter's patients, e.g. %s: "
        logger.warning(text + "look at them, or leave them out", len(found), len(free.labels), found[0])
    return found
