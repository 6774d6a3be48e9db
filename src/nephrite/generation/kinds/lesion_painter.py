"""No training: drawn lesions are blended into real slices (SyntheticTumors, Hu et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float32, Int
from pydantic import AfterValidator, Field, model_validator

from nephrite.config import Fraction, GeneratorSettings, Positive, Range, Settings, Signed, refuse, rising
from nephrite.generation.kind import Composed, ComposingKind

if TYPE_CHECKING:
    from nephrite.synthesis.lesion_placing import PlaceRules
    from nephrite.synthesis.lesions import Run
    from nephrite.synthesis.painted_lesions import DrawnLesion, PaintRanges

STRETCH = 12  # neighboring slices that get lesions together
APART = 10**6  # slices between two that are no neighbors: more than any lesion reaches

Weight = Annotated[float, Field(gt=0, le=1e6)]


class SizeSettings(Settings):
    """One range of sizes among several."""

    weight: Weight = Field(default=1.0, description="How often it comes, beside the weights of the other ranges.")
    radius: Range = Field(
        default=(2.0, 13.0),
        description="Radius, log-uniform, so that small lesions are as likely as large ones by ratio; 2 to 13 px are "
        "what lung nodules measure in slices of 128 px.",
    )


class LookSettings(Settings):
    """One sort of lesion among several: how far its intensity lies from the tissue around it."""

    weight: Weight = Field(default=1.0, description="How often it comes, beside the weights of the other sorts.")
    step: Signed = Field(
        default=(0.6, 1.15),
        description="Range of the step, in units of 'step_of'; negative goes the other way. 0.6 to 1.15 of the way "
        "from lung to soft tissue is a solid nodule.",
    )


class LesionPainterSettings(GeneratorSettings):
    """No training: drawn lesions are blended into real slices, lesion-free ones or those of labeled patients."""

    LEARNS_WITHOUT_LABELS: ClassVar[bool] = False  # it learns nothing
    COMPOSES: ClassVar[bool] = True
    ADDS_LESIONS: ClassVar[bool] = True

    kind: Literal["lesion_painter"] = Field(
        description="Nothing is trained: drawn lesions are blended into real slices (Hu et al. 2023)."
    )
    lesion_free: Fraction = Field(
        default=0.0,
        description="Share of its slices that are lesion-free scans (see 'acquire.lesion_free' and "
        "'prepare.lesion_free'); the others are those of labeled patients. 0, since not every set has such scans.",
    )
    lesions: Annotated[tuple[Positive, Positive], AfterValidator(rising)] = Field(
        default=(1, 2),
        description="Fewest and most lesions per slice, or per 12 neighboring slices; more would rarely lie side by "
        "side.",
    )
    slices: Literal["neighbors", "apart"] = Field(
        default="neighbors",
        description="Whether the slices of a patient are neighbors, as in a whole scan: lesions then reach over "
        "several. 'apart' for sets of single slices.",
    )
    unit: Literal["pixels", "millimeters"] = Field(
        default="pixels", description="Of 'sizes.radius'; pixels where the spacing in the files is nominal."
    )
    sizes: tuple[SizeSettings, ...] = Field(
        default=(SizeSettings(),), min_length=1, description="The mix of sizes; one range unless told."
    )
    looks: tuple[LookSettings, ...] = Field(
        default=(LookSettings(weight=0.75), LookSettings(weight=0.25, step=(0.25, 0.6))),
        min_length=1,
        description="The mix of solid and sub-solid lesions; a quarter of them sub-solid, as among lung nodules.",
    )
    step_of: Literal["brighter", "darker", "window"] = Field(
        default="brighter",
        description="What a step of 1 is: from the tissue to what is brighter (lung to soft tissue), or to what is "
        "darker (kidney to fat), in each slice; or the whole window.",
    )
    axis_ratio: Range = Field(default=(0.6, 1.0), description="Shorter to longer axis; rounder than 0.6 as most are.")
    bend: float = Field(
        default=0.1,
        ge=0,
        le=0.3,
        description="Deviation of the outline by five harmonics, as share of the radius; above 0.3 it would fold.",
    )
    core: Signed = Field(
        default=(0.0, 0.0),
        description="How much further the step goes in the middle, as share of it: necrosis. 0: small nodules have "
        "none.",
    )
    grain: Range = Field(
        default=(0.03, 0.12), description="Deviation of the texture, in units of the step; as coarse as CT noise is."
    )
    grain_size: float = Field(
        default=1.0, ge=0, le=20, description="Sigma of the texture in pixels; 1 as noise after reconstruction."
    )
    edge: Range = Field(
        default=(0.5, 1.2), description="Sigma in pixels of the blurred border: a pixel is part lesion, part tissue."
    )
    host: Literal["dark", "bright"] | Range = Field(
        default="dark",
        description="Tissue of lesions without an organ: one side of Otsu's threshold in each slice ('dark' is lung "
        "in scans rescaled one by one), or a range of intensities in [0, 1].",
    )
    rim: Fraction = Field(
        default=0.4,
        description="Probability that a lesion's middle lies within a radius of the border of its organ or tissue; "
        "more than by chance, where they are hard to tell from what is beyond.",
    )
    outgrowth: Fraction = Field(
        default=0.0,
        description="Share of a lesion that may lie outside of its organ or tissue; 0 cuts it off there, as the chest "
        "wall does with a nodule, 0.6 lets tumors grow out of a kidney.",
    )
    grows_into: Range | None = Field(
        default=None, description="Intensities in [0, 1] that it may grow into, to spare bone; null = any background."
    )
    covers: Fraction = Field(
        default=0.5, description="Share of its organ's piece in a slice that a lesion takes at most; half stays seen."
    )
    only_brighter: bool = Field(
        default=True,
        description="Whether the scan stays where it is brighter than a lesion, as vessels do in lung; false for "
        "lesions that may be darker.",
    )

    @property
    def lesion_free_share(self) -> float:
        """Share of its slices that are lesion-free scans."""
        return self.lesion_free

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        found = [f"'sizes' has radii {list(one.radius)}, which begin at 0" for one in self.sizes if one.radius[0] <= 0]
        if not 0 < self.axis_ratio[0] <= 1 or self.axis_ratio[1] > 1:
            found.append(f"'axis_ratio' {list(self.axis_ratio)} does not lie between 0 and 1")
        refuse(found)
        return self


class LesionPainter(ComposingKind[LesionPainterSettings]):
    """Irregular ellipsoids with texture, blended into real slices; see `synthesis.painted_lesions`."""

    def compose(
        self, image: Float32[np.ndarray, "slice h w"], run: Run, classes: Mapping[int, str], seed: int
    ) -> Composed:
        """Put lesions into real slices; those that fit nowhere are left out."""
        from dataclasses import replace

        from nephrite.synthesis.lesion_placing import paint_lesions

        if self.settings.slices == "apart":
            run = replace(run, positions=np.arange(len(image)) * APART)
        painted, edits = paint_lesions(self._draw(run, seed), image, run, self._rules())
        return Composed(painted, run.label, edits)

    def _draw(self, run: Run, seed: int) -> list[tuple[Int[np.ndarray, " part"], tuple[DrawnLesion, ...]]]:
        """Lesions for each stretch of neighboring slices."""
        from nephrite.synthesis.painted_lesions import draw

        rng, ranges = np.random.default_rng(seed), self._ranges(run.spacing)
        low, high = self.settings.lesions
        return [(part, draw(ranges, int(rng.integers(low, high + 1)), rng)) for part in stretches(run.positions)]

    def _ranges(self, spacing: tuple[float, float, float]) -> PaintRanges:
        from nephrite.synthesis.painted_lesions import PaintRanges, Sort

        chosen, scale = self.settings, 1.0 if self.settings.unit == "pixels" else 1 / spacing[1]
        return PaintRanges(
            sizes=[Sort(one.weight, (one.radius[0] * scale, one.radius[1] * scale)) for one in chosen.sizes],
            looks=[Sort(one.weight, one.step) for one in chosen.looks],
            **{name: getattr(chosen, name) for name in ("axis_ratio", "bend", "core", "grain", "edge", "rim")},
        )

    def _rules(self) -> PlaceRules:
        from nephrite.synthesis.lesion_placing import PlaceRules

        names = ("host", "outgrowth", "grows_into", "covers", "step_of", "grain_size", "only_brighter")
        return PlaceRules(**{name: getattr(self.settings, name) for name in names})


def stretches(positions: Int[np.ndarray, " slice"]) -> list[Int[np.ndarray, " part"]]:
    """Slices of a run, parted where they are no neighbors and after every 12th."""
    parts = np.split(np.arange(len(positions)), np.flatnonzero(np.diff(positions) > 1) + 1)
    return [part[start : start + STRETCH] for part in parts for start in range(0, len(part), STRETCH)]


SETTINGS = LesionPainterSettings
KIND = LesionPainter
