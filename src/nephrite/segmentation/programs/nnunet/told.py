"""What the entry of 'train_segmenter.segmenters' says, and the names of what a model folder holds."""

from __future__ import annotations

import json
import os
from typing import Any

SETTINGS = "NEPHRITE_NNUNET"  # JSON: configuration, patch, widths, batch, mirroring, device
WEIGHTS, CARD = "weights.safetensors", "arm.json"


def told_settings() -> dict[str, Any]:
    """The settings, as the environment gives them."""
    found: dict[str, Any] = json.loads(os.environ[SETTINGS])
    return found
