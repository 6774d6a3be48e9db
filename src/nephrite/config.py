"""params.yaml as frozen models: the whole truth of a run, validated whole before the first stage starts."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nephrite.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the first of {list(limits)} is above the second")
    return limits


LabelFraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Range = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(_rising)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
Remote = Annotated[str, Field(pattern=r"^(s3://[A-Za-z0-9._-]+(/.*)?|[^:]+)$")]  # no other scheme, no user:password@
VersionHash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]
SPLITS = ("train", "validation", "test")
REAL = "real"
AUGMENTATIONS = ("geometric", "standard")
RIVALS = ("copy_paste", "self_training")


class Settings(BaseModel):
    """A section of params.yaml: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, content: object) -> object:
        """YAML reads 'yes' as true, and pydantic true as 1."""
        for name, value in content.items() if isinstance(content, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields and cls.model_fields[name].annotation is not bool:
                raise ValueError(f"'{name}' is {str(value).lower()}, which is no value for it")
        return content


class Arm(Settings):
    """One training of the trial: what the segmenter sees, which segmenter, how many patients, which cell."""

    training_set: str = Field(description="Components joined by '+', 'real' first, e.g. 'real+synthetic+geometric'.")
    segmenter: Name = Field(description="A name under 'train_segmenter.segmenters'.")
    fraction: LabelFraction = Field(description="Share of the training patients that the arm knows the labels of.")
    cell: int = Field(ge=0, description="Number of the cell: subset and initialisation, shared by all arms.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 'real+geometric/light/1.0/0'."""
        parts = text.split("/")
        if len(parts) != 4 or not parts[3].isdigit():
            example = "real+geometric/light/1.0/0"
            raise ValueError(f"an arm is written 'TRAINING_SET/SEGMENTER/FRACTION/CELL', e.g. '{example}'")
        return cls.model_validate(dict(zip(("training_set", "segmenter", "fraction", "cell"), parts, strict=True)))

    def has(self, component: str) -> bool:
        """Whether the training set has a component, e.g. 'standard'."""
        return component in self.training_set.split("+")

    def __str__(self) -> str:
        return f"{self.training_set}/{self.segmenter}/{self.fraction}/{self.cell}"


class Painter(Settings):
    """One training of a synthesizer: which one, on how many patients, for which cell."""

    synthesizer: Name = Field(description="A name under 'train_gan'.")
    fraction: LabelFraction = Field(description="Share of the training patients whose labels it knows.")
    cell: int = Field(ge=0, description="Number of the cell whose arms use its slices.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 'pix2pix/1.0/0'."""
        parts = text.split("/")
        if len(parts) != 3 or not parts[2].isdigit():
            raise ValueError("a painter is written 'SYNTHESIZER/FRACTION/CELL', e.g. 'pix2pix/1.0/0'")
        return cls.model_validate(dict(zip(("synthesizer", "fraction", "cell"), parts, strict=True)))

    def __str__(self) -> str:
        return f"{self.synthesizer}/{self.fraction}/{self.cell}"


class Fakes(Settings):
    """A training set with synthetic slices: whose they are, and how they are used."""

    name: str = Field(description="Name of the set, e.g. 'real+synthetic+standard'; one part stands for the fakes.")
    synthesizer: Name = Field(description="A name under 'train_gan'.")
    way: Literal["append", "mix", "pretrain", "schedule"] = Field(
        description="'append' puts all accepted slices beside the real ones; 'mix' makes them a share of each batch; "
        "'pretrain' takes a share of the steps on them alone, then the rest on real slices; 'schedule' lets their "
        "share of a batch fall to zero."
    )
    share: float = Field(default=0.25, gt=0, lt=1, description="See 'way'; without effect on 'append'.")


class TrainingSets(Settings):
    """The training sets of the trial, in two lists, so that a new synthetic set retrains only the arms that see it."""

    real: tuple[str, ...] = Field(description="Names of sets without synthetic slices, components joined by '+'.")
    synthetic: tuple[Fakes, ...] = Field(description="Sets with synthetic slices.")

    @model_validator(mode="after")
    def _names_are_components(self) -> Self:
        for name in self.real:
            if _fakes_component(name) is not None:
                raise ValueError(f"'{name}' of the list 'real' has the component '{_fakes_component(name)}', {_RULE}")
        for fakes in self.synthetic:
            if _fakes_component(fakes.name) is None:
                raise ValueError(f"'{fakes.name}' of the list 'synthetic' has no component that stands for the fakes")
        if len(set(self.all)) != len(self.all):
            raise ValueError("a training set is named twice")
        return self

    @property
    def all(self) -> tuple[str, ...]:
        """Names of all training sets, those without synthetic slices first."""
        return self.real + tuple(fakes.name for fakes in self.synthetic)

    def fakes(self, name: str) -> Fakes | None:
        """What synthetic slices a training set has; None for a set without."""
        return next((fakes for fakes in self.synthetic if fakes.name == name), None)

    @property
    def rivals(self) -> tuple[str, ...]:
        """Sets without synthetic slices that get by other means what these are meant to give."""
        return tuple(name for name in self.real if {*RIVALS} & {*name.split("+")})

    @property
    def pairs(self) -> dict[str, str]:
        """Sets with synthetic slices whose counterpart without them is there too, and that counterpart."""
        counterparts = {fakes.name: self.without_fakes(fakes.name) for fakes in self.synthetic}
        return {name: without for name, without in counterparts.items() if without in self.real}

    def without_fakes(self, name: str) -> str:
        """The same training set without its synthetic slices."""
        component = _fakes_component(name) if self.fakes(name) else None
        return "+".join(part for part in name.split("+") if part != component)


_RULE = f"which is not among {', '.join((*AUGMENTATIONS, *RIVALS))}"


def _fakes_component(name: str) -> str | None:
    """The component of a training set that stands for its synthetic slices: the one that is no other's name."""
    first, *others = name.split("+")
    unknown = [part for part in others if part not in AUGMENTATIONS + RIVALS]
    if first != REAL or len({*others}) != len(others) or len(unknown) > 1 or "" in others:
        raise ValueError(
            f"'{name}' is not 'real', then any of {', '.join(AUGMENTATIONS + RIVALS)} and at most one name of fakes"
        )
    if set(AUGMENTATIONS) <= set(others):
        raise ValueError(f"'{name}' has both 'geometric' and 'standard', which includes it")
    return unknown[0] if unknown else None


class TrialSettings(Settings):
    """The experiment: arms = training sets x segmenters x label fractions x cells."""

    name: Name = Field(description="What the trial is called in MLflow and in the report.")
    seed: int = Field(ge=0, description="Seed of everything random that is not the cell's own initialisation.")
    primary: Name = Field(description="Region whose per-patient 3-D Dice decides; declared before any run.")
    reference: str = Field(description="Training set that all others are compared with.")
    question: tuple[str, str] | None = Field(
        default=None,
        description="The headline, declared before any run: [set with synthetic slices, set without]; null = the "
        "reference and the first set that differs from it by synthetic slices alone.",
    )
    training_sets: TrainingSets
    synthesizers: tuple[Name, ...] = Field(description="Names under 'train_gan' that the sets with fakes use.")
    segmenters: tuple[Name, ...] = Field(min_length=1, description="Names under 'train_segmenter.segmenters'.")
    label_fractions: tuple[LabelFraction, ...] = Field(
        min_length=1,
        description="Shares of the training patients, nested within a cell; synthesizers see the same share.",
    )
    cells: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="Subsets and initialisations; a verdict needs at least 3."
    )

    @model_validator(mode="after")
    def _arms_are_distinct(self) -> Self:
        if self.reference not in self.training_sets.all:
            raise ValueError(f"reference '{self.reference}' is not among the training sets {self.training_sets.all}")
        self._question_is_about_fakes()
        used = {fakes.synthesizer for fakes in self.training_sets.synthetic}
        if used != set(self.synthesizers):
            raise ValueError(f"'synthesizers' is {sorted(self.synthesizers)}; the training sets use {sorted(used)}")
        for name in ("cells", "segmenters", "label_fractions", "synthesizers"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"'{name}' names one twice")
        return self

    def _question_is_about_fakes(self) -> None:
        with_fakes, without = self.question or ("", "")
        if self.question and not (self.training_sets.fakes(with_fakes) and without in self.training_sets.real):
            raise ValueError(
                f"question {list(self.question)} is not a set of the list 'synthetic', then one of the list 'real'"
            )

    @property
    def arms(self) -> list[Arm]:
        """Every arm of the trial."""
        product = itertools.product(self.training_sets.all, self.segmenters, self.label_fractions, self.cells)
        return [Arm(training_set=name, segmenter=net, fraction=share, cell=cell) for name, net, share, cell in product]

    @property
    def painters(self) -> list[Painter]:
        """Every synthesizer that some arm needs, each trained for its fraction and cell."""
        product = itertools.product(self.synthesizers, self.label_fractions, self.cells)
        return [Painter(synthesizer=name, fraction=fraction, cell=cell) for name, fraction, cell in product]

    def painter(self, arm: Arm) -> Painter | None:
        """Whose slices an arm uses; None for an arm without synthetic slices."""
        fakes = self.training_sets.fakes(arm.training_set)
        return Painter(synthesizer=fakes.synthesizer, fraction=arm.fraction, cell=arm.cell) if fakes else None


class PhantomSettings(Settings):
    """The embedded abdomen."""

    patients: Positive = Field(description="Number of patients.")
    seed: int = Field(ge=0, description="Patient n of a seed is the same whatever the other patients are.")
    matrix: int = Field(ge=64, le=1024, description="In-plane size in pixels.")


class Kits19Settings(Settings):
    """The KiTS19 download (Heller et al. 2019; CC BY-NC-SA 4.0)."""

    first_case: int = Field(default=0, ge=0, le=209, description="Number of the first case to fetch.")
    last_case: int = Field(default=209, ge=0, le=209, description="Inclusive; cases 210 to 299 have no public labels.")
    revision: str = Field(description="Commit of the label repository.")
    images_url: str = Field(description="Where the images are; '{case:05d}' stands for the case number.")
    labels_url: str = Field(description="Where the labels are; '{revision}' and '{case:05d}' are filled in.")
    checksums: Path | None = Field(default=None, description="File in sha256sum's format to verify against.")


class FolderSettings(Settings):
    """A folder of one's own, in KiTS or MOAI layout."""

    path: Path | None = Field(default=None, description="Folder with one folder per case, or with DICOM/ and Label/.")


class DvcSettings(Settings):
    """A version of a folder on a DVC remote (docs/data-versions.md)."""

    remote: Remote | None = Field(default=None, description="'s3://BUCKET/PREFIX', or a folder that serves as remote.")
    version: VersionHash | None = Field(default=None, description="DVC's hash of the folder, ending in '.dir'.")


class AcquireSettings(Settings):
    """Where the raw volumes come from."""

    source: Literal["phantom", "kits19", "folder", "dvc"] = Field(
        description="The embedded abdomen, the KiTS19 download, a folder of one's own, or a version on a DVC remote."
    )
    workers: Positive = Field(description="Processes or downloads side by side.")
    phantom: PhantomSettings
    kits19: Kits19Settings
    folder: FolderSettings
    unlabelled: Path | None = Field(
        default=None,
        description="Folder of scans without label maps, of other patients, for synthesizers and self-training.",
    )
    dvc: DvcSettings = Field(default_factory=DvcSettings)

    @model_validator(mode="after")
    def _source_has_its_place(self) -> Self:
        if self.source == "folder" and self.folder.path is None:
            raise ValueError("source 'folder' needs 'acquire.folder.path'")
        if self.source == "dvc" and not (self.dvc.remote and self.dvc.version):
            raise ValueError("source 'dvc' needs 'acquire.dvc.remote' and 'acquire.dvc.version'")
        if self.kits19.last_case < self.kits19.first_case:
            raise ValueError("'kits19.last_case' is smaller than 'kits19.first_case'")
        return self


class WindowSettings(Settings):
    """A fixed window, for CT."""

    kind: Literal["window"] = Field(description="A fixed window, for CT.")
    center: float = Field(description="Middle of the window, in Hounsfield units.")
    width: float = Field(gt=0, description="Upper minus lower end of the window, in Hounsfield units.")


class PercentileSettings(Settings):
    """A window per patient between two percentiles of its intensities, for MR and rescaled sets."""

    kind: Literal["percentile"] = Field(description="A window per patient, for MR and rescaled sets.")
    low: float = Field(ge=0, lt=100, description="Lower end, as percentile of the patient's intensities.")
    high: float = Field(gt=0, le=100, description="Upper end, as percentile of the patient's intensities.")

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"'low' {self.low} is not below 'high' {self.high}")
        return self


class ResizeSettings(Settings):
    """Every slice is resized to one size; the spacing follows."""

    kind: Literal["resize"] = Field(description="Every slice to one size; the spacing follows.")
    size: int = Field(ge=16, le=2048, description="Pixels per side.")


class ResampleSettings(Settings):
    """Every slice is resampled to one spacing, then cropped or padded about its center."""

    kind: Literal["resample"] = Field(description="Every slice to one spacing, then cropped or padded.")
    spacing: float = Field(gt=0, description="Millimetres per pixel.")
    size: int = Field(ge=16, le=2048, description="Pixels per side.")


class SplitSettings(Settings):
    """Shares of the patients; each patient's place follows from a salted hash of its id."""

    train: Fraction = Field(description="Share of the patients that segmenters and synthesizer learn from.")
    validation: Fraction = Field(description="Share that chooses the epoch.")
    test: Fraction = Field(description="Share that is scored once, by 'evaluate'.")
    salt: str = Field(description="Change it to draw another split.")

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test is {total:g}, not 1")
        return self


class PrepareSettings(Settings):
    """Raw volumes to paired slices."""

    classes: dict[Annotated[int, Field(ge=1, le=255)], Name] = Field(
        min_length=1, description="Label value to class name; 0 is background."
    )
    channels: dict[Name, tuple[int, ...]] = Field(
        min_length=1, description="The segmenter's sigmoid outputs: channel name to the label values it stands for."
    )
    lesions: dict[Name, Name | None] = Field(
        default_factory=dict,
        description="Classes that are lesions, and the class of the organ that holds them (null = any place): what is "
        "pasted, added, moved and removed.",
    )
    intensity: Annotated[WindowSettings | PercentileSettings, Field(discriminator="kind")]
    in_plane: Annotated[ResizeSettings | ResampleSettings, Field(discriminator="kind")]
    split: SplitSettings
    block: Positive = Field(description="Slices that are held in memory at a time.")
    workers: Positive = Field(description="Patients prepared side by side, one process each.")

    @model_validator(mode="after")
    def _channels_are_classes(self) -> Self:
        for channel, values in self.channels.items():
            unknown = sorted(set(values) - set(self.classes))
            if unknown or not values:
                raise ValueError(f"channel '{channel}' has values {list(values)}; the classes are {self.classes}")
        if len(set(self.classes.values())) != len(self.classes):
            raise ValueError("two label values share one class name")
        unnamed = sorted({*self.lesions, *filter(None, self.lesions.values())} - set(self.classes.values()))
        if unnamed:
            raise ValueError(f"'lesions' names {unnamed}; the classes are {sorted(self.classes.values())}")
        return self

    @property
    def lesion_values(self) -> dict[int, int | None]:
        """Label value of each lesion class, and that of the organ that holds it."""
        values: dict[str | None, int | None] = {name: value for value, name in self.classes.items()} | {None: None}
        pairs = ((values[lesion], values[organ]) for lesion, organ in self.lesions.items())
        return {lesion: organ for lesion, organ in pairs if lesion is not None}


class Pix2PixSettings(Settings):
    """pix2pix: label map in, slice out, by a U-Net (Isola et al. 2017, appendix 6.1)."""

    kind: Literal["pix2pix"] = Field(description="Condition in, slice out, by a U-Net (Isola et al. 2017).")
    base_width: Positive = Field(description="Channels after the first convolution; 64 in the paper.")
    depth: int = Field(ge=2, le=9, description="Down-samplings; 8 in the paper, for 256 px.")
    upsampling: Literal["transposed", "resize"] = Field(description="The paper's, or resize-convolution.")
    dropout: float = Field(ge=0, lt=1, description="In the first decoder levels; 0.5 in the paper.")


class PaintInSettings(Settings):
    """The real slice stays but for lesions and their rim, which pix2pix's U-Net paints anew."""

    kind: Literal["paint_in"] = Field(description="A real slice, of which only lesions and their rim are painted anew.")
    base_width: Positive = Field(description="Channels after the first convolution.")
    depth: int = Field(ge=2, le=9, description="Down-samplings.")
    upsampling: Literal["transposed", "resize"] = Field(description="As in pix2pix.")
    dropout: float = Field(ge=0, lt=1, description="As in pix2pix.")
    rim: Positive = Field(description="Pixels about a lesion that are painted with it.")


class SpadeSettings(Settings):
    """SPADE with a style code (Park et al. 2019): one mask, many slices."""

    kind: Literal["spade"] = Field(description="Spatially adaptive normalization with a style code (Park et al. 2019).")
    base_width: int = Field(ge=4, description="Channels at half resolution; twice as many at each level below it.")
    depth: int = Field(ge=2, le=9, description="Up-samplings.")
    hidden_width: Positive = Field(description="Channels within a normalization; 128 in the paper.")
    code_length: Positive = Field(description="Numbers in the style code; 256 in the paper.")
    divergence_weight: float = Field(ge=0, description="Of the codes' Kullback-Leibler divergence; 0.05 in the paper.")


class RandomisedSettings(Settings):
    """No training: intensity and texture of every class are drawn at random (SynthSeg, Billot et al. 2023)."""

    kind: Literal["randomised"] = Field(description="Nothing is trained: intensities drawn per class (SynthSeg, 2023).")
    spread: float | None = Field(
        ge=0, le=1, description="Of a class's mean about the training patients'; null = any brightness, as in SynthSeg."
    )


class DiffusionSettings(Settings):
    """A diffusion model that sees the condition, sampled by DDIM (Song et al. 2021); for GPUs."""

    kind: Literal["diffusion"] = Field(
        description="Denoising diffusion with DDIM sampling (Song et al. 2021), for GPUs."
    )
    base_width: int = Field(
        ge=8, multiple_of=8, description="Channels at full resolution; twice as many at each level."
    )
    depth: int = Field(ge=1, le=5, description="Down-samplings.")
    noise_steps: int = Field(default=1000, ge=2, description="Levels of noise in training.")
    sampling_steps: int = Field(default=25, ge=1, description="Denoising steps per slice.")

    @model_validator(mode="after")
    def _samples_known_levels(self) -> Self:
        if self.sampling_steps > self.noise_steps:
            raise ValueError(f"'sampling_steps' {self.sampling_steps} is more than 'noise_steps' {self.noise_steps}")
        return self


MethodSettings = Annotated[
    Pix2PixSettings | SpadeSettings | PaintInSettings | RandomisedSettings | DiffusionSettings,
    Field(discriminator="kind"),
]


class DiscriminatorSettings(Settings):
    """PatchGAN (Isola et al. 2017, appendix 6.1)."""

    base_width: Positive = Field(description="Channels after the first convolution; 64 in the paper.")
    layers: int = Field(ge=1, le=5, description="Down-samplings; 3 gives the paper's 70 x 70 px patches.")


class TissueSettings(Settings):
    """The tissue map of 'condition: anatomy'."""

    kind: Literal["quantiles", "hounsfield"] = Field(
        description="Equal shares of the training slices' pixels, for any modality; or borders in Hounsfield units."
    )
    classes: int = Field(ge=2, le=16, description="Tissue classes by quantiles.")
    smoothing: float = Field(ge=0, le=20, description="Sigma in pixels before and after intensities become classes.")


class TrainGanSettings(Settings):
    """A synthesizer: condition in, slice out."""

    method: MethodSettings
    condition: Literal["labels", "anatomy"] = Field(
        default="labels", description="What is asked for: the label map, or label map and tissue map."
    )
    tissue: TissueSettings = TissueSettings(kind="quantiles", classes=6, smoothing=1.0)
    discriminator: DiscriminatorSettings
    differentiable_augmentation: tuple[Literal["translation", "cutout", "intensity"], ...] = Field(
        default=(), description="Of all that the discriminator sees (Zhao et al. 2020), for few patients; [] = none."
    )
    epochs: Positive = Field(description="Passes over the training slices.")
    batch_size: Positive = Field(description="Slices per step; 1 in the paper.")
    learning_rate: float = Field(gt=0, description="Adam's, of all networks; 0.0002 in the paper.")
    beta1: float = Field(ge=0, lt=1, description="Adam's first momentum; 0.5 in the paper.")
    l1_weight: float = Field(ge=0, description="Weight of L1 beside the adversarial loss; 100 in the paper.")
    constant_share: Fraction = Field(description="Share of the epochs before the learning rate falls linearly to 0.")
    ema_decay: float = Field(ge=0, lt=1, description="Moving average of the generator's weights per step; 0 = none.")
    sample_every: Positive = Field(description="Epochs between sample sheets.")
    unlabelled: bool = Field(
        default=False,
        description="Whether it also learns from scans without labels: those of 'acquire.unlabelled', and those of "
        "training patients outside the label fraction; needs 'condition: anatomy'.",
    )

    @model_validator(mode="after")
    def _scans_alone_show_tissue_only(self) -> Self:
        if self.unlabelled and (self.condition != "anatomy" or self.method.kind == "paint_in"):
            raise ValueError("'unlabelled' needs 'condition: anatomy' and a method that paints whole slices")
        return self


class DeformationSettings(Settings):
    """How label map, tissue map and image of a training patient's slices are deformed together, as one volume."""

    rotation: float = Field(default=10, ge=0, le=180, description="Degrees, plus or minus.")
    scale: float = Field(default=0.1, ge=0, lt=1, description="Share, plus or minus.")
    shift: float = Field(default=0.05, ge=0, lt=1, description="Share of the side, plus or minus.")
    strength: float = Field(
        default=0.03,
        ge=0,
        le=0.1,
        description="Deviation of the smooth displacement, as share of the side; above 0.1 anatomy would fold.",
    )
    knots: int = Field(default=6, ge=2, le=8, description="Of the displacement per side; more make it less smooth.")
    along: Fraction = Field(default=0.3, description="Share of its variance that changes along the patient.")
    reach: float = Field(default=40, gt=0, description="Millimetres along the patient over which that part changes.")


class EditSettings(Settings):
    """What is done to the lesions of new masks: probabilities per lesion, and new ones as ellipsoids (DiffTumor)."""

    removed: Fraction = Field(default=0.1, description="Probability that a lesion is taken away.")
    rescaled: Fraction = Field(default=0.3, description="Probability that a lesion gets another size.")
    moved: Fraction = Field(default=0.2, description="Probability that a lesion is put elsewhere in its slices.")
    factor: Range = Field(default=(0.6, 1.6), description="Of a rescaled lesion's radius.")
    added: float = Field(
        default=0.5, ge=0, le=16, description="Expected number of new lesions per patient painted and lesion class."
    )
    rim: Fraction = Field(default=0.5, description="Probability that a new lesion lies at the rim of its organ.")
    sizes: dict[Literal["tiny", "small", "medium", "large"], Annotated[float, Field(ge=0)]] = Field(
        default={"tiny": 1.0, "small": 1.0, "medium": 1.0, "large": 1.0},
        description="Weights of new lesions' sizes, with radii of about 3, 6, 12.5 and 25 mm.",
    )
    elongation: float = Field(
        default=1.3, ge=1, le=4, description="Factor by which a half-axis is longer or shorter at most."
    )
    elastic: float = Field(
        default=0.1, ge=0, le=0.3, description="Unevenness of a new lesion's surface, as share of its radius."
    )

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        total = self.removed + self.rescaled + self.moved
        if total > 1 + 1e-6:
            raise ValueError(f"removed + rescaled + moved is {total:g}, more than 1")
        if self.factor[0] <= 0:
            raise ValueError(f"'factor' {list(self.factor)} begins at 0 or below")
        if not sum(self.sizes.values()):
            raise ValueError("'sizes' gives no size a weight above 0")
        return self


class LabelerSettings(Settings):
    """A segmenter of the training patients that labels scans before they are painted."""

    segmenter: Name = Field(description="A name under 'train_segmenter.segmenters'.")
    steps: Positive = Field(description="Its optimizer steps.")
    confidence: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="Sigmoid output from which a label is believed; what lies between is painted over as background.",
    )


