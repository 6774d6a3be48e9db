"""How long an optimizer step on patches takes on this machine, measured before a trial is run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nephrite.config import Config
from nephrite.segmentation.in_process.step_time import LONGEST_STEP, training_seconds
from nephrite.training.devices import pick_device

if TYPE_CHECKING:
    from nephrite.segmentation.volumes.segresnet import SegResNetBackend

LEAST_SIDE, LEAST_WIDTH = 16, 8  # of the patch and the network that any processor trains in a moment


def patch_step_seconds(config: Config, backend: SegResNetBackend) -> float:
    """Seconds of one optimizer step on one thread, or on the GPU; without augmentation.

    On a processor a step that would take long is extrapolated from a small one, since cost grows with the voxels and
    with the square of the width.
    """
    settings, channels, device = backend.settings, len(config.prepare.channels), pick_device(config.compute)
    if device == "cpu":
        space = tuple(min(side, max(LEAST_SIDE, 2 ** (len(settings.blocks) - 1))) for side in settings.patch)
        narrow = type(backend)(settings.model_copy(update={"width": LEAST_WIDTH}))
        measured = training_seconds(config, narrow.build(channels), batch=1, space=space)
        more = settings.batch * math.prod(settings.patch) / math.prod(space)
        expected: float = measured * more * (settings.width / LEAST_WIDTH) ** 2
        if expected > LONGEST_STEP:
            return expected
    return training_seconds(config, backend.build(channels).to(device), batch=settings.batch, space=settings.patch)
