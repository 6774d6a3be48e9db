"""How far starts of one training lie apart: validation Dice of several initializations and orders of slices.

    python benchmarks/starts.py --params configs/lidc.yaml --pairs FOLDER --fraction 0.15 --starts 5 --set KEY=VALUE

FOLDER is what `nephrite prepare` wrote. All starts have the same training patients; test patients are not read.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from nephrite.config import Config, load_config
from nephrite.recording import SilentRun
from nephrite.seeds import derive_seed
from nephrite.segmentation.backend import backend_of
from nephrite.segmentation.fit_task import Cohort, FitTask
from nephrite.store.slices import PairStore
from nephrite.store.split import training_subset


def fit_start(config: Config, store: PairStore, patients: Sequence[str], start: int) -> list[float]:
    """Validation Dice after each epoch of one start."""
    settings = config.train_segmenter
    with tempfile.TemporaryDirectory() as folder:
        task = FitTask(
            training=Cohort(store, patients),
            validation=Cohort(store, store.patients("validation")),
            channels=store.manifest.channels,
            region=config.evaluate.regions[config.trial.primary].labels,
            threshold=config.evaluate.threshold,
            augmentation="standard",
            settings=settings,
            compute=config.compute,
            weights_seed=derive_seed("weights", start),
            order_seed=derive_seed("order", start),
            folder=Path(folder),
            run=SilentRun(),
            text=f"start {start}",
        )
        trained = backend_of(settings.segmenters[config.trial.segmenters[0]]).fit(task)
    return [row["validation_dice"] for row in trained.history]


def main() -> None:
    """Print each start's course, then mean and spread of the last and of the best weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    config, store = load_config(given.params, given.set), PairStore(given.pairs)
    patients = training_subset(store.persons("train"), given.fraction, cell=0, trial=config.trial)
    print(f"{len(patients)} training patients, {len(store.patients('validation'))} of validation")
    last, best = [], []
    for start in range(given.starts):
        began = time.monotonic()
        course = fit_start(config, store, patients, start)
        last.append(course[-1])
        best.append(max(course))
        shown = " ".join(f"{value:.3f}" for value in course)
        print(f"start {start}: {shown} ({time.monotonic() - began:.0f} s)", flush=True)
    for name, values in (("last", last), ("best", best)):
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        reach = max(values) - min(values)
        print(f"{name} weights: mean {statistics.mean(values):.3f}, deviation {spread:.4f}, range {reach:.3f}")


if __name__ == "__main__":
    main()
