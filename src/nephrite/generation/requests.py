"""What a synthesizer is asked for: training patients' masks as they are or new, or lesions in scans without labels.

b  slices of one synthetic patient    h, w  height and width in pixels
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from nephrite.config import IGNORED, SynthesizeSettings, TissueSettings
from nephrite.errors import ConfigError
from nephrite.generation.conditioning import Conditioning, Request
from nephrite.generation.intensities import fit_tissue
from nephrite.generation.mask_ranges import mask_ranges, scan_ranges
from nephrite.generation.source_slices import Pass, scan_runs
from nephrite.seeds import derive_seed
from nephrite.store.class_presence import holders
from nephrite.store.slices import PairStore, SliceRef
from nephrite.store.thinning import thin
from nephrite.synthesis import masks
from nephrite.synthesis.edits import LesionEdit
from nephrite.synthesis.masks import MaskRanges, fit_hosts
from nephrite.training.pseudo_labels import believed, found_somewhere

AT_ONCE = 32  # slices whose tissue maps are made together
EXAMINED = 256  # slices with a lesion that are looked at for where lesions lie
PATIENCE = 50  # runs without room for a lesion, one after the other, until scans are taken to have none
PLACING = TissueSettings(kind="quantiles", classes=6, smoothing=1.0)  # for synthesizers that are shown labels alone


class Style(NamedTuple):
    """The slices whose contrast is taken over."""

    patient: str
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """One synthetic patient, to be painted.

    Attributes:
        source: patient, the number of the synthetic patient, and the slices.
        request: of the synthesizer.
        seed: that masks were drawn with; None for masks as they are.
        edits: of lesions.
        labeled: whether the source's own labels are in the masks.
        lesion_free: whether the source is a lesion-free scan.
        style: of another patient; None for the source's own, or one drawn at random.
    """

    source: Pass
    request: Request
    seed: int | None = None
    edits: tuple[LesionEdit, ...] = ()
    labeled: bool = True
    lesion_free: bool = False
    style: Style | None = None


@dataclass(frozen=True)
class Asker:
    """Makes requests.

    Attributes:
        store: of real slices.
        labeled: training patients whose labels are known.
        scans: patients of whom the scan alone may be seen.
        found: what a helper segmenter found in each of them; None if none was asked.
        conditioning: of the synthesizer.
        placing: makes the tissue map by which lesions without an organ find their place, the synthesizer's own if it is
            shown one; None without such lesions.
        hosts: lesion class without an organ to how often it lies in each of those tissues.
        lesions: lesion class to organ.
        settings: of the stage.
        styled: whether the synthesizer takes over a style.
        seed: for all random draws.
    """

    store: PairStore
    labeled: Sequence[str]
    scans: Sequence[str]
    found: Mapping[str, UInt8[np.ndarray, "slice h w"]] | None
    conditioning: Conditioning
    placing: Conditioning | None
    hosts: Mapping[int, Sequence[float]]
    lesions: Mapping[int, int | None]
    settings: SynthesizeSettings
    styled: bool
    seed: int

    def of_masks(self, source: Pass) -> Asked:
        """Masks of a patient whose labels are known."""
        image, label = self._read(source), self.store.label(source.source)[list(source.positions)]
        if self.settings.masks == "as_they_are":
            return self._styled(Asked(source, Request(label, _tissue(self.conditioning, image), background=image)))
        return self._styled(self._new(source, image, label, mask_ranges(self.settings)))

    def of_scans(self, wanted: int) -> Iterator[Asked]:
        """So many slices of scans with some class in each; labels that the store may have of them are never read.

        If a helper segmenter labeled the scans, only slices in which it found a class are taken; there must be some.

        Raises:
            ConfigError: no lesion fits.
        """
        if not wanted:
            return
        missing, failures, ranges = wanted, 0, scan_ranges(self.settings)
        # runs of neighboring slices of scans, in random order
        holding = self.scans if self.found is None else found_somewhere(self.found)
        for source in scan_runs(self.store, holding, seed=derive_seed(self.seed, "scans")):
            label = self._label(source)
            if self.found is not None and not believed(label).any():
                continue
            # new lesions; slices that got none are left out
            made = self._new(source, self._read(source), label, ranges)
            chosen = np.flatnonzero(made.request.label.any((1, 2)))[:missing]
            failures = 0 if len(chosen) else failures + 1
            # give up when lesions find no room again and again
            if failures == PATIENCE:
                finding = f"found no room for a lesion in {PATIENCE} runs of slices of {len(self.scans)} scans"
                remedy = "give 'synthesize.edits.sizes' smaller lesions, or take fewer away"
                raise ConfigError("synthesize.unlabeled", finding, remedy)
            if len(chosen):
                yield self._styled(replace(take_slices(made, chosen), labeled=False))
                missing -= len(chosen)
            if not missing:
                return

    def _label(self, source: Pass) -> UInt8[np.ndarray, "b h w"]:
        """What is known of a scan without labels: what a helper segmenter found, else that it holds nothing."""
        if self.found is not None:
            return self.found[source.source][list(source.positions)]
        return np.zeros((len(source.positions), *self.store.image(source.source).shape[1:]), dtype=np.uint8)

    def _read(self, source: Pass) -> Float32[np.ndarray, "b h w"]:
        return _windowed(self.store, source.source, source.positions)

    def _new(
        self,
        source: Pass,
        image: Float32[np.ndarray, "b h w"],
        label: UInt8[np.ndarray, "b h w"],
        ranges: MaskRanges,
    ) -> Asked:
        """A sample of new masks: deformed and edited."""
        # draw the edits, then apply them to label map, tissue and image
        seed, spacing = derive_seed(self.seed, "mask", *source[:2]), self.store.patient(source.source).spacing
        drawn = masks.draw(source.positions, spacing, ranges=ranges, lesions=self.lesions, seed=seed)
        tissue = _tissue(self.placing or self.conditioning, image)
        new = masks.apply(
            drawn,
            torch.from_numpy(image)[:, None],
            torch.from_numpy(label),
            None if tissue is None else torch.from_numpy(tissue),
            hosts=self.hosts,
            unsure=IGNORED if self.found is not None else None,
        )
        request = Request(
            new.label.numpy(),
            None if new.tissue is None else new.tissue.numpy(),
            new.image[:, 0].numpy(),
            new.changed.numpy(),
        )
        return Asked(source, request, seed, new.edits)

    def _styled(self, asked: Asked) -> Asked:
        """The request with a style, if the synthesizer takes one and it is not drawn at random."""
        if not self.styled or self.settings.style == "drawn":
            return asked
        if self.settings.style == "own":
            return replace(asked, request=asked.request._replace(style=asked.request.background))
        style = self._other(asked.source)
        image = _windowed(self.store, style.patient, style.positions)
        return replace(asked, request=asked.request._replace(style=image), style=style)

    def _other(self, source: Pass) -> Style:
        """One other patient for the whole synthetic patient, and their slices at the same share of the height."""
        scans = self.scans if self.settings.unlabeled else ()
        others = [name for name in (*self.labeled, *scans) if name != source.source]
        patient = others[derive_seed(self.seed, "style", source.source, source.number) % len(others)]
        own, count = len(self.store.image(source.source)), len(self.store.image(patient))
        places = (round(place / max(own - 1, 1) * (count - 1)) for place in source.positions)
        return Style(patient, tuple(places))


def prepare_asker(
    store: PairStore,
    labeled: Sequence[str],
    scans: Sequence[str],
    *,
    found: Mapping[str, UInt8[np.ndarray, "slice h w"]] | None = None,
    conditioning: Conditioning,
    lesions: Mapping[int, int | None],
    settings: SynthesizeSettings,
    styled: bool,
    seed: int,
) -> Asker:
    """Find where lesions lie in the training patients, and refuse settings that cannot be met.

    Raises:
        ConfigError: a lesion class, or its organ, that no training patient has; scans without labels where there are
            none, or of classes that they may hold; a style of another patient where there is one patient only.
    """
    # checks: lesions, scans and styles that the settings want
    edited = settings.masks == "new" or settings.unlabeled > 0
    slices = {value: _slices_with(store, labeled, value) for value in lesions} if edited else {}
    if edited and (settings.edits.added > 0 or settings.unlabeled > 0):  # else there may be nothing to edit
        _check_lesions(store, labeled, lesions)
    if settings.unlabeled > 0:
        check_scans(store, scans, lesions, settings)
    if styled and settings.style == "other" and len(labeled) + len(scans) * (settings.unlabeled > 0) < 2:
        finding = f"is 'other', and there is no other patient than {labeled[0]}"
        raise ConfigError("synthesize.style", finding, "take 'own' or 'drawn'")
    # lesions without an organ are placed in tissue that holds labeled ones
    free = [value for value, held in slices.items() if lesions[value] is None and held]
    placing = _placing(store, labeled, conditioning) if free else None
    hosts = {value: _hosts(store, slices[value], value, placing) for value in free if placing}
    return Asker(store, labeled, scans, found, conditioning, placing, hosts, dict(lesions), settings, styled, seed)


def check_scans(
    store: PairStore, scans: Sequence[str], lesions: Mapping[int, int | None], settings: SynthesizeSettings
) -> None:
    """Refuse scans without labels where there are none, or where their label map would not be known.

    Raises:
        ConfigError: names the setting.
    """
    if not scans:
        finding = "is above 0, and there are no scans without labels"
        raise ConfigError("synthesize.unlabeled", finding, "name 'acquire.unlabeled', or take a label fraction below 1")
    if settings.labeler:
        return
    unknown = [name for value, name in store.manifest.classes.items() if lesions.get(value, value) is not None]
    if unknown:
        finding = f"is above 0, but a scan's own '{unknown[0]}' is not known: every class must be a lesion of any place"
        raise ConfigError("synthesize.unlabeled", finding, "set it to 0, or name a 'synthesize.labeler'")


def _slices_with(store: PairStore, patients: Sequence[str], value: int) -> list[SliceRef]:
    name, known = store.manifest.classes[value], set(patients)
    return [SliceRef(row["patient"], row["slice"]) for row in store.index if row["patient"] in known and row[name]]


def _check_lesions(store: PairStore, labeled: Sequence[str], lesions: Mapping[int, int | None]) -> None:
    for value in itertools.chain.from_iterable(lesions.items()):
        if value is not None and not holders(store, labeled, [value]):
            named = f"'{store.manifest.classes[value]}'"
            finding = f"names {named}, which none of the {len(labeled)} training patients has"
            raise ConfigError("prepare.lesions", finding, "take it out, or take a larger label fraction")


def _placing(store: PairStore, labeled: Sequence[str], conditioning: Conditioning) -> Conditioning:
    """The synthesizer's own tissue classes; some of the training patients' if it is shown labels alone."""
    if conditioning.tissues:
        return conditioning
    edges = fit_tissue(store, store.slices_of(labeled), PLACING)
    return replace(conditioning, edges=edges, smoothing=PLACING.smoothing)


def _hosts(store: PairStore, slices: Sequence[SliceRef], value: int, placing: Conditioning) -> tuple[float, ...]:
    chosen = thin(slices, EXAMINED)
    tissue = _tissue(placing, store.windowed_of(chosen))
    assert tissue is not None
    label = store.labels_of(chosen)
    return fit_hosts(torch.from_numpy(label), torch.from_numpy(tissue), value, tissues=placing.tissues)


def _windowed(store: PairStore, patient: str, positions: Sequence[int]) -> Float32[np.ndarray, "b h w"]:
    return store.windowed_of(SliceRef(patient, position) for position in positions)


def _tissue(shown: Conditioning, image: Float32[np.ndarray, "b h w"]) -> UInt8[np.ndarray, "b h w"] | None:
    """Tissue maps, if there are any, some slices at a time: what lies between takes many times their memory."""
    if not shown.tissues:
        return None
    parts = [shown.tissue(part) for part in torch.split(torch.from_numpy(image)[:, None], AT_ONCE)]
    return torch.cat([part for part in parts if part is not None]).numpy()


def take_slices(asked: Asked, chosen: np.ndarray) -> Asked:
    """Some of the slices."""
    positions = tuple(asked.source.positions[place] for place in chosen)
    return replace(asked, source=asked.source._replace(positions=positions), request=asked.request.take(chosen))
