"""What screening accepted of each set of painted slices, in one table beside the examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nephrite.errors import StoreError
from nephrite.files import read_json
from nephrite.words import counted, markdown_table

FACTS, AGAIN = "screening.json", "run 'screen' again"


def screening_table(stores: Sequence[Path], folder: Path) -> str:
    """Accepted slices and reasons of rejection of each set; a sentence where nothing was screened.

    Args:
        stores: sets of synthetic slices.
        folder: above all of them; a set is named by its place in it.

    Raises:
        StoreError: a set's screening.json is broken.
    """
    rows = [_row(root, folder) for root in stores if (root / FACTS).is_file()]
    without = len(stores) - len(rows)
    text = f"{counted(without, 'set')} of synthetic slices took no part in screening." if without else ""
    if not rows:
        return text
    reasons = list(dict.fromkeys(name for row in rows for name in row[1]))
    head = ["set", "painted", "accepted", "share", *(f"rejected: {name}" for name in reasons)]
    table = markdown_table(head, [[*first, *(failed.get(name, 0) for name in reasons)] for first, failed in rows])
    more = "Screening by set of painted slices. A slice may fail several tests."
    return "\n\n".join(part for part in (more, table, text) if part)


def _row(root: Path, folder: Path) -> tuple[list[str], dict[str, int]]:
    path = root / FACTS
    facts = read_json(path, AGAIN)
    name = "synthetic" if root == folder else root.relative_to(folder).as_posix()
    try:
        first = [name, str(facts["painted"]), str(facts["accepted"]), f"{facts['accepted_share']:.3f}"]
        return first, {test: int(found["slices"]) for test, found in facts["rejected"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(path, f"is no record of a screening ({type(error).__name__})", AGAIN) from None
