"""Train a small U-Net in a process of its own and print the median seconds of a step, as JSON.

    python benchmarks/step_probe.py SIZE kept|returned

What a step frees is kept for the next one, as in every stage, or returned to the system, as glibc does by itself.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median

import torch

from nephrite.config import UNetSettings
from nephrite.execution import keep_freed_memory
from nephrite.models.losses import dice_loss
from nephrite.models.segmenters import build_segmenter

NETWORK = UNetSettings(kind="unet", base_width=8, depth=4, padding="same", normalization="batch")
WARM, STEPS, BATCH = 5, 30, 8


def main() -> None:
    """Measure on random pixels, in float32."""
    size = int(sys.argv[1])
    if sys.argv[2] == "kept":
        keep_freed_memory()
    network = build_segmenter(NETWORK, channels=1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)
    image, target = torch.rand(BATCH, 1, size, size), torch.rand(BATCH, 1, size, size) > 0.9
    seconds = []
    for _ in range(WARM + STEPS):
        started = time.perf_counter()
        optimizer.zero_grad()
        torch.autograd.backward(dice_loss(network(image), target))
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    sys.stdout.write(json.dumps(median(seconds[WARM:])))


if __name__ == "__main__":
    main()
