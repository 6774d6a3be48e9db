"""What the wheel installs: two packages and no more, each whole, and commands that start from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src")  # what the image is built from
FACES = {"pipelines": "nephrite_kubeflow", "components": "nephrite_kubeflow/components"}
pytestmark = pytest.mark.slow


def install(folder: Path, *more: str) -> Path:
    """Build the wheel from a copy of these files and folders, offline, and install it; gives where it went."""
    source, target = folder / "source", folder / "installed"
    source.mkdir()
    for name in (*BUILT_FROM, *more):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(place, source / name)
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PIP_CONSTRAINT": os.devnull})
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole project, installed from its wheel."""
    return install(tmp_path_factory.mktemp("wheel"), *FACES)


def packages(place: Path) -> set[str]:
    """Names of what can be imported from a folder."""
    return {path.name for path in place.iterdir() if path.suffix != ".dist-info"} - {"bin"}


def files(folder: Path) -> set[Path]:
    """Files below a folder, relative to it, without what the interpreter wrote."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder) for path in found}


def test_wheel_holds_two_packages_and_nothing_beside_them(installed: Path) -> None:
    assert packages(installed) == {"nephrite", "nephrite_kubeflow"}


def test_every_source_file_is_in_the_wheel(installed: Path) -> None:
    assert files(installed / "nephrite") == files(ROOT / "src" / "nephrite")
    both = {Path(package, path) for folder, package in FACES.items() for path in files(ROOT / folder)}
    assert {Path("nephrite_kubeflow", path) for path in files(installed / "nephrite_kubeflow")} == both


def test_commands_start_from_what_the_wheel_holds(installed: Path, tmp_path: Path) -> None:
    (place,) = installed.glob("*.dist-info")
    commands = {point.name: point for point in PathDistribution(place).entry_points}
    assert set(commands) == {"nephrite", "nephrite-pipeline"}
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    for name, point in commands.items():
        module, shown = (
            subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
            for command in (
                (sys.executable, "-c", f"import {point.module}; print({point.module}.__file__)"),
                (sys.executable, str(installed / "bin" / name), "--help"),
            )
        )
        assert Path(module.strip()).is_relative_to(installed)
        assert f"Usage: {name}" in shown


def test_image_gets_the_package_without_kubeflow(tmp_path: Path) -> None:
    assert packages(install(tmp_path)) == {"nephrite"}