class SynthesizeSettings(Settings):
    """Synthetic slices from the masks of training patients."""

    ratio: float = Field(gt=0, description="Synthetic slices per real training slice.")
    labelled_only: bool = Field(description="Paint only masks that hold a labelled class.")
    masks: Literal["as_they_are", "new"] = Field(
        default="as_they_are", description="The training patients' own masks, or masks deformed and edited anew."
    )
    deformation: DeformationSettings = Field(default_factory=DeformationSettings)
    edits: EditSettings = Field(default_factory=EditSettings)
    style: Literal["own", "other", "drawn"] = Field(
        default="drawn",
        description="Contrast that 'spade' paints in: the slice's own, another patient's, or one drawn by chance.",
    )
    unlabelled: Fraction = Field(
        default=0.0,
        description="Share of the slices that are painted on scans whose labels are unknown.",
    )
    labeler: LabelerSettings | None = Field(
        default=None,
        description="Says what those scans hold, so that they can be painted as any other; null = they hold no class, "
        "and get new lesions alone.",
    )
    batch_size: Positive = Field(description="Slices painted at a time; no effect on what is painted.")


class ScreenSettings(Settings):
    """Which painted slices are accepted, by tests whose thresholds stand here, and a report on all of them."""

    filter: Literal["all", "report", "tests"] = Field(
        default="tests",
        description="'tests' accepts slices that pass every test below; 'report' measures them and accepts all; 'all' "
        "accepts all, measures nothing, and costs nothing.",
    )
    segmenter: Name = Field(
        description="A name under 'train_segmenter.segmenters': trained on the real slices of the painter's patients, "
        "it finds what was asked for, and its features measure fidelity."
    )
    steps: Positive = Field(description="Optimizer steps of that segmenter.")
    agreement: tuple[Fraction, Fraction] = Field(
        default=(0.3, 1.0),
        description="Least and greatest Dice between the foreground asked for and found, of a slice with a labelled "
        "class; 'nephrite screen' shows that of real slices beside it.",
    )
    false_positives: Fraction = Field(
        default=0.005, description="Greatest share of pixels found in a slice that holds no labelled class."
    )
    intensity_distance: Annotated[float, Field(ge=0)] | None = Field(
        default=0.05,
        description="How far a class's mean may lie outside its range in the training slices, where 1 is the whole "
        "intensity window; null = any distance.",
    )
    memorization: Literal["reject", "report"] = Field(
        default="reject",
        description="Whether copies of training slices are rejected, or counted only: 'report' for a synthesizer that "
        "keeps the real background and is close to it by design ('paint_in').",
    )
    memorization_quantile: float = Field(
        default=0.99,
        gt=0,
        lt=1,
        description="A copy is closer to its nearest training slice than this share of validation slices.",
    )

    @field_validator("agreement")
    @classmethod
    def _band_rises(cls, band: tuple[float, float]) -> tuple[float, float]:
        return _rising(band)


