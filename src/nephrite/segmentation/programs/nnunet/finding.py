"""The verb 'predict'."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .cases import ENDING, channels_of, nnunet_folders, write_volume
from .told import CARD, WEIGHTS, told_settings


def predict(model: Path, scans: Path, out: Path) -> None:
    """Find the classes in each scan, with probabilities of the channels."""
    card = json.loads((model / CARD).read_text(encoding="utf-8"))
    wanted: Mapping[str, Sequence[int]] = json.loads((scans / "dataset.json").read_text(encoding="utf-8"))["nephrite"][
        "channels"
    ]
    with nnunet_folders():
        import numpy as np
        import SimpleITK
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

        predictor, reader = _predictor(model, card, told_settings()), SimpleITKIO()
        theirs = np.array([0, *card["values"]], np.uint8)  # nnU-Net's label to the arm's
        for image in sorted((scans / "imagesTs").glob(f"*_0000{ENDING}")):
            name = image.name.removesuffix(f"_0000{ENDING}")
            voxels, facts = reader.read_images([str(path) for path in channels_of(image.parent, name)])
            labels, probabilities = predictor.predict_single_npy_array(voxels, facts, None, None, True)
            like = SimpleITK.ReadImage(str(image))
            write_volume(out / f"{name}{ENDING}", theirs[labels.astype(np.uint8)], like)
            for number, (channel, values) in enumerate(wanted.items()):
                found = probabilities[heads_of(card, number, values)].sum(axis=0).clip(0, 1).astype(np.float32)
                write_volume(out / f"{name}_prob_{channel}{ENDING}", found, like)


def heads_of(card: Mapping[str, Any], number: int, values: Sequence[int]) -> list[int]:
    """Outputs of the network that make up a channel: one for each region, or one for each label after the background.

    Args:
        card: of the model.
        number: place of the channel.
        values: label values of the channel.
    """
    return [number] if card["regions"] else [1 + card["values"].index(value) for value in values]


def _predictor(model: Path, card: dict[str, Any], settings: dict[str, Any]) -> Any:
    """nnU-Net's predictor with the arm's weights."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from safetensors.torch import load_file

    plans, dataset = (json.loads((model / name).read_text(encoding="utf-8")) for name in ("plans.json", "dataset.json"))
    manager = PlansManager(plans)
    configuration = manager.get_configuration(card["configuration"])
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        determine_num_input_channels(manager, configuration, dataset),
        manager.get_label_manager(dataset).num_segmentation_heads,
        deep_supervision=False,
    )
    weights = load_file(model / WEIGHTS)
    network.load_state_dict(weights)
    device = torch.device(settings["device"])
    predictor = nnUNetPredictor(
        use_mirroring=settings["mirroring"],
        perform_everything_on_device=device.type == "cuda",
        device=device,
        allow_tqdm=False,
    )
    predictor.manual_initialization(network, manager, configuration, [weights], dataset, "", card["mirrored"])
    return predictor
