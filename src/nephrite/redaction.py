"""What a record may hold: it goes to MLflow, DVC and colleagues, and names of files and folders may name a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from traceback import walk_tb
from typing import Any

from nephrite.config import Config
from nephrite.errors import NephriteError, NonFiniteLossError, ResourceError, TrialError

OF_NUMBERS = (NonFiniteLossError, ResourceError, TrialError)  # their findings tell of losses, memory and arms alone
LOCAL = "local-"


def hidden_path(path: Path | str) -> str:
    """A path as a record holds it: equal paths give equal text, and nothing of the path is in it."""
    return LOCAL + hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def hidden_name(path: Path) -> str:
    """The same of a file's name alone."""
    return "file-" + hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def settings_without_paths(config: Config, **choice: Any) -> dict[str, Any]:
    """All settings as JSON would hold them, with paths hidden.

    Args:
        config: settings.
        choice: `include` or `exclude`, as pydantic takes them.
    """
    shown: dict[str, Any] = _hide(config.model_dump(mode="json", **choice), config.model_dump(**choice))
    remote = shown.get("acquire", {}).get("dvc", {}).get("remote")
    if remote and "://" not in remote:
        shown["acquire"]["dvc"]["remote"] = hidden_path(remote)
    return shown


def _hide(shown: Any, value: Any) -> Any:
    if isinstance(value, Path) or (isinstance(value, str) and value.startswith("/")):  # a word of a command
        return hidden_path(value)
    if isinstance(value, Mapping):
        return {name: _hide(part, inner) for (name, part), inner in zip(shown.items(), value.values(), strict=True)}
    if isinstance(value, list | tuple):
        return [_hide(part, inner) for part, inner in zip(shown, value, strict=True)]
    return shown


def reason_of(error: BaseException) -> str:
    """Why a stage failed, for a record: the kind of error and where it was raised; its text is for the user's terminal.

    The text names places and quotes what was found there. Only errors of numbers are quoted.
    """
    kind = type(error).__name__
    if isinstance(error, OF_NUMBERS):
        return f"{kind}: {' '.join(error.finding.split())}"
    places = [
        f"{frame.f_globals['__name__']}, line {line}"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).startswith("nephrite.")
    ]
    meaning = (type(error).__doc__ or "").strip().partition("\n")[0] if isinstance(error, NephriteError) else ""
    return ": ".join(part for part in (kind, meaning) if part) + (f" ({places[-1]})" if places else "")