class UNetSettings(Settings):
    """U-Net (Ronneberger et al. 2015)."""

    kind: Literal["unet"] = Field(description="U-Net (Ronneberger et al. 2015).")
    base_width: Positive = Field(description="Channels of the first level.")
    depth: int = Field(ge=1, le=6, description="Poolings; 4 in the paper.")
    padding: Literal["valid", "same"] = Field(description="'valid' with cropped skips as in the paper, or 'same'.")
    normalization: Literal["none", "batch"] = Field(description="'none' as in the paper, or batch normalization.")
    halving: Literal["up_convolution", "last_convolution"] = Field(
        default="up_convolution",
        description="What halves the channels going up: the paper's, or the capstone's choice.",
    )


class FPNSettings(Settings):
    """Feature pyramid network of segmentation_models_pytorch."""

    kind: Literal["fpn"] = Field(description="Feature pyramid network of segmentation_models_pytorch.")
    encoder: str = Field(description="Encoder name of segmentation_models_pytorch.")
    weights: Literal["imagenet", "none"] = Field(description="Pretrained encoder weights.")


SegmenterSettings = Annotated[UNetSettings | FPNSettings, Field(discriminator="kind")]


class GeometricSettings(Settings):
    """Geometric augmentation: each draw is uniform in the range."""

    rotation: float = Field(ge=0, le=180, description="Degrees, plus or minus.")
    scale: float = Field(ge=0, lt=1, description="Share, plus or minus.")
    shift: float = Field(ge=0, lt=1, description="Share of the side, plus or minus.")


