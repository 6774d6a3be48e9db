"""Sheets of label map, synthetic and real slice while a synthesizer trains: seeing is the first test of a GAN."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from nephrite.imaging.sheet import Sample, write_sheet
from nephrite.imaging.slices import PairStore, SliceRef
from nephrite.models.generators import Generator
from nephrite.recording import Run
from nephrite.training.data import derive_seed
from nephrite.training.gan import Pix2Pix
from nephrite.training.synthesizers import paint_slices

FOLDER = "samples"
SHOWN = 8


class SampleSheets(Callback):
    """Paint the same label maps every few epochs and after the last, in a file and in the record of the run.

    Args:
        store: where the slices are.
        folder: of the synthesizer; the sheets go to its folder 'samples'.
        run: is given each sheet.
        every: epochs between sheets.
        seed: chooses slices and noise.
    """

    def __init__(self, store: PairStore, folder: Path, run: Run, *, every: int, seed: int) -> None:
        self.store, self.folder, self.run = store, folder / FOLDER, run
        self.every, self.seed = every, seed
        self.shown = choose_shown(store, seed)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the sheet of this epoch, if it is its turn."""
        assert isinstance(pl_module, Pix2Pix)
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and (epoch % self.every == 0 or epoch == trainer.max_epochs):
            path = self.folder / f"epoch_{epoch:04d}.png"
            write_sheet(path, self.paint(pl_module.painter, pl_module.classes), across=2)
            self.run.artifact(path, folder=FOLDER)

    def paint(self, generator: Generator, classes: Sequence[int]) -> list[Sample]:
        """The samples as the generator paints them now."""
        labels = [np.array(self.store.label(ref.patient)[ref.position]) for ref in self.shown]
        seeds = [derive_seed(self.seed, "sample", number) for number in range(len(labels))]
        fakes = paint_slices(generator, np.stack(labels), classes, seeds=seeds)
        return [
            Sample(label, fake, self.store.windowed(ref))
            for label, fake, ref in zip(labels, fakes, self.shown, strict=True)
        ]


def choose_shown(store: PairStore, seed: int) -> list[SliceRef]:
    """Some labelled training slices; any training slices where none is labelled."""
    slices = store.slices("train", labelled_only=True) or store.slices("train")
    chosen = np.random.default_rng(seed).permutation(len(slices))[:SHOWN]
    return [slices[number] for number in sorted(chosen)]
