"""Networks of MONAI by name, in two dimensions."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from nephrite.config import Positive
from nephrite.errors import ConfigError
from nephrite.segmentation.in_process.family import InProcess, InProcessSettings

if TYPE_CHECKING:
    from torch import nn

    from nephrite.segmentation.in_process.networks import Segmenter


class MonaiSettings(InProcessSettings):
    """A network of monai.networks.nets by name."""

    FEATURES = False  # each network keeps its deepest level elsewhere

    kind: Literal["monai"] = Field(description="A network of monai.networks.nets by name.")
    network: str = Field(description="Its class, as UNet or SegResNet.")
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Its keyword arguments; dimensions and channels are filled in.",
    )
    stride: Positive = Field(
        default=32, description="Sides of a slice are mirrored to a multiple of it, so that the network can halve them."
    )


class MonaiBackend(InProcess[MonaiSettings]):
    """A network on one-channel slices, whose output is taken as logits of the channels."""

    def build(self, channels: int) -> Segmenter:
        """The network as MONAI initializes it."""
        from nephrite.segmentation.in_process.networks import Segmenter, multiple_of

        # fill in what the project knows; arguments may not set it
        place, network = f"network '{self.settings.network}'", self._class()
        given = {"spatial_dims": 2, "in_channels": 1, "out_channels": channels}
        if twice := sorted(given.keys() & self.settings.arguments.keys()):
            raise ConfigError(place, f"is given '{twice[0]}', which is filled in", "leave it out of 'arguments'")
        known = inspect.signature(network).parameters
        # not every network has all three by these names
        filled = {name: value for name, value in given.items() if name in known}
        try:
            built = network(**filled, **self.settings.arguments)
        except Exception as error:  # whatever its checks raise
            finding = f"cannot be built of {self.settings.arguments} ({_reason(error)})"
            raise ConfigError(place, finding, "correct 'arguments', after MONAI's documentation") from error
        return Segmenter(built, multiple_of(self.settings.stride))

    def _class(self) -> type[nn.Module]:
        from monai.networks import nets
        from torch import nn

        found = getattr(nets, self.settings.network, None)
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            finding = "is no network of monai.networks.nets"
            raise ConfigError(f"network '{self.settings.network}'", finding, "take e.g. 'UNet' or 'SegResNet'")
        return found


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


SETTINGS, BACKEND = MonaiSettings, MonaiBackend