class IntensitySettings(Settings):
    """Intensity augmentation of 'standard', with nnU-Net's numbers (Isensee et al. 2021); probabilities per slice."""

    noise_probability: Fraction = Field(default=0.1, description="Of Gaussian noise.")
    noise_deviation: Range = Field(default=(0.0, 0.1), description="As share of the slice's own deviation.")
    blur_probability: Fraction = Field(default=0.1, description="Of Gaussian blur.")
    blur_sigma: Range = Field(default=(0.5, 1.0), description="Pixels.")
    brightness_probability: Fraction = Field(default=0.15, description="Of a factor on all intensities.")
    brightness: Range = Field(default=(0.75, 1.25), description="The factor.")
    contrast_probability: Fraction = Field(default=0.15, description="Of a factor on the distance from the mean.")
    contrast: Range = Field(default=(0.75, 1.25), description="The factor.")
    bias_probability: Fraction = Field(default=0.15, description="Of a smooth field that multiplies the slice.")
    bias_strength: Range = Field(default=(0.0, 0.3), description="Deviation of the field's logarithm.")
    low_resolution_probability: Fraction = Field(default=0.125, description="Of a coarser grid and back.")
    zoom: Range = Field(default=(0.5, 1.0), description="Side of the coarser grid, as share of the slice's.")
    gamma_probability: Fraction = Field(default=0.3, description="Of an exponent on the intensities.")
    gamma: Range = Field(default=(0.7, 1.5), description="The exponent.")
    inverted_gamma_probability: Fraction = Field(default=0.1, description="Of the same on the negative.")


