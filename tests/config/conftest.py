"""Fixtures of the tests of settings: what a wrong one is answered with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError


@pytest.fixture
def refusal(load: Callable[..., Config]) -> Callable[[str], str]:
    """The message that an override is refused with: one line that names the file."""

    def refuse(override: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(override)
        message = str(caught.value)
        assert "\n" not in message
        assert "capstone-phantom.yaml" in message
        return message

    return refuse
