"""What is read of a bundle's configuration, and what is made of it.

Expressions of a bundle ('$...') are Python, and are run, as MONAI runs them: take bundles that you trust.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle.config_parser import ConfigParser
from monai.inferers.inferer import SlidingWindowInferer
from monai.transforms.compose import Compose
from monai.transforms.traits import MultiSampleTrait
from torch import device, nn
from torch.optim import Optimizer

CONFIGS = ("configs/train.json", "configs/train.yaml", "configs/train.yml")
INFERERS = ("inferer", "validate#inferer")
TRANSFORMS = "train#random_transforms"
KEPT = "bundle.json"  # in the folder of a model: what its network is made from
BATCH = 2  # patches of a step, where the bundle names no 'batch_size'


@dataclass(frozen=True)
class Bundle:
    """The configuration of a bundle.

    Attributes:
        config: of the file, without what the data decide.
    """

    config: Mapping[str, Any]

    @property
    def dimensions(self) -> int:
        """3 for volumes, 2 for slices."""
        return int(self.config["network_def"]["spatial_dims"])

    @property
    def batch(self) -> int:
        """Patches of a step."""
        return int(self.config.get("batch_size", BATCH))

    @property
    def device(self) -> device:
        """Where it learns and predicts; the processor, where the bundle names none."""
        return device(self._parser().get_parsed_content("device") if "device" in self.config else "cpu")

    def network(self, classes: int) -> nn.Module:
        """The network with random weights, for so many classes, the background among them.

        A network of MONAI with deep supervision is built without: its loss would be another one.
        """
        known = {**self.config["network_def"], "in_channels": 1, "out_channels": classes}
        if "deep_supervision" in known:
            known["deep_supervision"] = False
        made = self._parser(network_def=known).get_parsed_content("network_def")
        assert isinstance(made, nn.Module), "a bundle's 'network_def' is a network"
        return made

    def training(self, network: nn.Module) -> tuple[nn.Module, Optimizer]:
        """Loss and optimizer of a network."""
        parser = self._parser(network=network)
        return parser.get_parsed_content("loss"), parser.get_parsed_content("optimizer")

    @property
    def inferer(self) -> SlidingWindowInferer:
        """How scans are gone through; its windows are what is learned from."""
        (name,) = [name for name in INFERERS if name in self._parser()][:1]
        made = self._parser().get_parsed_content(name)
        if not isinstance(made, SlidingWindowInferer):
            raise SystemExit(f"error: '{name}' of the bundle is no SlidingWindowInferer, and its windows are learned")
        return made

    @property
    def augmentation(self) -> Compose:
        """Its random transforms of 'image' and 'label', without those that cut patches out."""
        parser = self._parser()
        found = parser.get_parsed_content(TRANSFORMS) if TRANSFORMS in parser else []
        return Compose([each for each in found if not isinstance(each, MultiSampleTrait)])

    def _parser(self, **changes: object) -> ConfigParser:
        parser = ConfigParser({**self.config})
        for name, value in changes.items():
            parser[name] = value
        return parser


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises:
        SystemExit: it has no configuration of a training, or lacks a part of it; in one line.
    """
    path = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if path is None:
        raise SystemExit(f"error: {folder.name} is no bundle to train: it has none of {', '.join(CONFIGS)}")
    parser = ConfigParser()
    parser.read_config(str(path))
    for names in (("network_def",), ("loss",), ("optimizer",), INFERERS):
        if not any(name in parser for name in names):
            raise SystemExit(f"error: {path.name} of the bundle lacks '{names[0]}'")
    return Bundle(parser.get())


def keep_bundle(bundle: Bundle, model: Path) -> None:
    """Write its configuration into the folder of a model, which then stands alone."""
    (model / KEPT).write_text(json.dumps(dict(bundle.config), indent=1), encoding="utf-8")


def kept_bundle(model: Path) -> Bundle:
    """What `keep_bundle` wrote."""
    return Bundle(json.loads((model / KEPT).read_text(encoding="utf-8")))
