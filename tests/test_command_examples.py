from __future__ import annotations

import click
import pytest

from nephrite.cli import StageGroup, group
from nephrite.command_examples import EXAMPLES
from nephrite.execution import command_name
from tests.test_cli import invoke
from tests.test_docs import check_all

ALL = StageGroup("nephrite").list_commands(click.Context(group))


def test_every_command_has_examples_and_no_other_has() -> None:
    assert sorted(map(command_name, EXAMPLES)) == sorted(ALL)
    assert all(1 <= len(examples) <= 2 for examples in EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_ends_with_examples_that_the_command_takes(name: str) -> None:
    code, shown = invoke(command_name(name), "--help")
    assert (code, max(map(len, shown.splitlines())) <= 80) == (0, True)
    ends = "".join(f"    {text}\n" for text in EXAMPLES[name]).replace("\n    --", "\n      --")
    assert shown.endswith(f"Example{'s' * (len(EXAMPLES[name]) > 1)}:\n{ends}")
    for text in EXAMPLES[name]:
        assert text.startswith(f"nephrite {command_name(name)}")
        check_all(text, complete=True)
