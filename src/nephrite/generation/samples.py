"""Sheets of label map, synthetic and real slice while a synthesizer trains, to check a GAN by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from nephrite.generation.fitting import GenerationModule
from nephrite.generation.synthesizers import Synthesizer
from nephrite.imaging.sheet import Sample, write_sheet
from nephrite.recording import Run
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.data import derive_seed

FOLDER = "samples"
SHOWN = 8


class SampleSheets(Callback):
    """Paint the same label maps every few epochs and after the last, in a file and in the record of the run.

    Args:
        store: where the slices are.
        slices: what is trained on.
        folder: of the synthesizer; the sheets go to its folder 'samples'.
        run: is given each sheet.
        every: epochs between sheets.
        seed: chooses slices and noise.
    """

    def __init__(
        self, store: PairStore, slices: Sequence[SliceRef], folder: Path, run: Run, *, every: int, seed: int
    ) -> None:
        self.store, self.folder, self.run = store, folder / FOLDER, run
        self.every, self.seed = every, seed
        self.shown = choose_shown(store, slices, seed)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the sheet of this epoch, if it is its turn."""
        assert isinstance(pl_module, GenerationModule)
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and (epoch % self.every == 0 or epoch == trainer.max_epochs):
            self.write(pl_module.synthesizer, f"epoch_{epoch:04d}.png")

    def write(self, synthesizer: Synthesizer, name: str) -> None:
        """Write one sheet."""
        write_sheet(self.folder / name, self.paint(synthesizer), across=2)
        self.run.artifact(self.folder / name, folder=FOLDER)

    def paint(self, synthesizer: Synthesizer) -> list[Sample]:
        """The samples as the synthesizer paints them now."""
        labels = self.store.labels_of(self.shown)
        reals = self.store.windowed_of(self.shown)
        seeds = [derive_seed(self.seed, "sample", number) for number in range(len(labels))]
        fakes = synthesizer.paint(synthesizer.conditioning.of_real(reals, labels), seeds)
        return [Sample(label, fake, real) for label, fake, real in zip(labels, fakes, reals, strict=True)]


def choose_shown(store: PairStore, slices: Sequence[SliceRef], seed: int) -> list[SliceRef]:
    """Some of the slices that have labels; any of them where none has."""
    labeled = set(store.slices(labeled_only=True))
    choice = [ref for ref in slices if ref in labeled] or list(slices)
    chosen = np.random.default_rng(seed).permutation(len(choice))[:SHOWN]
    return [choice[number] for number in sorted(chosen)]
