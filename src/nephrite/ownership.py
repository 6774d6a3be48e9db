"""What Nephrite may replace: folders that it wrote, as long as nobody has put a file of their own into them.

Each folder that is written whole carries a mark: a file with a digest for the name of each file in it. A folder without
the mark, or with a file that the mark does not know, is the user's and stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from nephrite.errors import OutputError

MARK = ".written-by-nephrite"
SENTENCE = "Written by Nephrite as '{kind}', which may replace this folder. Below: digests of the names of its files."
OF_DESKTOPS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # written into any folder that is looked at
OTHER_PLACE = "name another folder, or move what is there"


def mark_folder(folder: Path, kind: str) -> None:
    """Write the mark into a folder that is complete.

    Args:
        folder: the output.
        kind: what it is, by the name of the option that asks for it: 'pairs', 'segmenter', ...
    """
    names = sorted(_digests(folder).values())
    (folder / MARK).write_text("\n".join([SENTENCE.format(kind=kind), *names, ""]), encoding="utf-8")


def check_replaceable(folder: Path, kind: str) -> None:
    """Refuse to replace what Nephrite did not write as the same kind; a missing or empty folder may be written.

    Raises:
        OutputError: names what is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(folder, "is a file, and a folder is written here", "name another folder")
    found, mark = _digests(folder), folder / MARK
    if not found and not mark.exists():
        return
    if not mark.is_file():
        raise OutputError(folder, "is there already, and Nephrite did not write it", OTHER_PLACE)
    first, *names = mark.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    if first != SENTENCE.format(kind=kind):
        raise OutputError(folder, f"is there already, and is no '{kind}' that Nephrite wrote", OTHER_PLACE)
    known = set(names)
    if others := sorted(name for name, of_name in found.items() if of_name not in known):
        finding = f"would be replaced, and holds '{others[0]}', which Nephrite did not write"
        raise OutputError(
            folder, finding if len(others) == 1 else f"{finding} (and {len(others) - 1} more)", OTHER_PLACE
        )


def check_replaceable_file(path: Path, fields: Iterable[str]) -> None:
    """Refuse to replace a file that is not one of Nephrite's records.

    Args:
        path: of the record that will be written.
        fields: names that stand at the top of such a record.

    Raises:
        OutputError: something else is there.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise OutputError(path, "is a folder, and a file is written here", "name a file")
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict) or not set(fields) <= content.keys():
        raise OutputError(path, "is there already, and Nephrite did not write it", "name another file, or move it")


def check_apart(output: Path, inputs: Mapping[str, Path]) -> None:
    """Refuse an output that is, holds or lies in an input.

    Args:
        output: folder or file that will be written.
        inputs: name, as the user knows it, and place of everything that is read.

    Raises:
        OutputError: names the input.
    """
    written = output.resolve()
    for name, path in inputs.items():
        read = path.resolve()
        relation = "is" if written == read else "holds" if written in read.parents else "lies in"
        if written == read or written in read.parents or (read in written.parents and path.is_dir()):
            raise OutputError(
                output, f"{relation} an input ({name}: {path}), and would change it", "name another place"
            )


def _digests(folder: Path) -> dict[str, str]:
    """Name of each file below a folder, and a digest of it; without the mark and what desktops write."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir()]
    wanted = [name for name in names if name != MARK and name.rpartition("/")[2] not in OF_DESKTOPS]
    return {name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16] for name in wanted}
