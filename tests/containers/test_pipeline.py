"""The compiled pipeline in real containers of the image finds what `dvc repro` finds, to the last digit."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import docker
import pytest
import yaml

from nephrite.config import Config
from nephrite.files import read_json

pytestmark = [pytest.mark.containers, pytest.mark.slow]
BIN = Path(sys.executable).parent
IMAGE = os.environ.get("IMAGE", "localhost/nephrite:latest")
COMPILE = (str(BIN / "nephrite-pipeline"), "compile", "--image", IMAGE, "--allow-tag", "--params", "params.yaml")
CHAIN = (
    "acquire.phantom.patients=12",
    "prepare.split={train: 0.5, validation: 0.2, test: 0.3, salt: stone}",
    "trial.training_sets={real: [real], synthetic: [{name: real+synthetic, synthesizer: pix2pix, way: append}]}",
    "trial.reference=real",
    "trial.segmenters=[light]",
    "trial.label_fractions=[0.5, 1.0]",  # two painters; the smaller one's arm refuses what the other one painted
    "screen.filter=report",  # two epochs make no synthesizer whose slices would be accepted
)


class Place(NamedTuple):
    """A folder with params.yaml, where both ways of running the trial leave their results."""

    folder: Path
    root: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command here."""
        # the code of this tree, in processes that these commands start too
        paths = {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(self.root / "src")}
        environment = {**os.environ, **paths}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{done.stdout}{done.stderr}"
        return done


