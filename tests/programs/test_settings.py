from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nephrite.errors import ConfigError
from nephrite.programs.settings import ProgramSettings


def settings(**values: object) -> ProgramSettings:
    return ProgramSettings.model_validate({"command": ["perl", "mine.pl"], **values})


def test_they_say_how_it_is_started() -> None:
    known = settings(limit=5, threads=3, environment={"MODE": "fast"})
    assert (known.program.command, known.program.limit, known.program.threads) == (("perl", "mine.pl"), 5, 3)
    assert known.program.environment()["MODE"] == "fast"
    with pytest.raises(ValidationError):
        settings(command=[])


def test_a_program_or_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.pl").touch()
    settings(files=[tmp_path / "mine.pl"]).check_program()
    with pytest.raises(ConfigError, match=r"^command 'perl mine\.pl': names the file .*gone\.pl, which is not there"):
        settings(files=[tmp_path / "gone.pl"]).check_program()
    with pytest.raises(ConfigError, match=r"^command 'no-such-program x': is no program that can be started here"):
        settings(command=["no-such-program", "x"]).check_program()
