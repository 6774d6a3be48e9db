"""Segment a NIfTI scan by a model that `make serve` serves: python segment_by_http.py SCAN MASK [ADDRESS]

The server takes slices in [0, 1] and gives logits. What lies between them and a scan stands in the version's recipe.
"""

import sys
from pathlib import Path

import numpy as np
import requests
from mlflow.tracking import MlflowClient
from scipy.special import expit

from nephrite.imaging.grid import plan_grid, restore_planes
from nephrite.imaging.intensity import apply_window
from nephrite.imaging.masks import paint_labels, write_mask
from nephrite.imaging.quantize import store_image
from nephrite.imaging.recipe import read_recipe
from nephrite.imaging.sources import Scan, open_scan
from nephrite.imaging.volume import slice_blocks

BLOCK = 8  # slices of one request

scan, mask, address = (*sys.argv[1:], "http://127.0.0.1:5001")[:3]
version = MlflowClient().get_model_version_by_alias("nephrite-segmenter", "champion")
recipe = read_recipe(version.tags["recipe"], f"version {version.version}")
if recipe.window or recipe.mirroring:
    sys.exit("this model sees windows or mirrored slices: use 'nephrite predict', which puts them together")

volume = open_scan(Scan("scan", "nifti", Path(scan)))
grid = plan_grid(recipe.in_plane, volume.shape, volume.spacing)
image = np.zeros((volume.shape[0], grid.size, grid.size), np.int16)
scale = store_image(volume, grid, recipe.intensity, image, block=BLOCK)
found = np.zeros(volume.shape, np.uint8)
for part in slice_blocks(len(image), BLOCK):
    planes = apply_window(image[part], *scale.window)[:, None]
    answer = requests.post(f"{address}/invocations", json={"inputs": planes.tolist()}, timeout=60)
    answer.raise_for_status()
    probabilities = expit(np.array(answer.json()["predictions"], np.float32))
    channels = [
        restore_planes(probabilities[:, number], grid, volume.shape[1:]) for number in range(len(recipe.channels))
    ]
    found[part] = paint_labels(np.stack(channels) >= recipe.threshold, recipe.channels)
write_mask(Path(mask), found, volume.header)
