"""The package runs by itself where nephrite is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nephrite.segmentation.programs.nnunet import told

FOLDER = Path(told.__file__).parent


def test_settings_are_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(told.SETTINGS, json.dumps({"patch": 64}))
    assert told.told_settings() == {"patch": 64}


def test_it_starts_by_itself_and_imports_nothing_of_nephrite() -> None:
    modules = ["nnunet.__main__", *(f"nnunet.{path.stem}" for path in FOLDER.glob("[a-z]*.py"))]
    check = f"import sys; sys.path.insert(0, {str(FOLDER.parent)!r}); import {', '.join(modules)}; "
    check += "sys.exit(any(name.partition('.')[0] in ('nephrite', 'torch') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-I", "-c", check], check=False).returncode == 0
