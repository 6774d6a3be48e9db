"""A program in an image of its own, which knows nothing of this package: what only works where both are together."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from nephrite.config import Config
from nephrite.errors import ConfigError, ProgramError
from nephrite.programs.orders import SECONDS
from nephrite.programs.settings import ProgramSettings

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of a variable that a shell can export


def check_apart(settings: ProgramSettings, own: Collection[str], config: Config) -> None:
    """Refuse what would need the program in the stages' own image.

    Args:
        settings: of the program.
        own: its names under 'train_segmenter.segmenters'.
        config: of the trial.

    Raises:
        ConfigError: files are named, which no image of the program's shows here; a variable that no shell can export;
            or a stage would have to train it for itself.
    """
    place = settings.place
    if settings.files:
        finding = f"names the file {settings.files[0]}, and only the image 'own_image' has it"
        raise ConfigError(place, finding, "leave 'files' empty: the image's digest says what it holds")
    if strange := [name for name in settings.environment if not NAME.fullmatch(name)]:
        finding = f"sets the variable '{strange[0]}', which no shell can export"
        raise ConfigError(place, finding, "use letters, digits and '_'")
    # stages that train a segmenter for themselves
    labeler = config.synthesize.scan_labeler
    teaching = [
        arm for arm in config.trial.arms if arm.segmenter in own and config.trial.training_set(arm).trains_itself
    ]
    if config.trial.painters and labeler and labeler.segmenter in own:
        _refuse(place, "'synthesize' would have it label scans", "name another 'synthesize.labeler.segmenter'")
    if teaching:
        _refuse(place, f"'{teaching[0].training_set}' has it teach itself", "leave that training set out")


def read_seconds(done: Path) -> float:
    """How long a training took, by the script that ran it.

    Raises:
        ProgramError: nothing of the kind was written.
    """
    path = done / SECONDS
    text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not text.isdecimal():
        raise ProgramError(f"what an image of its own made, {SECONDS}", "is no number of seconds", "run its step again")
    return float(text)


def _refuse(place: str, finding: str, remedy: str) -> None:
    raise ConfigError(place, f"lies in an image of its own, and {finding}", remedy)
