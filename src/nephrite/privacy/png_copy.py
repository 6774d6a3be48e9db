"""A PNG without its texts, times and profiles: the chunks that hold the picture stay (PNG specification, 5.4)."""

from __future__ import annotations

import struct
from pathlib import Path

from nephrite.errors import VolumeError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def copy_png(source: Path, target: Path) -> None:
    """Copy a label map.

    Raises:
        VolumeError: it is no PNG, or ends early.
    """
    content = source.read_bytes()
    if not content.startswith(SIGNATURE):
        raise VolumeError(source, "is empty or not a PNG", "fetch the file again")
    # length, kind, data and checksum of one chunk after the other
    kept, place, kind = [SIGNATURE], len(SIGNATURE), b""
    while kind != b"IEND":
        head = content[place : place + 8]
        length = struct.unpack(">I", head[:4])[0] if len(head) == 8 else len(content)
        chunk, kind = content[place : place + length + 12], head[4:]
        if len(chunk) < length + 12:
            raise VolumeError(source, "is truncated or damaged", "fetch the file again")
        if kind in KEPT:
            kept.append(chunk)
        place += len(chunk)
    target.write_bytes(b"".join(kept))
