"""Whole patients for a kind that learns from them and paints their label maps as volumes; see `kind.VolumeKind`.

A synthetic patient takes some slices of its source. Its whole label map is painted, and those slices are cut out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from nephrite.generation.conditioning import Request
from nephrite.generation.kind import VolumeKind
from nephrite.generation.requests import Asked, Asker, take_slices
from nephrite.generation.source_slices import Pass
from nephrite.generation.synthesizers import MODEL
from nephrite.imaging.sheet import Sample
from nephrite.programs.case_folders import Case, Mask, emptied
from nephrite.segmentation.backend import StoredScan
from nephrite.store.slices import PairStore
from nephrite.store.synthetic_names import synthetic_name
from nephrite.store.thinning import thin

SHOWN = 8  # slices of the sheet that shows what is painted


def fit_whole(
    kind: VolumeKind[Any], store: PairStore, labeled: Sequence[str], folder: Path, *, seed: int
) -> list[Sample]:
    """Let a kind learn from patients, and paint the one of them whose label map holds most.

    Args:
        kind: of the synthesizer.
        store: of real slices.
        labeled: training patients whose labels are known.
        folder: of the synthesizer; what is learned becomes its folder 'model'.
        seed: of all draws.

    Returns:
        Slices that it painted, beside the real ones.

    Raises:
        ProgramError: a program failed.
    """
    model, classes = emptied(folder / MODEL), store.manifest.classes
    cases = (Case(patient, StoredScan(store, patient), np.asarray(store.label(patient))) for patient in labeled)
    kind.fit(cases, classes, model, seed)
    # one patient as a sample: what cannot be painted shows now
    shown = max(labeled, key=lambda patient: int(np.count_nonzero(store.label(patient))))
    mask = _mask(store, shown, shown, np.asarray(store.label(shown)))
    (painted,) = kind.paint_volumes(model, [mask], classes, seed)
    refs = store.slices_of([shown], labeled_only=True) or store.slices_of([shown])
    return [
        Sample(np.array(mask.label[ref.position]), painted[ref.position], store.windowed(ref))
        for ref in thin(refs, SHOWN)
    ]


def paint_whole(
    kind: VolumeKind[Any], synthesizer: Path, asker: Asker, passes: Sequence[Pass], *, seed: int
) -> Iterator[tuple[Asked, Float32[np.ndarray, "slice h w"]]]:
    """Paint label maps of whole patients, all with one start; gives the slices that each pass asks for.

    Args:
        kind: of the synthesizer.
        synthesizer: its folder.
        asker: makes label maps.
        passes: slices that become one synthetic patient each.
        seed: of all draws.

    Raises:
        ProgramError: a program failed, or left out or spoiled a patient.
    """
    asked: list[Asked] = []

    def masks() -> Iterator[Mask]:
        for source in passes:
            count = len(asker.store.image(source.source))
            whole = asker.of_masks(source._replace(positions=tuple(range(count))))
            cut = take_slices(whole, np.array(source.positions))
            asked.append(replace(cut, request=Request(cut.request.label)))  # the rest would fill the memory
            yield _mask(asker.store, synthetic_name(source.source, source.number), source.source, whole.request.label)

    painted = kind.paint_volumes(synthesizer / MODEL, masks(), asker.store.manifest.classes, seed)
    for number, volume in enumerate(painted):
        yield asked[number], volume[list(asked[number].source.positions)]


def _mask(store: PairStore, name: str, source: str, label: np.ndarray) -> Mask:
    scan = StoredScan(store, source)
    return Mask(name, label, scan.spacing, scan.intensity_window)
