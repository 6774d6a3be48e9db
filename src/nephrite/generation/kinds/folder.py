"""No training: slices that another program made, from a set of 'acquire.synthetic'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nephrite.config import GeneratorSettings, Name
from nephrite.generation.kind import Kind

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

    from nephrite.generation.conditioning import Scene


class FolderSettings(GeneratorSettings):
    """No training: synthetic scans with label maps that another program made."""

    LEARNS_WITHOUT_LABELS: ClassVar[bool] = False  # it learns nothing

    kind: Literal["folder"] = Field(
        description="Nothing is trained: synthetic scans that another program made (docs/bring-your-own.md)."
    )
    source: Name = Field(description="A name under 'acquire.synthetic'.")

    @property
    def brought_set(self) -> str | None:
        """The set that its slices are taken from."""
        return self.source


class Folder(Kind[FolderSettings]):
    """Nothing is painted: `synthesize` takes the slices as they were brought."""

    def build(self, channels: int, size: int) -> nn.Module:
        """An empty module: nothing is trained."""
        from torch import nn

        return nn.Identity()

    def paint(self, network: nn.Module, scene: Scene, seeds: Sequence[int]) -> Float[Tensor, "b 1 h w"]:
        """What the scene shows: the slices that were brought."""
        assert scene.background is not None
        return scene.background


SETTINGS = FolderSettings
KIND = Folder
