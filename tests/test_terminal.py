from __future__ import annotations

import logging

import pytest

from nephrite.terminal import Echo, is_quiet, quiet


def test_warnings_go_to_standard_error_as_it_is_then(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("nephrite.of_a_test")
    logger.addHandler(echo := Echo())
    echo.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger.warning("%d cells", 2)
    logger.removeHandler(echo)
    assert capsys.readouterr() == ("", "WARNING: 2 cells\n")


@pytest.mark.parametrize("wanted", [True, False])
def test_quiet_holds_within_its_block_and_keeps_errors(wanted: bool) -> None:
    before = logging.root.level
    with quiet(wanted):
        assert is_quiet() == wanted
        assert logging.root.isEnabledFor(logging.ERROR)
        assert logging.root.isEnabledFor(logging.WARNING) != wanted
    assert (is_quiet(), logging.root.level) == (False, before)
