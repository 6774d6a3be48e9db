"""A trial with label maps of both arms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shown_trial import write_shown_trial


@pytest.fixture
def shown_trial_scores(tmp_path: Path) -> tuple[Path, Path]:
    """Folder of label maps, and the scores of one arm."""
    layout, config = write_shown_trial(tmp_path, "trial.cells=[0]")
    return layout.predictions, layout.score(config.trial.arms[0])
