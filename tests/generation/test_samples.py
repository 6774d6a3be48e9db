"""Sample sheets show the same label maps every time, of training patients alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer

from nephrite.config import Config
from nephrite.generation.adversarial import AdversarialModule
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.samples import SHOWN, SampleSheets, choose_shown
from nephrite.recording import SilentRun
from nephrite.store.slices import PairStore, SliceRef
from nephrite.training.data import Pairs

Load = Callable[..., Config]


def module(config: Config, store: PairStore) -> AdversarialModule:
    slices = Pairs((store, store.slices("train")))
    return AdversarialModule(
        config.train_gan["pix2pix"], slices, conditioning=Conditioning((1, 2)), size=store.manifest.size, seed=1
    )


def shown(store: PairStore) -> list[SliceRef]:
    return choose_shown(store, store.slices("train"), seed=1)


def test_shown_slices_are_labeled_distinct_and_of_training_patients(pairs: Path) -> None:
    store = PairStore(pairs)
    chosen = shown(store)
    assert len(set(chosen)) == SHOWN
    assert set(chosen) <= set(store.slices("train", labeled_only=True))
    assert chosen == shown(store) != choose_shown(store, store.slices("train"), seed=2)


def test_store_with_few_slices_shows_them_all(pairs: Path) -> None:
    index = pairs / "index.csv"
    index.write_text("\n".join(index.read_text().splitlines()[:4]))
    assert len(shown(PairStore(pairs))) == 3


def test_store_without_labeled_slices_shows_others(pairs: Path) -> None:
    index = pairs / "index.csv"
    header, *rows = index.read_text().splitlines()
    index.write_text("\n".join([header, *(row for row in rows if row.endswith(",0,0"))]))
    assert {ref.position for ref in shown(PairStore(pairs))} == {5}


def test_sample_joins_label_and_real_slice_with_what_the_generator_paints(
    load: Load, pairs: Path, tmp_path: Path
) -> None:
    store = PairStore(pairs)
    sheets = SampleSheets(store, store.slices("train"), tmp_path, SilentRun(), every=1, seed=1)
    synthesizer = module(load(), store).synthesizer
    first, again = (sheets.paint(synthesizer) for _ in range(2))
    ref = sheets.shown[3]
    assert np.array_equal(first[3].label, store.label(ref.patient)[ref.position])
    assert np.array_equal(first[3].real, store.windowed(ref))
    assert all(np.array_equal(one.fake, other.fake) for one, other in zip(first, again, strict=True))


def test_sheet_comes_every_few_epochs_and_at_the_end(load: Load, pairs: Path, tmp_path: Path) -> None:
    store, trainer = PairStore(pairs), Trainer(max_epochs=5, accelerator="cpu", logger=False)
    sheets, painting = (
        SampleSheets(store, store.slices("train"), tmp_path, SilentRun(), every=2, seed=1),
        module(load(), store),
    )
    for epoch in range(5):
        trainer.fit_loop.epoch_progress.current.completed = epoch
        sheets.on_train_epoch_end(trainer, painting)
    assert sorted(path.stem for path in (tmp_path / "samples").iterdir()) == ["epoch_0002", "epoch_0004", "epoch_0005"]
