"""A folder without the cases that keep all others from being read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nephrite.errors import NephriteError

LAYOUTS = {"train", "DICOM", "Label", "imagesTr", "labelsTr", "derivatives"}  # folders that are no case's


@contextmanager
def without(folder: Path, lost: Collection[str], scratch: Path) -> Iterator[Path]:
    """The folder as it is; where cases are left out, links to everything else."""
    if not lost:
        yield folder
        return
    with TemporaryDirectory(dir=scratch) as place:
        root = Path(place) / folder.resolve().name
        root.mkdir()
        for path, _, files in os.walk(folder.resolve(), followlinks=True):
            below = Path(path).relative_to(folder.resolve())
            for name in files:
                if not any(part in lost for part in (*below.parts, name)):
                    (root / below).mkdir(parents=True, exist_ok=True)
                    (root / below / name).symlink_to(Path(path) / name)
        yield root


def case_of(place: str, root: Path) -> str | None:
    """The folder or file of the case that an error is about; None where it is about the whole folder."""
    path = Path(place)
    if not path.is_relative_to(root):
        return None
    return next((part for part in path.relative_to(root).parts if part not in LAYOUTS), None)


def renamed(error: NephriteError, root: Path, folder: Path) -> NephriteError:
    """The error with the user's own path in it."""
    texts = (text.replace(str(root), str(folder)) for text in (error.place, error.finding, error.remedy))
    return type(error)(*texts)
