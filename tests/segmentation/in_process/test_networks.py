from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nephrite.segmentation.in_process.networks import ColorNetwork, Segmenter, mirror_center, multiple_of


@pytest.mark.parametrize(("size", "target"), [(5, 9), (3, 20), (4, 4), (1, 6)])
def test_mirror_is_numpys_reflection(size: int, target: int) -> None:
    line = np.arange(size, dtype=np.float32)
    before = (target - size) // 2
    expected = np.pad(line, (before, target - size - before), mode="reflect")
    mirrored = mirror_center(torch.from_numpy(line).view(1, 1, 1, size), 1, target)
    assert mirrored.flatten().tolist() == expected.tolist()


@pytest.mark.parametrize("size", [(1, 1), (5, 31), (64, 33)])
def test_a_framed_network_sees_sizes_that_it_takes_and_answers_for_the_slice(size: tuple[int, int]) -> None:
    seen: list[torch.Size] = []
    inner = nn.Identity()
    inner.register_forward_hook(lambda _, __, image: seen.append(image.shape[-2:]))
    image = torch.rand(2, 1, *size)
    assert torch.equal(Segmenter(inner, multiple_of(32))(image), image)
    assert seen == [tuple(-(-side // 32) * 32 for side in size)]


def test_a_color_network_sees_three_normalized_channels() -> None:
    network = ColorNetwork(nn.Identity(), (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    assert network(torch.ones(1, 1, 1, 1)).flatten().tolist() == [1.0, 3.0, 1.0]
    assert not network.state_dict()  # statistics follow from the encoder's name
