"""dvc.yaml as DVC itself sees it: what reruns after which change, and a remote on a real S3 server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from nephrite.config import Config, load_config

BIN = Path(sys.executable).parent
PAINTED = ("models/synthesizers", "data/painted", "data/synthetic")
OUTPUTS = ("data/raw", "data/prepared", "reports")
PER_ARM = ("models/segmenters", "predictions")
WRITTEN = ("data", "models", "scores", "predictions", "reports", "promotion")
SEGMENTERS, TRAINING_SETS = ("light", "heavy", "fpn"), ("real", "real+geometric")
PAINTED_SET = "{name: real+synthetic, synthesizer: pix2pix}"
CHAIN = (
    "acquire.phantom.patients=8",
    f"trial.training_sets={{real: [real], synthetic: [{PAINTED_SET}]}}",
    *("trial.reference=real", "trial.segmenters=[light]", "trial.label_fractions=[0.5]"),
    f"trial.without_labels=[{PAINTED_SET}]",
    "prepare.lesions={kidney: null, tumor: null}",
    "prepare.lesion_free={training_patients: true, margin: 1}",
    *(
        "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 1.0, slices: apart, host: bright}",
        "screen.filter=all",
    ),
    "train_segmenter.epochs=1",
)

CAPSTONE = Path("configs") / "capstone-phantom.yaml"


class Project:
    """A copy of what DVC needs of the project, in a folder of its own and without git."""

    def __init__(self, root: Path, place: Path) -> None:
        self.place = place
        (place / ".dvc").mkdir(parents=True)
        for name in ("dvc.yaml", "code.lock", ".dvcignore", ".dvc/config"):
            shutil.copy(root / name, place / name)
        shutil.copy(root / CAPSTONE, place / "params.yaml")  # many arms of one cell
        shutil.copytree(root / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        self.dvc("config", "core.no_scm", "true")

    def dvc(
        self, *arguments: str, check: bool = True, keys: Mapping[str, str] | None = None, warm: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run DVC here, its stages from a warm process if wished."""
        places = {
            "DVC_SITE_CACHE_DIR": str(self.place / ".dvc" / "site"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.place / "src"),  # the code that runs is that of the copy
        }
        done = subprocess.run(
            [*((BIN / "nephrite", "warm") if warm else ()), BIN / "dvc", *arguments],
            cwd=self.place,
            env={**os.environ, **places, **(keys or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def changed(self) -> set[str]:
        """Stages that DVC would run again, once it knows what each of them depends on."""
        self.dvc("repro", "resolve")
        return set(json.loads(self.dvc("status", "--json").stdout))

    def lock(self) -> None:
        """Renew code.lock, as a commit does."""
        environment = {**os.environ, "PYTHONPATH": str(self.place / "src")}
        subprocess.run([BIN / "nephrite", "lock"], cwd=self.place, env=environment, check=True, capture_output=True)

    def set(self, key: str, value: Any) -> None:
        """Change one setting in params.yaml."""
        content = yaml.safe_load((self.place / "params.yaml").read_text())
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
        (self.place / "params.yaml").write_text(yaml.safe_dump(content))

    def touch(self, name: str) -> None:
        """Change a file's content; a link into DVC's cache is replaced, as the stages do."""
        path = self.place / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content + b"\n")


def arms(stage: str, segmenters: tuple[str, ...] = SEGMENTERS, *, cell: int = 0) -> set[str]:
    """DVC's names of a stage's arms in one cell; a set with synthetic slices goes by its place in the list."""
    sets = ("fakes0", "fakes1") if "synthetic" in stage else TRAINING_SETS
    return {f"{stage}@{name}-{segmenter}-1.0-{cell}" for name in sets for segmenter in segmenters}


def painter(*stages: str, cell: int = 0) -> set[str]:
    """DVC's names of the stages of the only synthesizer in one cell."""
    return {f"{stage}@pix2pix-1.0-{cell}" for stage in stages}


def pretend(project: Project) -> None:
    """Put placeholders where the outputs belong, and have DVC take them for the stages' outputs."""
    trial = load_config(project.place / "params.yaml").trial
    painted = (f"{folder}/{painter}" for folder in PAINTED for painter in trial.painters)
    folders = [*OUTPUTS, *painted, *(f"{place}/{arm}" for place in PER_ARM for arm in trial.arms)]
    files = [f"{folder}/file" for folder in folders] + [f"scores/{arm}.json" for arm in trial.arms]
    project.dvc("repro", "resolve")
    for name in [*files, "promotion/decision.json"]:
        (project.place / name).parent.mkdir(parents=True, exist_ok=True)
        (project.place / name).write_text(f'{{"name": "{name}"}}')
    project.dvc("commit", "--force", "--quiet")


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose stages are all up to date."""
    project = Project(root, tmp_path_factory.mktemp("finished") / "project")
    pretend(project)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """The finished project; changes are taken back afterwards."""
    names = ("params.yaml", "code.lock", "src", "data", "scores", "resolved", "dvc.lock")
    for name in names:
        place = finished.place / name
        shutil.copytree(place, tmp_path / name) if place.is_dir() else shutil.copy(place, tmp_path / name)
    yield finished
    for name in names:
        place = finished.place / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        shutil.move(tmp_path / name, place)


def test_finished_project_has_nothing_to_do(project: Project) -> None:
    assert project.changed() == set()


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("synthesize.ratio", 0.5, painter("synthesize")),
        ("train_gan.pix2pix.epochs", 99, painter("train_gan")),
        (
            "train_segmenter.segmenters.light.base_width",
            9,
            arms("train_segmenter", ("light",)) | arms("train_segmenter_synthetic", ("light",)) | painter("screen"),
        ),
        ("evaluate.regions.tumor.tolerance", 9, arms("evaluate") | arms("evaluate_synthetic") | {"promote"}),
        ("report.examples", 2, set()),
    ],
)
def test_changed_setting_reruns_what_reads_it(key: str, value: Any, stages: set[str], project: Project) -> None:
    project.set(key, value)
    assert project.changed() == stages | {"report"}


@pytest.mark.parametrize(
    ("key", "value"), [("compute.devices", 2), ("tracking.experiment", "x"), ("promote.floor", 0.2)]
)
def test_setting_without_effect_on_results_leaves_the_trial_alone(key: str, value: Any, project: Project) -> None:
    project.set(key, value)
    assert project.changed() <= {"promote"}


def test_new_cell_trains_its_own_arms_only(project: Project) -> None:
    project.set("trial.cells", [0, 1])
    stages = ("train_segmenter", "train_segmenter_synthetic", "evaluate", "evaluate_synthetic")
    new = painter("train_gan", "synthesize", "screen", cell=1)
    assert project.changed() == {"report"}.union(new, *(arms(stage, cell=1) for stage in stages))


def test_new_synthetic_set_retrains_only_the_arms_that_see_it(project: Project) -> None:
    project.touch("data/synthetic/pix2pix/1.0/0/file")
    assert project.changed() == {"report"} | painter("screen") | arms("train_segmenter_synthetic")


def test_new_score_reruns_the_report_but_no_training(project: Project) -> None:
    project.touch("scores/real/light/1.0/0.json")
    assert project.changed() == {"evaluate@real-light-1.0-0", "report"}


def test_changed_code_reruns_what_imports_it_once_the_lock_is_renewed(project: Project) -> None:
    source = project.place / "src" / "nephrite"
    with (source / "models" / "discriminators.py").open("a") as file:
        file.write("\nCHANGED = 1\n")
    with (source / "tracking.py").open("a") as file:
        file.write("\nCHANGED = 1\n")
    refused = project.dvc("repro", check=False)  # though nothing else has changed
    assert "code.lock: is older than the code; renew it: nephrite lock" in refused.stderr
    project.lock()
    assert project.changed() == painter("train_gan")


def test_a_stage_beside_a_stale_lock_stops(project: Project) -> None:
    with (project.place / "src" / "nephrite" / "phantom" / "skeleton.py").open("a") as file:
        file.write("\nCHANGED = 1\n")
    refused = project.dvc("repro", "--force", "--single-item", "acquire", check=False)
    assert "code.lock: is older than the code of 'acquire'; renew it: nephrite lock" in refused.stderr


def test_outputs_lie_on_disk_once(project: Project) -> None:
    files = [
        project.place / "models" / "synthesizers" / "pix2pix" / "1.0" / "0" / "file",
        project.place / "promotion" / "decision.json",
    ]
    assert [path.stat().st_nlink for path in files] == [2, 2], "the file and DVC's cache are not one"


def test_arms_without_labels_are_added_with_their_painter(project: Project) -> None:
    project.set("train_gan.pix2pix.method", {"kind": "lesion_painter", "lesion_free": 1.0})
    project.set("screen.filter", "all")
    project.set("prepare.lesions", {"kidney": None, "tumor": None})
    project.set("prepare.lesion_free", {"training_patients": True, "margin": 1})
    project.set("trial.label_fractions", [0.5])
    before = project.changed()
    project.set("trial.without_labels", [{"name": "real+synthetic", "synthesizer": "pix2pix", "way": "append"}])
    added = {f"{stage}_unlabeled@fakes0-0" for stage in ("train_gan", "synthesize", "screen")}
    trained = {f"{stage}_unlabeled@fakes0-{net}-0" for stage in ("train_segmenter", "evaluate") for net in SEGMENTERS}
    assert project.changed() - before == added | trained


def test_trial_without_synthetic_arms_is_possible(project: Project) -> None:
    project.set("trial.training_sets.synthetic", [])
    project.set("trial.synthesizers", [])
    assert project.changed() == {"report"}


@pytest.mark.servers
@pytest.mark.slow
def test_remote_on_s3_gives_back_the_same_bytes_to_whoever_has_the_key(s3: Any, root: Path, tmp_path: Path) -> None:
    project = Project(root, tmp_path / "project")
    pretend(project)
    (project.place / "data/prepared/file").unlink()
    (project.place / "data/prepared/file").write_bytes(os.urandom(3_000_000))
    project.dvc("commit", "--force", "--quiet", "prepare")
    before = contents(project.place)
    project.dvc("remote", "add", "--default", "store", f"s3://{s3.bucket}/trial")
    project.dvc("remote", "modify", "store", "endpointurl", s3.address)
    keys = s3.keys
    project.dvc("push", keys=keys)
    for name in (".dvc/cache", *WRITTEN):
        shutil.rmtree(project.place / name)

    refused = project.dvc("pull", check=False, keys={**keys, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert refused.returncode != 0
    assert "ERROR" in refused.stderr
    assert contents(project.place) == {}

    project.dvc("pull", keys=keys)
    assert contents(project.place) == before


def contents(place: Path) -> dict[str, bytes]:
    """All output files of a project."""
    paths = [path for folder in WRITTEN for path in (place / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in paths}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its key; a map by numbers, which DVC cannot name in a key, counts as one."""
    if isinstance(value, dict) and value and all(isinstance(name, str) for name in value):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}".removeprefix("."))
    else:
        yield key, value


def as_hydra(value: Any) -> str:
    """As DVC's '-S' takes it: JSON, with keys of maps without quotes."""
    return re.sub(r'"(\w+)": ', r"\1: ", json.dumps(value))


def test_dvc_can_set_every_key_of_the_settings(root: Path, tmp_path: Path) -> None:
    config = load_config(root / "configs" / "kits19.yaml")
    settings = [*leaves(config.model_dump(mode="json", exclude={"arm", "painter"}))]
    shutil.copy(root / "configs" / "lidc.yaml", tmp_path / "params.yaml")
    clear = [f"~{key}" for key in ("train_gan.painted", "evaluate.regions.nodule", "evaluate.lesions")]
    clear += ["~prepare.classes", "~prepare.lesions"]
    texts = [f"++{key}={as_hydra(value)}" for key, value in settings]
    apply_overrides(tmp_path / "params.yaml", [*clear, *texts])
    assert load_config(tmp_path / "params.yaml") == config


@pytest.mark.slow
def test_experiment_with_changed_settings_resolves_them(root: Path, tmp_path: Path) -> None:
    project = Project(root, tmp_path / "project")
    project.dvc("config", "--unset", "core.no_scm")
    subprocess.run([BIN / "nephrite", "lock"], cwd=project.place, check=True, capture_output=True)
    author = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    for command in (("init",), ("add", "--all"), (*author, "commit", "--message", "x")):
        subprocess.run(["git", *command], cwd=project.place, check=True, capture_output=True)

    refused = project.dvc("exp", "run", "resolve", "-S", "screen.memorization=report", check=False)
    assert "use +screen.memorization=report" in refused.stderr
    wrong = project.dvc("exp", "run", "resolve", "-S", "+screen.memorisation=report", check=False)
    assert "screen.memorisation: unknown key; did you mean 'memorization'?" in wrong.stdout + wrong.stderr
    shutil.copy(root / CAPSTONE, project.place / "params.yaml")

    changes = ("trial.seed=8", "++screen.memorization=report", "+acquire.phantom.patients=9", "trial.cells=[0,1]")
    project.dvc("exp", "run", "resolve", *(part for text in changes for part in ("-S", text)))
    resolved = load_config(project.place / "resolved" / "settings.yaml")
    assert resolved == load_config(root / CAPSTONE, [text.lstrip("+") for text in changes])


@pytest.mark.slow
def test_whole_chain_runs_once_and_then_has_nothing_to_do(
    load: Callable[..., Config], root: Path, tmp_path: Path
) -> None:
    project = Project(root, tmp_path / "project")
    content = load(*CHAIN).model_dump(mode="json")
    (project.place / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    first = project.dvc("repro", warm=True)
    assert first.stdout.count("Running stage") == 17
    assert "not enough runs" in (project.place / "reports" / "summary.txt").read_text()
    assert (project.place / "promotion" / "decision.json").is_file()
    shown = json.loads(project.dvc("metrics", "show", "--json").stdout)[""]["data"]["reports/metrics.json"]["data"]
    assert 0 <= shown["dice"]["real light"]["tumor"] <= 1
    plotted = project.dvc("plots", "show", "--out", "plots").stdout
    assert (project.place / plotted.strip().removeprefix("file://")).is_file()
    assert [*(project.place / "plots" / "static").rglob("*learning.png")]

    second = project.dvc("repro")
    assert "Running stage" not in second.stdout
    assert "up to date" in second.stdout