class CopyPasteSettings(Settings):
    """Lesions of other training patients pasted into slices while training (TumorCP, Yang et al. 2021)."""

    probability: Fraction = Field(default=0.5, description="That a slice gets a lesion, if one fits.")
    rotation: float = Field(default=180, ge=0, le=180, description="Degrees, plus or minus.")
    scale: Range = Field(default=(0.85, 1.25), description="Magnification of the lesion.")
    elastic: float = Field(default=0.03, ge=0, le=0.1, description="Deviation of its bending, as share of its crop.")
    gamma: Range = Field(default=(0.7, 1.5), description="Exponent of its intensities.")


class SelfTrainingSettings(Settings):
    """Pseudo-labels on scans without labels, given by a teacher that was trained on the labelled patients alone."""

    share: float = Field(default=0.5, gt=0, lt=1, description="Of each batch.")
    confidence: float = Field(default=0.9, gt=0.5, lt=1, description="Sigmoid output from which a label is believed.")


class TrainSegmenterSettings(Settings):
    """One segmenter of one arm; everything here is the same in all arms."""

    epochs: Positive = Field(description="Checkpoints, validations and steps of the schedule; not passes over a set.")
    steps_per_epoch: Positive = Field(description="Optimiser steps; the same for small and large training sets.")
    batch_size: Positive = Field(description="Slices per optimiser step.")
    learning_rate: float = Field(gt=0, description="Adam's, at the start.")
    loss: Literal["dice", "dice_and_cross_entropy"] = Field(description="The capstone's, or nnU-Net's sum of both.")
    plateau_patience: int = Field(ge=0, description="Epochs without better validation loss before the rate falls.")
    plateau_factor: float = Field(gt=0, lt=1, description="What the learning rate is then multiplied with.")
    early_stopping: int | None = Field(ge=1, description="Epochs without better validation Dice; null = never stop.")
    geometric: GeometricSettings
    intensity: IntensitySettings = Field(default_factory=IntensitySettings)
    copy_paste: CopyPasteSettings = Field(default_factory=CopyPasteSettings)
    self_training: SelfTrainingSettings = Field(default_factory=SelfTrainingSettings)
    segmenters: dict[Name, SegmenterSettings]


