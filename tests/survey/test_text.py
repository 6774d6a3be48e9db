from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nephrite.config import load_config
from nephrite.survey.proposal import Line, propose
from nephrite.survey.survey import Survey
from nephrite.survey.text import as_text


def test_sections_are_nested_and_each_line_has_its_reason() -> None:
    lines = [
        Line("a.b.c", [1, 2], "why"),
        Line("a.d", {"x": "y"}, ""),
        Line("e", None, "no: reason"),
        Line("a.b.f", 1, ""),
    ]
    assert as_text(lines) == "a:\n  b:\n    c: [1, 2] # why\n    f: 1\n  d: {x: y}\ne: null # no: reason\n"


def test_a_proposal_is_a_params_file_that_is_read(found: Callable[..., Survey]) -> None:
    text = as_text([*propose(found()), Line("trial.cells", [0, 1, 2], "")])
    config = load_config(Path("params.yaml"), text=text)
    assert config.trial.primary == "tumor"
    assert str(config.acquire.folder.path) == "my scans"
    assert config.prepare.classes == {1: "kidney", 2: "tumor"}
