"""What is told of any program in the settings, whether it is a segmenter or a generator."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from nephrite.config import Name, Positive, Settings
from nephrite.errors import ConfigError
from nephrite.files import digest, sha256
from nephrite.programs.running import Program

LARGEST_SEED = 2**31  # exclusive: what every program's generator of random numbers takes


class ProgramSettings(Settings):
    """How a program is started."""

    command: tuple[str, ...] = Field(
        min_length=1,
        description="Its words, as [python, mine.py]; verb and options are added. Name no patient in them.",
    )
    files: tuple[Path, ...] = Field(
        default=(),
        description="The program's own files: where one changes, it is trained again. None, since only you know.",
    )
    threads: Positive = Field(default=1, description="That it may use; 1, since arms run side by side.")
    limit: Positive = Field(
        default=86_400, description="Seconds for one verb, after which it is ended; a day, so that a hang is seen."
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Variables that it needs beside those of the stage; no passwords, since settings are recorded.",
    )
    image: Name = Field(
        default="CT",
        description="What dataset.json calls the image; nnU-Net normalizes 'CT' by all cases, and others one by one.",
    )

    @property
    def programs(self) -> tuple[Path, ...]:
        """Its own files."""
        return self.files

    @property
    def program(self) -> Program:
        """What starts it."""
        return Program(self.command, self.limit, self.threads, self.environment)

    @property
    def place(self) -> str:
        """How an error names it."""
        return f"command '{' '.join(self.command)}'"

    def check_program(self) -> None:
        """Refuse a program that is not there.

        Raises:
            ConfigError: names the word or the file.
        """
        if shutil.which(self.command[0]) is None:
            raise ConfigError(self.place, "is no program that can be started here", "install it, or name its path")
        if missing := [path for path in self.files if not path.is_file()]:
            raise ConfigError(self.place, f"names the file {missing[0]}, which is not there", "correct 'files'")


def program_digest(files: Sequence[Path]) -> str:
    """Digest of a program's own files, in their order: their content counts, and not their place."""
    return digest([sha256(path) for path in files])
