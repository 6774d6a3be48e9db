"""Minutes to train each generator on 20 patients, and slices per second of new masks: drawn, painted and written.

Two processes of one thread, one cell each, as `nephrite trial` works on two cores.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from interleaved import Row, spread

from nephrite.config import load_config
from nephrite.phantom.phantom import write_patient
from nephrite.recording import SilentRun
from nephrite.stages.prepare import prepare
from nephrite.stages.synthesize import synthesize
from nephrite.stages.train_gan import train_gan

PARAMS = Path(__file__).resolve().parent.parent / "configs" / "curvas.yaml"
PATIENTS, TRAINING, SEED, SIZE, CELLS, EPOCHS = 25, 20, 19, 96, (0, 1), 4
MINUTES_TARGET, SLICES_TARGET = 3, 400
SETTINGS = (
    "prepare.classes={1: kidney, 2: tumor}",
    "prepare.channels={kidney: [1], tumor: [2]}",
    "prepare.lesions={tumor: kidney}",
    "prepare.intensity={kind: window, center: 0, width: 400}",
    f"prepare.in_plane={{kind: resample, spacing: 3.0, size: {SIZE}}}",
    f"prepare.split={{train: {TRAINING / PATIENTS}, validation: 0.08, test: 0.12, salt: h}}",
    f"train_gan.pix2pix.epochs={EPOCHS}",  # as many steps as five patients take in 80
    f"train_gan.spade.epochs={EPOCHS}",
    "synthesize.ratio=1.0",
    f"trial.cells=[{', '.join(map(str, CELLS))}]",
)


class Painted(NamedTuple):
    """What one process measured.

    Attributes:
        minutes: of the training.
        steps: of the training.
        slices: painted.
        rate: slices per second.
    """

    minutes: float
    steps: float
    slices: float
    rate: float


def compare(folder: Path) -> Iterator[Row]:
    """For each generator a line for its training and one for its slices."""
    for number in range(PATIENTS):
        write_patient(folder / "raw", SEED, number)
    config = load_config(PARAMS, SETTINGS)
    with contextlib.redirect_stderr(io.StringIO()):
        prepare(config, SilentRun(), raw=folder / "raw", pairs=folder / "pairs")
    for name in config.trial.synthesizers:
        with ProcessPoolExecutor(len(CELLS), mp_context=get_context("spawn")) as pool:
            cells = list(pool.map(paint, [folder] * len(CELLS), [f"{name}/1.0/{cell}" for cell in CELLS]))
        yield from rows(name, cells)


def paint(folder: Path, painter: str) -> Painted:
    """Train one generator and let it paint; in a process of its own."""
    config, model = load_config(PARAMS, (*SETTINGS, f"painter={painter}")), folder / painter / "model"
    pairs, painted = folder / "pairs", folder / painter / "painted"
    with contextlib.redirect_stderr(io.StringIO()):
        started = time.perf_counter()
        training = train_gan(config, SilentRun(), pairs=pairs, synthesizer=model)
        minutes = (time.perf_counter() - started) / 60
        found = synthesize(config, SilentRun(), pairs=pairs, synthesizer=model, painted=painted)
    return Painted(minutes, training["step"], found["slices"], found["slices_per_second"])


def rows(name: str, cells: Sequence[Painted]) -> Iterator[Row]:
    """The slower process's training, and what both paint together."""
    minutes, rate = max(cell.minutes for cell in cells), sum(cell.rate for cell in cells)
    yield Row(
        f"training of {name} on {TRAINING} patients ({SIZE} px)",
        f"at most {MINUTES_TARGET} min",
        f"{minutes:.1f} min",
        minutes <= MINUTES_TARGET,
        f"{cells[0].steps:.0f} steps of 8 slices in each of two processes; "
        f"{spread([cell.minutes for cell in cells])} min",
    )
    yield Row(
        f"synthesis by {name}: new masks drawn, painted, looked up among training masks, written ({SIZE} px)",
        f"at least {SLICES_TARGET} slices/s",
        f"{rate:.0f} slices/s",
        rate >= SLICES_TARGET,
        f"two processes together, {spread([cell.rate for cell in cells])} slices/s each; "
        f"{sum(cell.slices for cell in cells):.0f} slices",
    )