class RegionSettings(Settings):
    """A region that is scored: a union of label values."""

    labels: tuple[int, ...] = Field(min_length=1, description="Label values that make the region.")
    tolerance: float = Field(gt=0, description="Millimetres, for the surface Dice.")


class EvaluateSettings(Settings):
    """Scores of one arm on the test patients."""

    regions: dict[Name, RegionSettings] = Field(min_length=1)
    threshold: Fraction = Field(description="Sigmoid outputs at or above it are foreground.")
    batch_size: Positive = Field(description="Slices per forward pass; no effect on the scores.")


class ReportSettings(Settings):
    """Statistics and figures over all arms."""

    resamples: Positive = Field(description="Bootstrap resamples.")
    confidence: float = Field(gt=0.5, lt=1, description="Coverage of the intervals.")
    examples: Positive = Field(description="Rows on the sheet of mask, fake and real.")


class PromoteSettings(Settings):
    """The registry."""

    model: Name = Field(description="Name of the registered model.")
    floor: Fraction = Field(description="Primary score that a first champion must reach.")


class PublishSettings(Settings):
    """`nephrite publish`, which makes a DVC version of a folder."""

    remote: Remote | None = Field(default=None, description="'s3://BUCKET/PREFIX', or a folder that serves as remote.")


class PredictSettings(Settings):
    """`nephrite predict`, which segments scans; what the model wants to see is registered with it, not set here."""

    model: Name | None = Field(default=None, description="Name of the registered model; null = 'promote.model'.")
    alias: Literal["champion", "challenger"] = Field(
        default="champion", description="Which of its versions: the one in use, or the newest candidate."
    )
    batch_size: Positive = Field(
        default=16, description="Slices held in memory and segmented at a time; no effect on the masks."
    )


