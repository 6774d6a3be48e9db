from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nephrite.errors import VolumeError
from nephrite.privacy.png_copy import copy_png

MARKER = "DOE_JANE"


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
def test_picture_stays_and_texts_go(mode: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2, (7, 9))
    picture = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8))
    picture = picture if mode == "I;16" else picture.convert(mode)
    texts = PngInfo()
    texts.add_text("Patient", MARKER)
    picture.save(tmp_path / "a.png", pnginfo=texts, exif=b"Exif\0\0" + MARKER.encode())
    copy_png(tmp_path / "a.png", tmp_path / "b.png")
    assert MARKER.encode() not in (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "b.png") as after:
        assert before.mode == after.mode
        assert np.array_equal(np.asarray(before), np.asarray(after))


def test_what_follows_the_end_goes(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    plain = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(plain + MARKER.encode())
    copy_png(tmp_path / "a.png", tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == plain


@pytest.mark.parametrize("cut", [0, 5, 30, -4])
def test_what_is_no_whole_png_is_refused(cut: int, tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:cut])
    with pytest.raises(VolumeError):
        copy_png(tmp_path / "a.png", tmp_path / "b.png")
