"""What a kind that changes real slices is asked for: slices of labeled patients, and lesion-free scans.

Unlike `requests`, which asks a generator to paint masks, this finishes image and label map at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.generation.conditioning import Conditioning, Request
from nephrite.generation.kind import ComposingKind
from nephrite.generation.requests import PATIENCE, Asked, take_slices
from nephrite.generation.source_slices import RUN, Pass, Share, choose_passes, count_slices, scan_runs
from nephrite.generation.synthesizers import Synthesizer
from nephrite.imaging.sheet import Sample
from nephrite.seeds import derive_seed
from nephrite.store.lesion_free import LesionFree, read_lesion_free
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.split import training_subset
from nephrite.synthesis.lesions import Run

SHOWN = 8  # slices of the sheet that shows what is painted


@dataclass(frozen=True)
class Composer:
    """Asks for whole synthetic patients, and has them made.

    Attributes:
        store: of real slices.
        kind: that makes them.
        conditioning: of the synthesizer.
        lesions: lesion class to organ.
        seed: for all random draws.
    """

    store: PairStore
    kind: ComposingKind[Any]
    conditioning: Conditioning
    lesions: Mapping[int, int | None]
    seed: int

    def of_masks(self, source: Pass) -> Asked:
        """Slices of a patient whose labels are known."""
        return self._compose(source, np.array(self.store.label(source.source)[list(source.positions)]))

    def of_lesion_free(self, free: LesionFree, wanted: int) -> Iterator[Asked]:
        """So many slices of lesion-free scans with a lesion in each.

        Raises:
            ConfigError: no lesion fits.
        """
        missing, failures = wanted, 0
        if not wanted:
            return
        for source in scan_runs(self.store, list(free.labels), seed=derive_seed(self.seed, "lesion-free")):
            made = self._compose(source, free.labels[source.source][list(source.positions)])
            # slices that got no lesion are left out
            held = np.isin(made.request.label, list(self.lesions)).any((1, 2))
            chosen = np.flatnonzero(held)[:missing]
            failures = 0 if len(chosen) else failures + 1
            if failures == PATIENCE:
                finding = f"found no room for a lesion in {PATIENCE} runs of slices of {len(free.labels)} scans"
                raise ConfigError("synthesize", finding, "give the painter smaller lesions, or another 'host'")
            if len(chosen):
                yield replace(take_slices(made, chosen), labeled=False, lesion_free=True)
                missing -= len(chosen)
            if not missing:
                return

    def _compose(self, source: Pass, label: UInt8[np.ndarray, "slice h w"]) -> Asked:
        image = self.store.windowed_of(SliceRef(source.source, position) for position in source.positions)
        patient, seed = self.store.patient(source.source), derive_seed(self.seed, "compose", *source[:2])
        low, high = (end * patient.slope + patient.intercept for end in patient.window)
        run = Run(label, np.array(source.positions), patient.spacing, self.lesions, (low, high))
        made = self.kind.compose(image, run, self.store.manifest.classes, seed)
        tissue = self.conditioning.tissue(torch.from_numpy(made.image)[:, None])
        request = Request(made.label, None if tissue is None else tissue.numpy(), made.image)
        return Asked(source, request, seed, made.edits)


def ask_composer(
    config: Config, store: PairStore, synthesizer: Synthesizer, labeled: Sequence[str], seed: int
) -> tuple[Iterator[Asked], int]:
    """What a composing kind is asked for, and roughly how many synthetic patients that makes.

    'synthesize.ratio' is a multiple of the slices of these labeled patients; without any, of the slices that patients
    have at the smallest label fraction, whose labels are not read.

    Args:
        config: settings with a painter.
        store: of real slices.
        synthesizer: whose kind composes.
        labeled: training patients whose labels are known.
        seed: for all random draws.

    Raises:
        ConfigError: there are no lesion-free scans where it wants some; or no slice is left to paint.
    """
    trial, cell = config.trial, config.this_painter.cell
    least = min(trial.label_fractions)
    counted = labeled or training_subset(store.persons("train"), least, cell=cell, trial=trial)
    free_share = synthesizer.kind.settings.lesion_free_share
    share = count_slices(store, counted, config.synthesize.ratio, free_share)
    labeled_only = config.synthesize.labeled_only
    return _jobs(config, store, synthesizer, labeled, share, labeled_only=labeled_only, seed=seed)


def composed_samples(
    config: Config, store: PairStore, synthesizer: Synthesizer, labeled: Sequence[str]
) -> list[Sample]:
    """Some slices as the painter of the settings makes them, with the real ones, to check it by eye."""
    free = round(SHOWN * synthesizer.kind.settings.lesion_free_share)
    share, labeled_only = Share(SHOWN - free, free), bool(store.slices_of(labeled, labeled_only=True))
    jobs, _ = _jobs(config, store, synthesizer, labeled, share, labeled_only=labeled_only, seed=0)
    found = []
    for asked in jobs:
        slices = [SliceRef(asked.source.source, position) for position in asked.source.positions]
        assert asked.request.background is not None
        pairs = zip(asked.request.label, asked.request.background, store.windowed_of(slices), strict=True)
        found += [Sample(label, made, real) for label, made, real in pairs]
    return found


def _jobs(
    config: Config,
    store: PairStore,
    synthesizer: Synthesizer,
    labeled: Sequence[str],
    share: Share,
    *,
    labeled_only: bool,
    seed: int,
) -> tuple[Iterator[Asked], int]:
    assert isinstance(synthesizer.kind, ComposingKind)
    lesions = config.prepare.lesion_values
    composer = Composer(store, synthesizer.kind, synthesizer.conditioning, lesions, seed)
    passes = []
    if share.masks:
        passes = choose_passes(store, labeled, share.masks, labeled_only=labeled_only, seed=seed)
    jobs = map(composer.of_masks, passes)
    if not share.scans:
        return jobs, len(passes)
    # requests on lesion-free scans, made when they are asked for
    asker = f"painter {config.this_painter}"
    free = read_lesion_free(store, labeled, lesions, config.prepare.lesion_free, asker=asker)
    shown = sum(map(len, free.labels.values())) / len(free.labels)
    return chain(jobs, composer.of_lesion_free(free, share.scans)), len(passes) + round(share.scans / min(shown, RUN))
