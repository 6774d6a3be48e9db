"""The commit of the code: read from git, or from a variable in an image without git."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

COMMIT_VARIABLE = "NEPHRITE_COMMIT"


@dataclass(frozen=True)
class CodeState:
    """The commit that is checked out, None outside git, and whether files differ from it."""

    commit: str | None
    dirty: bool

    def __str__(self) -> str:
        """The commit, followed by '-dirty' if files differ; 'unknown' without one."""
        return f"{self.commit or 'unknown'}{'-dirty' if self.dirty else ''}"


def code_state(*, untracked: bool = False) -> CodeState:
    """Ask git about the working folder; an image without git carries its commit as NEPHRITE_COMMIT.

    Args:
        untracked: whether files that git does not track count as a difference, too.
    """
    if baked := os.environ.get(COMMIT_VARIABLE):
        return CodeState(baked.removesuffix("-dirty"), baked.endswith("-dirty"))
    commit = _git("rev-parse", "HEAD")
    files = "--untracked-files=normal" if untracked else "--untracked-files=no"
    return CodeState(commit, bool(commit and _git("status", "--porcelain", files)))


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed words only
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None
