from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nephrite.errors import StoreError
from nephrite.training.weights import load_weights, save_weights


def test_weights_come_back_whatever_their_memory_order(tmp_path: Path) -> None:
    kept, empty = (nn.Conv2d(3, 4, 3) for _ in range(2))
    save_weights(tmp_path / "w", kept.to(memory_format=torch.channels_last).state_dict())
    load_weights(empty, tmp_path / "w", remedy="train it again")
    assert all(torch.equal(one, other) for one, other in zip(kept.parameters(), empty.parameters(), strict=True))


@pytest.mark.parametrize("damage", ["missing", "truncated", "of another network"])
def test_weights_that_cannot_be_used_are_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w"
    if damage != "missing":
        save_weights(path, nn.Conv2d(3, 5, 3).state_dict())
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"w: does not fit \(.*\); train it again"):
        load_weights(nn.Conv2d(3, 4, 3), path, remedy="train it again", finding="does not fit")
