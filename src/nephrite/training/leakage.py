"""The leakage guard: no segmenter learns, directly or through a synthesizer, from patients outside its training set."""

from __future__ import annotations

from collections.abc import Iterable

from nephrite.errors import LeakageError, StoreError
from nephrite.store.persons import visible
from nephrite.store.slices import PairStore

SHOWN = 5


def check_synthetic(synthetic: PairStore, real: PairStore, labeled: Iterable[str]) -> str:
    """Refuse synthetic slices that do not fit the real ones, or derive from patients outside the arm's training set.

    Args:
        synthetic: the slices.
        real: the store that they are added to.
        labeled: the training patients whose labels the arm knows. Scans without labels may be those of any training
            patient, or of those that have none, or lesion-free ones; never a scan of someone of whom another scan is
            chosen by or judged on, nor of another hospital's patient.

    Returns:
        The id of the synthesizer.

    Raises:
        LeakageError: a slice, or its synthesizer, was derived from a patient outside the arm's training set.
        StoreError: not a synthetic store, without provenance, of several synthesizers, or of other classes or size.
    """
    check_fit(synthetic, real)
    # labels: of the arm's own patients; scans: of training or without labels
    allowed, synthesizers = set(labeled), set()
    scans = visible(real.splits, real.persons())
    for patient in synthetic.patients():
        provenance = synthetic.patient(patient).provenance
        if provenance is None:
            raise StoreError(synthetic.root, f"patient '{patient}' has no provenance", "run 'synthesize' again")
        # every patient that a slice derives from must be allowed
        seen = {*provenance.unlabeled_patients, *filter(None, [provenance.style_patient])}
        unknown = (provenance.patients - allowed) | (seen - scans)
        if unknown:
            finding = f"synthetic slices know {_some(unknown)} outside the {len(allowed)} training patients of the arm"
            remedy = "train the synthesizer on this split and synthesize again"
            if provenance.brought:
                name = f"acquire.synthetic.{provenance.brought}"
                remedy = f"leave fakes that know them out of '{name}', or raise the label fraction"
            raise LeakageError(synthetic.root, finding, remedy)
        synthesizers.add(provenance.synthesizer)
    # one painter per arm
    if len(synthesizers) != 1:
        finding = f"holds slices of {len(synthesizers)} synthesizers, not of one"
        raise StoreError(synthetic.root, finding, "run 'synthesize' again")
    return synthesizers.pop()


def check_fit(synthetic: PairStore, real: PairStore) -> None:
    """Refuse a store that is not synthetic, or has other classes or another size than the real one.

    Raises:
        StoreError: names both values.
    """
    if synthetic.manifest.kind != "synthetic":
        finding = f"is a '{synthetic.manifest.kind}' store, not a 'synthetic' one"
        raise StoreError(synthetic.root, finding, "name the folder that 'synthesize' wrote")
    for name in ("classes", "size"):
        found, expected = getattr(synthetic.manifest, name), getattr(real.manifest, name)
        if found != expected:
            finding = f"has {name} {found}, but {real.root} has {expected}"
            raise StoreError(synthetic.root, finding, "run 'train_gan' and 'synthesize' again")


def check_unseen(store: PairStore, patients: Iterable[str], training_patients: Iterable[str], place: object) -> None:
    """Refuse to score a segmenter on scans of patients that it was trained on, be it by another scan of theirs.

    Args:
        store: that knows whose the scans are.
        patients: scans that are scored.
        training_patients: scans that it was trained on.
        place: of the segmenter.

    Raises:
        LeakageError: names the scans.
    """
    persons = {store.person(patient) for patient in training_patients}
    seen = {patient for patient in patients if store.person(patient) in persons}
    if seen:
        finding = f"was trained on {_some(seen)}, which it would be scored on"
        raise LeakageError(str(place), finding, "run 'train_segmenter' again on this split")


def _some(patients: set[str]) -> str:
    shown = ", ".join(sorted(patients)[:SHOWN])
    more = f" and {len(patients) - SHOWN} more" if len(patients) > SHOWN else ""
    return f"{'patient' if len(patients) == 1 else 'patients'} {shown}{more}"
