"""No training: the contrast of real slices is drawn anew, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from nephrite.config import GeneratorSettings, Name, Range, Settings, Signed
from nephrite.generation.kind import Composed, ComposingKind

if TYPE_CHECKING:
    from nephrite.synthesis.lesions import Run


class ContrastSettings(Settings):
    """Map of a class's intensities, in shares of the window."""

    shift: Signed = Field(
        default=(-0.25, 0.25),
        description="Added to all intensities; a quarter of a window of 400 HU is what contrast agent adds.",
    )
    gain: Range = Field(
        default=(0.7, 1.3),
        description="Factor on the distance from the class's mean; 0.7 to 1.3 keeps what is seen within it.",
    )
    gamma: Range = Field(default=(1.0, 1.0), description="Exponent of the intensities; 1, since 'gain' does as much.")


class RecontrastSettings(GeneratorSettings):
    """No training: the contrast of labeled patients' slices is drawn anew, class by class."""

    LEARNS_WITHOUT_LABELS: ClassVar[bool] = False  # it learns nothing
    COMPOSES: ClassVar[bool] = True

    kind: Literal["recontrast"] = Field(
        description="Nothing is trained: each class of a real slice gets another contrast."
    )
    classes: ContrastSettings = Field(
        default_factory=ContrastSettings, description="Of every class that is not named elsewhere."
    )
    lesions: ContrastSettings = Field(
        default=ContrastSettings(shift=(-0.05, 0.05), gain=(0.85, 1.15)),
        description="Of lesion classes, whose organ's shift is added: more would hide them.",
    )
    background: ContrastSettings = Field(
        default=ContrastSettings(shift=(0.0, 0.0), gain=(0.85, 1.15), gamma=(0.75, 1.35)),
        description="Of all else, with its distance from 0 in place of a mean: air stays dark.",
    )
    by_class: dict[Name, ContrastSettings] = Field(
        default_factory=dict, description="Of single classes, by their names in 'prepare.classes'."
    )
    border: float = Field(
        default=1.0, ge=0.3, le=20, description="Sigma in pixels over which one class's map goes over into another's."
    )


class Recontrast(ComposingKind[RecontrastSettings]):
    """Another contrast for each class, the same in all slices of a patient; see `synthesis.recontrast`."""

    def compose(
        self, image: Float32[np.ndarray, "slice h w"], run: Run, classes: Mapping[int, str], seed: int
    ) -> Composed:
        """Draw a map for each class, and apply them."""
        from nephrite.synthesis.recontrast import BACKGROUND, ContrastRanges, apply, draw

        chosen = {BACKGROUND: self.settings.background} | {
            value: self.settings.by_class.get(
                name, self.settings.lesions if value in run.lesions else self.settings.classes
            )
            for value, name in classes.items()
        }
        ranges = {value: ContrastRanges(**each.model_dump()) for value, each in chosen.items()}
        maps = draw(ranges, run.lesions, np.random.default_rng(seed))
        return Composed(apply(maps, image, run.label, border=self.settings.border), run.label)


SETTINGS = RecontrastSettings
KIND = Recontrast
