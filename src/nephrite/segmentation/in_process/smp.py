"""Networks of segmentation_models_pytorch by name: any architecture with any encoder."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from pydantic import Field

from nephrite.errors import ConfigError
from nephrite.segmentation.in_process.family import InProcess, InProcessSettings

if TYPE_CHECKING:
    from torch import nn

    from nephrite.segmentation.in_process.networks import ColorNetwork, Segmenter

STRIDE = 32  # what the sides of a slice are multiples of, so that any encoder can halve them five times
E = TypeVar("E", bound="EncoderSettings")


class EncoderSettings(InProcessSettings):
    """A network of segmentation_models_pytorch on one-channel slices."""

    encoder: str = Field(
        default="tu-tf_efficientnet_lite0",
        description="Encoder name of segmentation_models_pytorch; the smallest whose weights are installed.",
    )
    weights: Literal["imagenet", "none"] = Field(default="imagenet", description="Pretrained encoder weights.")


class SmpSettings(EncoderSettings):
    """A network of segmentation_models_pytorch by name."""

    kind: Literal["smp"] = Field(description="A network of segmentation_models_pytorch by name.")
    architecture: str = Field(description="Its class in segmentation_models_pytorch, as Unet or DeepLabV3Plus.")


class EncoderBackend(InProcess[E]):
    """A network with an encoder; its features are the encoder's last level."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Name of its class in the library."""

    @property
    def unusable(self) -> str:
        """The finding about an encoder that does not fit."""
        return f"cannot be the encoder of {self.architecture} of segmentation_models_pytorch"

    def build(self, channels: int) -> Segmenter:
        """The network on one-channel slices, its encoder pretrained on ImageNet where the settings want it."""
        from nephrite.segmentation.in_process.networks import Segmenter, multiple_of

        network = self._network(channels)
        if self.settings.weights == "imagenet":
            self._load_imagenet(network, channels)
        return Segmenter(network, multiple_of(STRIDE))

    def deepest(self, network: nn.Module) -> nn.Module:
        """The encoder."""
        return network.get_submodule("pyramid.encoder")

    def bare(self) -> Self:
        """The same with a random encoder."""
        return type(self)(self.settings.model_copy(update={"weights": "none"}))

    def _network(self, channels: int) -> ColorNetwork:
        from nephrite.models.pretrained import WHEEL_ENCODER, input_statistics
        from nephrite.segmentation.in_process.networks import ColorNetwork

        encoder = self.settings.encoder
        try:
            pyramid = self._of_library(channels, weights=None)
        except (KeyError, RuntimeError, ValueError) as error:
            remedy = f"take e.g. 'resnext101_32x8d' or '{WHEEL_ENCODER}'"
            reason = "" if self.TRIED else f" ({str(error).strip().partition(chr(10))[0]})"
            raise ConfigError(f"encoder '{encoder}'", f"{self.unusable}{reason}", remedy) from error
        return ColorNetwork(pyramid, *input_statistics(encoder))

    def _load_imagenet(self, network: ColorNetwork, channels: int) -> None:
        """Fill the encoder; from a second network, whose encoder has the same levels."""
        from nephrite.models.pretrained import WHEEL_ENCODER, hub_weights, load_by_position, wheel_weights

        encoder, inner = self.settings.encoder, network.get_submodule("pyramid.encoder")
        if encoder == WHEEL_ENCODER:
            load_by_position(inner.get_submodule("model"), wheel_weights(), name=encoder)
            return
        with hub_weights(encoder):
            source = self._of_library(channels, weights=True if encoder.startswith("tu-") else "imagenet")
        inner.load_state_dict(source.get_submodule("encoder").state_dict())

    def _of_library(self, channels: int, *, weights: str | bool | None) -> nn.Module:
        import segmentation_models_pytorch as smp  # type: ignore[import-untyped]  # ships no types

        known = sorted(network.__name__ for network in smp.MODEL_ARCHITECTURES_MAPPING.values())
        if self.architecture not in known:
            finding = "is no architecture of segmentation_models_pytorch"
            raise ConfigError(f"architecture '{self.architecture}'", finding, f"take one of {', '.join(known)}")
        network: nn.Module = getattr(smp, self.architecture)(
            self.settings.encoder, encoder_weights=weights, in_channels=3, classes=channels
        )
        return network


class SmpBackend(EncoderBackend[SmpSettings]):
    """A network by name."""

    @property
    def architecture(self) -> str:
        """The architecture that the settings name."""
        return self.settings.architecture


SETTINGS, BACKEND = SmpSettings, SmpBackend
