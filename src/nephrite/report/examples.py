"""Examples of synthetic slices for the report: label map, the slice painted from it, and the real slice."""

from __future__ import annotations

from pathlib import Path

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.report.figures import Triplet, example_sheet
from nephrite.report.notes import synthetic_stores
from nephrite.report.web.alternatives import EXAMPLES
from nephrite.store.slices import PairStore, Provenance, SliceRef


def draw_examples(config: Config, pairs: Path, synthetic: Path, folder: Path) -> dict[str, str]:
    """Draw figures/examples.png in a report's folder, unless there is no slice; returns what it shows, and its path."""
    stores = map(PairStore, synthetic_stores(config, synthetic))
    real, painted = PairStore(pairs), next((store for store in stores if store.patients()), None)
    if painted is None:
        return {}
    labels = config.evaluate.regions[config.trial.primary].labels
    names = [name for value, name in painted.manifest.classes.items() if value in labels]
    triplets = [_triplet(real, painted, ref) for ref in _examples(painted, names, config.report.examples)]
    example_sheet(triplets, painted.manifest.classes, folder / "figures" / "examples.png")
    return {EXAMPLES: "figures/examples.png"}


def _examples(store: PairStore, names: list[str], count: int) -> list[SliceRef]:
    """The slice with most of the primary region of each patient, then evenly over the patients by that area."""
    largest: dict[str, tuple[int, SliceRef]] = {}
    for row in store.index:
        area = sum(row[name] for name in names)
        if area > largest.get(row["patient"], (-1,))[0]:
            largest[row["patient"]] = (area, SliceRef(row["patient"], row["slice"]))
    ranked = [ref for _, ref in sorted(largest.values(), reverse=True)]
    step = max(1, len(ranked) // count)
    return ranked[::step][:count]


def _triplet(real: PairStore, painted: PairStore, ref: SliceRef) -> Triplet:
    provenance = painted.patient(ref.patient).provenance
    if provenance is None:
        raise StoreError(painted.root, f"'{ref.patient}' has no provenance", "run 'synthesize' again")
    source = _source(real, provenance, ref.position)
    return painted.label(ref.patient)[ref.position], painted.windowed(ref), real.windowed(source)


def _source(real: PairStore, provenance: Provenance, position: int) -> SliceRef:
    """The real slice that a slice was made of; the fullest training slice for one that another program made."""
    if provenance.source_patient is not None:
        return SliceRef(provenance.source_patient, provenance.source_slices[position])
    names = real.manifest.classes.values()
    fullest = max((row for row in real.index if row["split"] == "train"), key=lambda row: sum(row[n] for n in names))
    return SliceRef(fullest["patient"], fullest["slice"])