class TrackingSettings(Settings):
    """MLflow; the server itself is named by MLFLOW_TRACKING_URI."""

    experiment: str = Field(min_length=1, description="MLflow experiment that holds the runs.")


class ComputeSettings(Settings):
    """Devices and precision, as Lightning names them; no effect on what is computed."""

    accelerator: str = Field(description="'auto', 'cpu' or 'gpu'.")
    devices: Positive | Literal["auto"] = Field(description="How many, or 'auto' for all.")
    strategy: str = Field(description="'auto', or 'ddp' for several devices.")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        description="'auto' takes bf16 where the processor has it."
    )
    threads: Positive | Literal["auto"] = Field(
        description="Of each process, unless OMP_NUM_THREADS is set; 'auto' takes all cores, which is slow when "
        "anything else wants them: two processes of one thread each do more than one of two."
    )
    loader_workers: int = Field(ge=0, description="Processes that read slices; 0 reads in the training process.")


class Config(Settings):
    """The whole of params.yaml."""

    trial: TrialSettings
    acquire: AcquireSettings
    prepare: PrepareSettings
    train_gan: dict[Name, TrainGanSettings]
    synthesize: SynthesizeSettings
    screen: ScreenSettings
    train_segmenter: TrainSegmenterSettings
    evaluate: EvaluateSettings
    report: ReportSettings
    promote: PromoteSettings
    publish: PublishSettings = Field(default_factory=PublishSettings)
    predict: PredictSettings = Field(default_factory=PredictSettings)
    tracking: TrackingSettings
    compute: ComputeSettings
    arm: Arm | None = Field(default=None, description="Set by the caller of a stage that works on one arm.")
    painter: Painter | None = Field(default=None, description="Set by the caller of a stage of one synthesizer.")

    @field_validator("arm", "painter", mode="before")
    @classmethod
    def _parts_from_text(cls, value: object, info: ValidationInfo) -> object:
        kind = Arm if info.field_name == "arm" else Painter
        return kind.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        missing = sorted(set(self.trial.synthesizers) - set(self.train_gan))
        if missing:
            raise ValueError(f"'trial.synthesizers' names {missing}; not under 'train_gan'")
        missing = sorted(set(self.trial.segmenters) - set(self.train_segmenter.segmenters))
        if missing:
            raise ValueError(f"'trial.segmenters' names {missing}; not under 'train_segmenter.segmenters'")
        if self.screen.segmenter not in self.train_segmenter.segmenters:
            raise ValueError(f"'screen.segmenter' is '{self.screen.segmenter}'; not under 'train_segmenter.segmenters'")
        labeler = self.synthesize.labeler
        if labeler and labeler.segmenter not in self.train_segmenter.segmenters:
            raise ValueError(
                f"'synthesize.labeler.segmenter' is '{labeler.segmenter}'; not under 'train_segmenter.segmenters'"
            )
        if self.trial.primary not in self.evaluate.regions:
            raise ValueError(f"'trial.primary' is '{self.trial.primary}'; not among 'evaluate.regions'")
        pasting = [name for name in self.trial.training_sets.all if "copy_paste" in name.split("+")]
        if pasting and not self.prepare.lesions:
            raise ValueError(f"'{pasting[0]}' pastes lesions, and 'prepare.lesions' names none")
        for name, region in self.evaluate.regions.items():
            self._region_is_made_of_channels(name, region)
        if self.painter and self.painter not in self.trial.painters:
            raise ValueError(
                f"painter '{self.painter}' is not among the trial's synthesizers x label fractions x cells"
            )
        if self.arm and self.arm not in self.trial.arms:
            raise ValueError(
                f"arm '{self.arm}' is not among the trial's training sets x segmenters x label fractions x cells"
            )
        return self

    def _region_is_made_of_channels(self, name: str, region: RegionSettings) -> None:
        parts = [values for values in self.prepare.channels.values() if set(values) <= set(region.labels)]
        if set(itertools.chain.from_iterable(parts)) != set(region.labels):
            raise ValueError(
                f"region '{name}' with labels {list(region.labels)} is not a union of 'prepare.channels' "
                f"{ {key: list(values) for key, values in self.prepare.channels.items()} }"
            )

    @property
    def this_arm(self) -> Arm:
        """The arm that a stage was called for.

        Raises:
            ConfigError: none was given.
        """
        if self.arm is None:
            example = self.trial.arms[0]
            raise ConfigError("arm", "is not given, and this stage works on one arm", f"add '--set arm={example}'")
        return self.arm

    @property
    def this_painter(self) -> Painter:
        """The synthesizer that a stage was called for; need not be named where the trial has one only.

        Raises:
            ConfigError: none was given, and there are several, or none.
        """
        painters = self.trial.painters
        if self.painter is None and len(painters) == 1:
            return painters[0]
        if self.painter is None:
            remedy = (
                f"add '--set painter={painters[0]}'" if painters else "add a set to 'trial.training_sets.synthetic'"
            )
            raise ConfigError("painter", "is not given, and this stage works on one synthesizer", remedy)
        return self.painter


