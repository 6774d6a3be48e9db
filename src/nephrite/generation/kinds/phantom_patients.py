"""No training: new patients of the embedded phantom, a positive control for trials on the phantom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field

from nephrite.config import GeneratorSettings, Seed
from nephrite.errors import ConfigError
from nephrite.generation.kind import Composed, ComposingKind

if TYPE_CHECKING:
    from nephrite.synthesis.lesions import Run


class PhantomPainterSettings(GeneratorSettings):
    """No training: patients that the phantom's own program draws, perfectly labeled: as good as real ones."""

    LEARNS_WITHOUT_LABELS: ClassVar[bool] = False  # it learns nothing
    COMPOSES: ClassVar[bool] = True

    kind: Literal["phantom_patients"] = Field(
        description="Nothing is trained: new patients of the embedded phantom. A positive control: on phantom data "
        "they must help."
    )
    seed: Seed = Field(
        default=2019,
        description="Of its patients; another one than 'acquire.phantom.seed', so that nobody is drawn twice.",
    )
    matrix: int = Field(
        default=128,
        ge=64,
        le=1024,
        description="In-plane size in pixels before the slices are brought to the store's grid; 128 takes a sixth of "
        "the time of 512, and is finer than slices of 64 to 96 px.",
    )


class PhantomPainter(ComposingKind[PhantomPainterSettings]):
    """A new patient for each run of slices; the real slices give number, grid and window, and nothing else."""

    def compose(
        self, image: Float32[np.ndarray, "slice h w"], run: Run, classes: Mapping[int, str], seed: int
    ) -> Composed:
        """Draw a patient, and take as many slices, evenly over the scan.

        Raises:
            ConfigError: the classes are not those of the phantom.
        """
        from nephrite.config import ResampleSettings
        from nephrite.imaging.grid import plan_grid, resize_image, resize_label
        from nephrite.phantom.kidneys import KIDNEY, TUMOR
        from nephrite.phantom.phantom import draw_patient

        if dict(classes) != {KIDNEY: "kidney", TUMOR: "tumor"}:
            finding = f"draws {{{KIDNEY}: kidney, {TUMOR}: tumor}}; 'prepare.classes' is {dict(classes)}"
            raise ConfigError("train_gan: kind 'phantom_patients'", finding, "use it with 'acquire.source: phantom'")
        # a patient, on the grid of the store
        drawn, label, spacing = draw_patient(self.settings.seed, seed, matrix=self.settings.matrix)
        chosen = np.linspace(0, len(drawn) - 1, len(image)).round().astype(int)
        fitted = ResampleSettings(kind="resample", spacing=run.spacing[1], size=image.shape[1])
        grid = plan_grid(fitted, (len(chosen), *drawn.shape[1:]), spacing)
        # its window
        low, high = run.window
        scaled = (resize_image(drawn[chosen], grid) - np.float32(low)) / np.float32(high - low)
        return Composed(np.clip(scaled, 0, 1).astype(np.float32), resize_label(label[chosen], grid))


SETTINGS = PhantomPainterSettings
KIND = PhantomPainter
