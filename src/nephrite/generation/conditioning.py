"""What a generator is shown: a request for slices (arrays), and the scene made of it or of real slices (tensors).

b  batch    k  channels of the condition    h, w  height and width in pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Integer, UInt8
from torch import Tensor

from nephrite.synthesis.blend import paint_region
from nephrite.synthesis.tissue import condition, tissue_map


class Request(NamedTuple):
    """Some slices to paint.

    Attributes:
        label: label values.
        tissue: tissue classes, for 'condition: anatomy'.
        background: real slices in [0, 1], where regions are painted: what stays, and what lesions are painted into.
        changed: for the same, where the label map is not that of the background, e.g. where a lesion was removed.
        style: slices in [0, 1] whose contrast is taken over, for a kind with styles; None draws a style from the seed.
    """

    label: UInt8[np.ndarray, "slice h w"]
    tissue: UInt8[np.ndarray, "slice h w"] | None = None
    background: Float32[np.ndarray, "slice h w"] | None = None
    changed: Bool[np.ndarray, "slice h w"] | None = None
    style: Float32[np.ndarray, "slice h w"] | None = None

    def take(self, chosen: slice | Integer[np.ndarray, " part"]) -> Request:
        """The request for some of its slices."""
        return self._replace(**{name: part[chosen] for name, part in self._asdict().items() if part is not None})


def join_requests(requests: Sequence[Request]) -> Request:
    """One request of the slices of several, all of the same parts."""
    parts = {name: part for name, part in requests[0]._asdict().items() if part is not None}
    return requests[0]._replace(**{name: np.concatenate([getattr(one, name) for one in requests]) for name in parts})


class Scene(NamedTuple):
    """The same as tensors, on the device.

    Attributes:
        condition: label map, or label and tissue map, one channel per class.
        label: label values.
        tissue: tissue classes; None where the condition has none.
        background: real slices in [0, 1].
        region: 1 where is painted, 0 where the background stays; None where all is painted.
        style: slices in [0, 1] whose contrast is taken over.
    """

    condition: Float[Tensor, "b k h w"]
    label: UInt8[Tensor, "b h w"]
    tissue: UInt8[Tensor, "b h w"] | None
    background: Float[Tensor, "b 1 h w"] | None
    region: Float[Tensor, "b 1 h w"] | None
    style: Float[Tensor, "b 1 h w"] | None


@dataclass(frozen=True)
class Conditioning:
    """How label map and image become a scene.

    Attributes:
        classes: label values in the order of the condition's channels.
        edges: between tissue classes; None for a condition of labels alone.
        smoothing: of the tissue map, in pixels.
        lesions: label values that are painted in.
        rim: pixels about them that are painted with them; None where whole slices are painted.
    """

    classes: tuple[int, ...]
    edges: tuple[float, ...] | None = None
    smoothing: float = 0.0
    lesions: tuple[int, ...] = ()
    rim: int | None = None

    @property
    def tissues(self) -> int:
        """Number of tissue classes; 0 without a tissue map."""
        return 0 if self.edges is None else len(self.edges) + 1

    @property
    def channels(self) -> int:
        """Channels of the condition: tissue classes, or one for the background, then the label classes."""
        return max(self.tissues, 1) + len(self.classes)

    def tissue(self, image: Float[Tensor, "b 1 h w"]) -> UInt8[Tensor, "b h w"] | None:
        """The tissue map of a slice, or None where none is asked for."""
        return None if self.edges is None else tissue_map(image, self.edges, smoothing=self.smoothing)

    def of_batch(self, image: Float[Tensor, "b 1 h w"], label: UInt8[Tensor, "b h w"]) -> Scene:
        """Real slices as a generator is shown them in training: each is its own tissue map, background and style.

        A slice without a lesion is painted where another slice of the batch has one, so that healthy tissue is learned
        as well.
        """
        tissue = self.tissue(image)
        region = None if self.rim is None else borrow_regions(paint_region(label, self.lesions, margin=self.rim))
        shown = condition(label, tissue, self.classes, self.tissues)
        return Scene(shown, label, tissue, image, None if region is None else region[:, None].float(), image)

    def of_request(self, request: Request, device: torch.device) -> Scene:
        """A request as a generator is shown it.

        Raises:
            AssertionError: the request lacks what this synthesizer paints from.
        """
        label, tissue, changed = (_tensor(x, device) for x in (request.label, request.tissue, request.changed))
        assert label is not None
        assert self.edges is None or tissue is not None, "a tissue map is part of the condition"
        background, style = (_tensor(x, device, channel=True) for x in (request.background, request.style))
        region = None
        if self.rim is not None:
            assert background is not None, "there is nothing to paint into"
            region = paint_region(label, self.lesions, margin=self.rim, changed=changed)[:, None].float()
        shown = condition(label, tissue if self.tissues else None, self.classes, self.tissues)
        return Scene(shown, label, tissue, background, region, style)

    def of_real(self, image: Float32[np.ndarray, "slice h w"], label: UInt8[np.ndarray, "slice h w"]) -> Request:
        """A request for the label maps of real slices, with their own tissue maps and backgrounds."""
        tissue = self.tissue(torch.from_numpy(image)[:, None])
        return Request(label, None if tissue is None else tissue.numpy(), background=image)


def borrow_regions(region: Bool[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """Empty regions take those of the slices that have one, in turn."""
    some = region.flatten(1).any(dim=1)
    donors = some.nonzero()[:, 0]
    if not len(donors):
        return region
    place = torch.arange(len(region), device=region.device)
    return region[torch.where(some, place, donors[place % len(donors)])]


def _tensor(array: np.ndarray | None, device: torch.device, *, channel: bool = False) -> Tensor | None:
    if array is None:
        return None
    tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    return tensor[:, None] if channel else tensor
