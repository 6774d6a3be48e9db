"""The records of a pair store as they lie in it: meta.json of a patient, split.json, and the manifest store.json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from nephrite.config import SPLITS, ClassName, Name
from nephrite.record_fields import (
    STRICT,
    Count,
    CubicMillimeters,
    Files,
    Inputs,
    LabelValue,
    LabelValues,
    Line,
    Millimeters,
    Number,
    PatientId,
    Sha256,
    distinct_ends,
)

UNLABELED = "unlabeled"  # the split of patients whose scans came without label maps
LESION_FREE = "lesion_free"  # the split of patients whose scans are free of lesions, but for what is ignored
EXTERNAL = "external"  # the split of patients of another hospital, who are only ever tested on
PLACES = (*SPLITS, UNLABELED, LESION_FREE, EXTERNAL)
BROUGHT = "synthetic"  # folder of sets that other programs made: in raw data, and in the store of real slices
FORMER_UNLABELED = "unlabelled"  # the folder's name in raw data of earlier versions, which is read as well
LARGEST = 4096  # pixels per side
Seed = Annotated[int, Field(ge=0, lt=2**64)]


def _known_split(name: str) -> str:
    if name not in PLACES:
        raise ValueError(f"is none of the splits {', '.join(PLACES)}")
    return name


SplitName = Annotated[str, AfterValidator(_known_split)]


@dataclass(frozen=True)
class ChannelScale:
    """What stored values of one channel mean.

    Attributes:
        window: the two ends of the intensity window, in stored units.
        slope, intercept: intensity = stored * slope + intercept.
    """

    __pydantic_config__ = STRICT

    window: Annotated[tuple[Number, Number], AfterValidator(distinct_ends)]
    slope: Number
    intercept: Number


@dataclass(frozen=True)
class Patient:
    """One patient of a store.

    Attributes:
        patient: id; of a synthetic patient as `synthetic_names` makes it.
        spacing: millimeters per slice, row and column, as stored.
        orientation: axis codes, e.g. 'IPL': slices downwards, rows to the back, columns to the left.
        window: the two ends of the intensity window, in stored units.
        slope, intercept: intensity = stored * slope + intercept.
        sources: SHA-256 of the files that it was made from.
        volumes: class name to mm3 in the scan's own voxels and on the grid, of the classes that the patient has.
        version: of the software that wrote it.
        provenance: of synthetic slices only.
        further: scales of further channels, of scans that have several; that of the first stands above.
    """

    __pydantic_config__ = STRICT

    patient: PatientId
    spacing: tuple[Millimeters, Millimeters, Millimeters]
    orientation: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    window: Annotated[tuple[Number, Number], AfterValidator(distinct_ends)]
    slope: Number = 1.0
    intercept: Number = 0.0
    sources: dict[Line, Line] = field(default_factory=dict)
    version: Line = ""
    provenance: Provenance | None = None
    volumes: dict[ClassName, tuple[CubicMillimeters, CubicMillimeters]] = field(default_factory=dict)
    further: tuple[ChannelScale, ...] = ()

    @property
    def scales(self) -> tuple[ChannelScale, ...]:
        """What stored values of each channel mean."""
        return (ChannelScale(self.window, self.slope, self.intercept), *self.further)


@dataclass(frozen=True)
class Provenance:
    """Where synthetic slices come from.

    Attributes:
        source_patient: the patient whose masks were painted, or whose scan lesions were put into; None where another
            program made the slices, and they are nobody's.
        source_slices: for each synthetic slice, the slice of the source patient.
        deformation_seeds: for each synthetic slice, the seed of the mask's deformation and edits; None = as it was.
        synthesizer: id of the synthesizer.
        training_patients: the patients whose labels the synthesizer was trained on, or new masks were fitted to.
        unlabeled_patients: the patients of whom it, or the slice, knows the scan without labels.
        source_labels: False where the source's own labels were not read: the masks hold nothing but new lesions, so a
            lesion that the scan has itself is labeled as background.
        lesion_free: whether the source is a scan that is free of lesions: of its labels, organs were read and what is
            ignored, no lesion.
        style_patient: whose contrast the slices take over; None = the source's own, or one drawn at random.
        style_slices: for each synthetic slice, that patient's slice.
        settings: digest of the settings that the masks were made with.
        brought: name of the set of 'acquire.synthetic' that the slices are of; '' for slices that were painted here.
        unverifiable: whether nobody can tell whose scans or label maps they derive from.
    """

    __pydantic_config__ = STRICT

    source_patient: PatientId | None
    source_slices: tuple[Count, ...]
    deformation_seeds: tuple[Seed | None, ...]
    synthesizer: Line
    training_patients: tuple[PatientId, ...]
    unlabeled_patients: tuple[PatientId, ...] = ()
    source_labels: bool = True
    lesion_free: bool = False
    style_patient: PatientId | None = None
    style_slices: tuple[Count, ...] = ()
    settings: Line = ""
    brought: Line = ""
    unverifiable: bool = False

    @property
    def patients(self) -> set[str]:
        """Every real patient from whose labels these slices derive; a style derives from a scan, not from labels."""
        unread = not self.source_labels and self.source_patient in self.unlabeled_patients
        own = set() if unread or self.source_patient is None else {self.source_patient}
        return {*self.training_patients} | own

    def take(self, positions: Iterable[int]) -> Provenance:
        """The provenance of some of the slices."""
        chosen = list(positions)
        return replace(
            self,
            source_slices=tuple(self.source_slices[place] for place in chosen),
            deformation_seeds=tuple(self.deformation_seeds[place] for place in chosen),
            style_slices=tuple(self.style_slices[place] for place in chosen) if self.style_slices else (),
        )


@dataclass(frozen=True)
class Splits:
    """split.json: which split each patient is in, and the settings by which it was drawn.

    Attributes:
        patients: id of a scan, mostly the only one of its patient, to its split.
        persons: id to who was scanned, where a table says so; see `nephrite.store.persons`.
    """

    __pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)  # the settings are for readers

    patients: dict[PatientId, SplitName]
    persons: dict[PatientId, PatientId] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Facts about a whole store.

    Attributes:
        kind: 'real' or 'synthetic'.
        classes: label value to name.
        channels: channel name to label values, in the order of the segmenter's outputs.
        size: pixels per side.
        digest: of all else, the files' digests among it: equal data and settings, equal digest.
        version: of the software that wrote it.
        files, inputs: see `nephrite.evidence`; none in a store that an older version wrote.
        image_channels: names of the channels of scans that have several; else none.
    """

    __pydantic_config__ = STRICT

    kind: Literal["real", "synthetic"]
    classes: Annotated[dict[LabelValue, ClassName], Field(min_length=1)]
    channels: Annotated[dict[Name, LabelValues], Field(min_length=1)]
    size: Annotated[int, Field(ge=1, le=LARGEST)]
    digest: Sha256
    version: Line
    format: Literal[1] = 1
    files: Files = field(default_factory=dict)
    inputs: Inputs = field(default_factory=dict)
    image_channels: tuple[Line, ...] = ()

    @property
    def remedy(self) -> str:
        """Which stage writes the store again."""
        if self.kind == "real":
            return "run 'prepare' again"
        return "run 'screen' again" if "painted" in self.inputs else "run 'synthesize' again"


def written(record: Patient | Manifest) -> dict[str, Any]:
    """A record as it is written: of scans with one channel, as before there could be several."""
    return {key: value for key, value in asdict(record).items() if value or key not in ("further", "image_channels")}
