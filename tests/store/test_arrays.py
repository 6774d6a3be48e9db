from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from nephrite.store.arrays import create_array


def test_space_is_taken_when_the_array_is_made(tmp_path: Path) -> None:
    array = create_array(tmp_path / "image.npy", np.int16, (4, 512, 512))
    assert (tmp_path / "image.npy").stat().st_blocks * 512 >= array.nbytes
    array[3, 511, 511] = 7
    array.flush()
    assert np.load(tmp_path / "image.npy")[3, 511, 511] == 7


def test_full_disk_shows_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="full"):
        create_array(tmp_path / "image.npy", np.int16, (1, 8, 8))
