"""The verb 'predict': sliding windows, as the bundle's inferer has them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file

from nephrite.programs.case_folders import ENDING
from nephrite.segmentation.programs.fit_record import RECORD
from nephrite.segmentation.programs.monai_bundle.bundle import Bundle, kept_bundle
from nephrite.segmentation.programs.monai_bundle.cases import Volume, open_folder
from nephrite.segmentation.programs.monai_bundle.learning import VALUES, WEIGHTS


def predict(model: Path, scans: Path, out: Path) -> None:
    """Find the classes in each scan, with probabilities of the channels."""
    bundle, values = kept_bundle(model), json.loads((model / RECORD).read_text(encoding="utf-8"))[VALUES]
    network = bundle.network(len(values) + 1)
    network.load_state_dict(load_file(model / WEIGHTS))
    network.to(bundle.device).eval()
    folder, theirs = open_folder(scans), np.array([0, *values], np.uint8)
    for name, file, image in folder.scans():
        found = probabilities(bundle, network, image)
        _save(out / f"{name}{ENDING}", theirs[found.argmax(axis=0)], file)
        for channel, own in folder.channels.items():
            heads = [1 + values.index(value) for value in own]
            _save(out / f"{name}_prob_{channel}{ENDING}", found[heads].sum(axis=0).clip(0, 1), file)


def probabilities(
    bundle: Bundle, network: torch.nn.Module, image: Volume
) -> Float32[np.ndarray, "class column row slice"]:
    """Softmax of the network over a scan; a network of slices sees one after the other."""
    inferer = bundle.inferer
    with torch.inference_mode():
        whole = torch.from_numpy(image)[None, None].to(bundle.device)
        if bundle.dimensions == 3:
            logits = inferer(whole, network)[0]
        else:
            planes = [inferer(whole[..., place], network)[0] for place in range(whole.shape[-1])]
            logits = torch.stack(planes, dim=-1)
        found: np.ndarray = logits.softmax(dim=0).float().cpu().numpy()
    return found


def _save(path: Path, voxels: np.ndarray, like: nib.Nifti1Image) -> None:
    nib.save(nib.Nifti1Image(voxels, like.affine, dtype=voxels.dtype), path)