def load_config(path: Path, overrides: Sequence[str] = (), *, text: str | None = None) -> Config:
    """Read and validate a params file.

    Args:
        path: the YAML file.
        overrides: 'section.key=value', the value as YAML; later ones win.
        text: YAML that stands in place of the file, for a caller without one.

    Raises:
        ConfigError: the file or an override is wrong; names key, value and rule.
    """
    path = path if text is None else Path("--params-text")
    content = _read_yaml(path, text)
    for override in overrides:
        _override(content, override)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise _explain(path, content, overrides, error) from None


def _read_yaml(path: Path, text: str | None) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError:
        raise ConfigError(path, "is missing", "name a params file with '--params'") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(path, f"is not readable YAML ({error})", "mend the file") from None
    if not isinstance(content, dict):
        raise ConfigError(path, "holds no sections", "start from the params.yaml of the project")
    return content


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set {override}", "is not of the form section.key=value", "write e.g. 'train_gan.pix2pix.epochs=5'"
        )
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place.setdefault(_key(place, section), {})
        if not isinstance(place, dict):
            raise ConfigError(
                f"--set {override}", f"'{section}' is a value, not a section", "name a key inside a section"
            )
    try:
        place[_key(place, last)] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}", f"{value!r} is not a YAML value", "quote it") from None


def _key(section: Mapping[Any, Any], name: str) -> Any:
    """Label values are whole numbers in YAML, but text on the command line."""
    return int(name) if name.isdigit() and int(name) in section else name


def _explain(path: Path, content: object, overrides: Sequence[str], error: ValidationError) -> ConfigError:
    first, *others = error.errors()
    key = ".".join(_keys(content, first["loc"], absent=first["type"] == "missing"))
    given = [f" with '--set {text}'" for text in overrides if f"{key}.".startswith(f"{text.partition('=')[0]}.")]
    place = f"{path}{given[-1] if given else ''}: {key or '(whole file)'}"
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return ConfigError(place, f"unknown key{more}", _suggestion(first["loc"]))
    if first["type"] == "missing":
        return ConfigError(place, f"is missing{more}", "add it")
    rule = first["msg"].removeprefix("Value error, ")
    shown = "" if first["type"] == "value_error" else f"value {first['input']!r}: "
    return ConfigError(place, f"{shown}{rule}{more}", "change the value")


def _keys(content: object, location: Sequence[str | int], *, absent: bool) -> Iterator[str]:
    """The keys of a location as they stand in the file: without the tags that pydantic puts among them."""
    for number, part in enumerate(location, 1):
        inner = dict(enumerate(content)) if isinstance(content, list) else content
        if not isinstance(inner, dict):
            return
        if part in inner or (absent and number == len(location)):
            yield str(part)
            content = inner.get(part)


def _suggestion(location: Sequence[str | int]) -> str:
    """The nearest key that the section knows, else all of them."""
    sections: list[type[Settings]] = [Config]
    for part in location[:-1]:
        fields = [model.model_fields[str(part)] for model in sections if part in model.model_fields]
        below = [model for field in fields for model in sections_in(field.annotation)]
        sections = below or sections  # a tag or a name of the user's own leads nowhere
    known = sorted({name for model in sections if _kind(model) in (None, *location) for name in model.model_fields})
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"remove it; known here are {', '.join(known)}"


def sections_in(kind: Any) -> list[type[Settings]]:
    """The models of settings that a field of this type may hold."""
    if isinstance(kind, type) and issubclass(kind, Settings):
        return [kind]
    return [model for part in get_args(kind) for model in sections_in(part)]


def _kind(model: type[Settings]) -> Any:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field else None
