"""'synthesize': which masks are painted, and how they are deformed and edited before."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nephrite.config.settings import Fraction, Name, Positive, Range, Settings, refuse


class DeformationSettings(Settings):
    """How label map, tissue map and image of a training patient's slices are deformed together, as one volume."""

    rotation: float = Field(default=10.0, ge=0, le=180, description="Degrees, plus or minus.")
    scale: float = Field(default=0.1, ge=0, lt=1, description="Share, plus or minus.")
    shift: float = Field(default=0.05, ge=0, lt=1, description="Share of the side, plus or minus.")
    strength: float = Field(
        default=0.03,
        ge=0,
        le=0.1,
        description="Deviation of the smooth displacement, as share of the side; above 0.1 anatomy would fold.",
    )
    knots: int = Field(
        default=6, ge=2, le=8, description="Knots of the displacement per side; more make it less smooth."
    )
    along: Fraction = Field(default=0.3, description="Share of its variance that changes along the patient.")
    reach: float = Field(default=40.0, gt=0, description="Millimeters along the patient over which that part changes.")


class EditSettings(Settings):
    """What is done to the lesions of new masks: probabilities per lesion, and new ones as ellipsoids (DiffTumor)."""

    removed: Fraction = Field(default=0.1, description="Probability that a lesion is taken away.")
    rescaled: Fraction = Field(default=0.3, description="Probability that a lesion gets another size.")
    moved: Fraction = Field(default=0.2, description="Probability that a lesion is put elsewhere in its slices.")
    factor: Range = Field(default=(0.6, 1.6), description="Range of the factor on a rescaled lesion's radius.")
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
        found = [f"removed + rescaled + moved is {total:g}, more than 1"] if total > 1 + 1e-6 else []
        if self.factor[0] <= 0:
            found.append(f"'factor' {list(self.factor)} begins at 0 or below")
        if not sum(self.sizes.values()):
            found.append("'sizes' gives no size a weight above 0")
        refuse(found)
        return self


class LabelerSettings(Settings):
    """A segmenter of the training patients that labels scans before they are painted."""

    segmenter: Name = Field(default="light", description="A name under 'train_segmenter.segmenters'.")
    steps: Positive = Field(default=300, description="Its optimizer steps; 300 as in configs/lidc.yaml, for two cores.")
    confidence: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="Sigmoid output from which a label is believed; what lies between is painted over as background.",
    )


class SynthesizeSettings(Settings):
    """Synthetic slices from the masks of training patients."""

    ratio: float = Field(
        default=4.0,
        gt=0,
        description="Synthetic slices per real training slice; 4 as in configs/curvas.yaml and configs/kits19.yaml.",
    )
    labeled_only: bool = Field(
        default=True, description="Paint only masks that hold a labeled class: empty slices are not what is scarce."
    )
    masks: Literal["as_they_are", "new"] = Field(
        default="as_they_are", description="The training patients' own masks, or masks deformed and edited anew."
    )
    deformation: DeformationSettings = Field(default_factory=DeformationSettings)
    edits: EditSettings = Field(default_factory=EditSettings)
    style: Literal["own", "other", "drawn"] = Field(
        default="drawn",
        description="Contrast that 'spade' paints in: the slice's own, another patient's, or one drawn by chance.",
    )
    unlabeled: Fraction = Field(
        default=0.0,
        description="Share of the slices that are painted on scans whose labels are unknown.",
    )
    labeler: LabelerSettings | None = Field(
        default=None,
        description="Says what those scans hold, so that they can be painted as any other; null = they hold no class, "
        "and get new lesions alone.",
    )
    batch_size: Positive = Field(default=32, description="Slices painted at a time; no effect on what is painted.")

    @property
    def scan_labeler(self) -> LabelerSettings | None:
        """The labeler, where there are scans for it to label."""
        return self.labeler if self.unlabeled else None