@pytest.fixture
def place(load: Callable[..., Config], root: Path, tmp_path: Path) -> Place:
    """What `dvc repro` needs of the project, with small settings."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "code.lock", ".dvcignore", ".dvc/config"):
        shutil.copy(root / name, folder / name)
    for name in ("src", "pipelines"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (folder / "params.yaml").write_text(yaml.safe_dump(load(*CHAIN).model_dump(mode="json"), sort_keys=False))
    return Place(folder, root)


@pytest.fixture
def strange_image(root: Path, tmp_path: Path) -> str:
    """An image that holds the example of a program in Perl, and nothing of this project."""
    folder = tmp_path / "strange"
    folder.mkdir()
    shutil.copy(root / "examples" / "command" / "brightness.pl", folder)
    base = os.environ.get("BASE_IMAGE", "docker.io/library/python:3.11-slim-bookworm")
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY brightness.pl /opt/\n")
    name = "localhost/brightness:latest"
    client = docker.from_env()
    try:
        client.images.build(path=str(folder), tag=name, rm=True)
    finally:
        client.close()
    return name


def in_containers(place: Place, *options: str, name: str = "augmentation") -> subprocess.CompletedProcess[str]:
    """Compile a pipeline with these options and run it; its outputs are in folder/run."""
    place.run(*COMPILE, "--cluster", "pipelines/cluster.yaml", "--pipeline", name, *options)
    script = str(place.root / "tests" / "containers" / "run_pipeline.py")
    # here no launcher fetches a folder from an object store
    given = ("--argument", f"scans_uri={place.folder / 'run' / 'scans'}") if name == "inference" else ()
    done = place.run(sys.executable, script, f"build/{name}.yaml", "run", *given, check=False)
    sys.stdout.write(done.stdout[-6000:] + done.stderr[-3000:])  # shown if the test fails
    return done


def without_times(content: Any) -> Any:
    """A trial but for how long its trainings took."""
    if isinstance(content, dict):
        return {key: without_times(value) for key, value in content.items() if key != "seconds"}
    return [without_times(value) for value in content] if isinstance(content, list) else content


def test_pipeline_in_containers_finds_what_dvc_finds(place: Place) -> None:
    assert in_containers(place).returncode == 0
    (trial,) = (place.folder / "run").glob("augmentation-*/report/report/trial.json")
    place.run(str(BIN / "dvc"), "config", "core.no_scm", "true")
    place.run(str(BIN / "dvc"), "repro", "report")
    assert without_times(read_json(trial)) == without_times(read_json(place.folder / "reports" / "trial.json"))

    with closing(sqlite3.connect(place.folder / "run" / "record" / "mlflow.db")) as record:
        states = dict(record.execute("select name, status from runs").fetchall())
        aliases = record.execute("select alias from registered_model_aliases").fetchall()
    assert [name for name in states if name.startswith("phantom: ")]  # the trial, named by its verdict
    assert {state for name, state in states.items()} == {"FINISHED"}
    assert ("challenger",) in aliases


def test_a_program_in_an_image_of_its_own_finds_what_it_finds_here(place: Place, strange_image: str) -> None:
    known: dict[str, Any] = {"kind": "command", "command": ["perl", "/opt/brightness.pl"], "own_image": strange_image}
    content = yaml.safe_load((place.folder / "params.yaml").read_text())
    content["train_segmenter"]["segmenters"]["mine"] = known
    content["trial"] |= {"segmenters": ["mine"], "label_fractions": [1.0], "question": None}
    content["trial"] |= {"training_sets": {"real": ["real", "real+null"], "synthetic": []}, "synthesizers": []}
    (place.folder / "params.yaml").write_text(yaml.safe_dump(content))
    assert in_containers(place, "--no-promote").returncode == 0
    (trial,) = (place.folder / "run").glob("augmentation-*/report/report/trial.json")
    # the same program on this machine
    known |= {"own_image": None, "command": ["perl", str(place.root / "examples" / "command" / "brightness.pl")]}
    (place.folder / "params.yaml").write_text(yaml.safe_dump(content))
    place.run(str(BIN / "nephrite"), "trial", "--folder", "here", "--processes", "1")
    there, here = (read_json(path)["arms"] for path in (trial, place.folder / "here" / "reports" / "trial.json"))
    assert without_times(there) == without_times(here)
    assert len(here) == 2


def test_large_data_go_through_the_workspace_and_its_model_segments_scans(place: Place) -> None:
    cluster = place.folder / "pipelines" / "cluster.yaml"
    cluster.write_text(cluster.read_text().replace("workspace: null", "workspace: {size: 1Gi}"))
    assert in_containers(place).returncode == 0
    (outputs,) = (place.folder / "run").glob("augmentation-*")
    assert (outputs / "report" / "report" / "trial.json").is_file()
    assert (outputs / "train-gan-2" / "synthesizer").is_dir()
    assert not [path for name in ("raw", "pairs", "painted", "synthetic") for path in outputs.rglob(name)]

    place.run(str(BIN / "nephrite"), "acquire", "--raw", "run/scans", "--set", "acquire.phantom.patients=2")
    champion = ("--scans", "s3://clinic/scans", "--set", "predict.alias=challenger")  # nobody has crowned it yet
    assert in_containers(place, *champion, name="inference").returncode == 0
    (masks,) = (place.folder / "run").glob("inference-*/predict/masks")
    patients = {path.name for path in (place.folder / "run" / "scans").iterdir() if path.is_dir()}
    assert {path.parent.name for path in masks.glob("*/segmentation.nii.gz")} == patients
    assert len(patients) == 2


def test_step_that_fails_fails_the_pipeline_and_closes_its_trial(place: Place) -> None:
    content = yaml.safe_load((place.folder / "params.yaml").read_text())
    content["prepare"]["intensity"] = {"kind": "window", "center": 30000, "width": 10}  # seen by none who only compiles
    (place.folder / "params.yaml").write_text(yaml.safe_dump(content))
    done = in_containers(place)
    assert done.returncode != 0
    assert "VolumeError" in done.stdout + done.stderr
    with closing(sqlite3.connect(place.folder / "run" / "record" / "mlflow.db")) as record:
        states = dict(record.execute("select name, status from runs").fetchall())
    assert (states["prepare"], states["phantom"]) == ("FAILED", "FAILED")
