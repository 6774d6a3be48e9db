"""The table of stages says what they really take, write and read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nephrite.config import Config, Settings
from nephrite.dependencies import settings_read
from nephrite.recording import SilentRun
from nephrite.signatures import APART, STAGES, WITHOUT_EFFECT
from tests.foreign_sets import ARMS, maisi, write_maisi

Load = Callable[..., Config]
GUARDS = (  # asked of, and trace left in no output: which arms, runs and names there are
    *("arm", "painter", "trial.training_sets", "trial.synthesizers", "trial.segmenters", "trial.label_fractions"),
    "trial.reference",  # in whose first arm a program's seed is tried
    "trial.without_labels",
    *("trial.cells", "trial.name"),
)


def places(section: Settings, prefix: str = "") -> Iterator[tuple[int, str]]:
    """Identity of every section below one, and its key."""
    for name in type(section).model_fields:
        value = section.__dict__[name]
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for own, part in inner:
            if isinstance(part, Settings):
                key = ".".join(filter(None, (prefix, name, str(own))))
                yield id(part), key
                yield from places(part, key)


def asks_what_depends() -> bool:
    """Whether the reader is the code that this table is for: it reads whatever is declared."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"] != "nephrite.dependencies":
        frame = frame.f_back
    return frame is not None


@contextmanager
def watched(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The keys of settings, as dotted text, that are read inside the block; copies of sections are not followed."""
    known, found = {id(config): "", **dict(places(config))}, set[str]()

    def reading(self: Settings, name: str) -> Any:
        value = object.__getattribute__(self, name)
        is_setting = name in type(self).model_fields and not isinstance(value, Settings)
        if is_setting and id(self) in known and not asks_what_depends():
            found.add(".".join(filter(None, (known[id(self)], name))))
        return value

    with monkeypatch.context() as patch:
        patch.setattr(Settings, "__getattribute__", reading)
        yield found


def undeclared(config: Config, stage: str, found: set[str]) -> set[str]:
    """Keys that were read and are neither declared nor without effect."""
    allowed = (*settings_read(config, stage), *WITHOUT_EFFECT, *GUARDS)

    def is_allowed(key: str) -> bool:
        return any(f"{key}.".startswith(f"{known}.") or f"{known}.".startswith(f"{key}.") for known in allowed)

    return {key for key in found if not is_allowed(key)}


def test_stages_and_others_have_different_names() -> None:
    assert not set(STAGES) & set(APART)
    for stage, signature in {**STAGES, **APART}.items():
        assert signature.output in signature.paths, stage
        assert signature.output not in signature.inputs, stage


@pytest.mark.parametrize(
    "arm",
    [
        *("real", "real+geometric", "real+standard", "real+standard+copy_paste", "real+standard+self_training"),
        *("real+negatives", "real+paste_free"),
    ],
)
def test_a_training_reads_the_settings_that_it_declares(
    arm: str, load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nephrite.stages.evaluate import evaluate
    from nephrite.stages.train_segmenter import train_segmenter

    sets = "real, real+geometric, real+standard, real+standard+copy_paste, real+standard+self_training"
    free = ("prepare.lesions={kidney: null, tumor: null}", "prepare.lesion_free.training_patients=true")
    config = load(
        *(*free, f"trial.training_sets.real=[{sets}, real+negatives, real+paste_free]", f"arm={arm}/light/0.67/0"),
        *("trial.label_fractions=[0.67]", "train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=1"),
    )
    folder, scores = tmp_path / "segmenter", tmp_path / "scores.json"
    with watched(config, monkeypatch) as found:
        train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
    assert "train_segmenter.learning_rate" in found
    assert undeclared(config, "train_segmenter", found) == set()

    with watched(config, monkeypatch) as found:
        evaluate(config, SilentRun(), pairs=pairs, segmenter=folder, scores=scores)
    assert undeclared(config, "evaluate", found) == set()


def test_scores_on_own_voxels_read_the_settings_that_they_declare(
    load: Load, kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nephrite.stages.acquire import acquire
    from nephrite.stages.evaluate import evaluate
    from nephrite.stages.prepare import prepare
    from nephrite.stages.train_segmenter import train_segmenter

    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", "arm=real/light/1.0/0"),
        *("train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=1"),
    )
    raw, pairs, folder = tmp_path / "raw", tmp_path / "pairs", tmp_path / "segmenter"
    acquire(config, SilentRun(), raw=raw)
    prepare(config, SilentRun(), raw=raw, pairs=pairs)
    train_segmenter(config, SilentRun(), pairs=pairs, segmenter=folder)
    kept, scores = tmp_path / "predictions", tmp_path / "scores.json"
    with watched(config, monkeypatch) as found:
        evaluate(config, SilentRun(), pairs=pairs, segmenter=folder, scores=scores, raw=raw, predictions=kept)
    assert any(key.startswith("prepare.in_plane") for key in found), sorted(found)
    assert undeclared(config, "evaluate", found) == set()


PAINTERS = {
    "trained": ("train_gan.pix2pix.epochs=1",),
    "on lesion-free scans": (
        *("prepare.lesions={kidney: null, tumor: null}", "prepare.lesion_free.training_patients=true"),
        *("trial.label_fractions=[0.67]", "prepare.lesion_free.margin=1"),
        "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 0.5, slices: apart, host: bright}",
    ),
    "without labels": (
        *("prepare.lesions={kidney: null, tumor: null}", "prepare.lesion_free.training_patients=true"),
        *("trial.label_fractions=[0.67]", "prepare.lesion_free.margin=1", "screen.filter=all"),
        "train_gan.pix2pix.method={kind: lesion_painter, lesion_free: 1, slices: apart, host: bright}",
        *("trial.without_labels=[{name: real+synthetic, synthesizer: pix2pix, way: append}]", "painter=pix2pix/0.0/0"),
    ),
    "recontrast": ("train_gan.pix2pix.method={kind: recontrast}",),
    "phantom patients": ("train_gan.pix2pix.method={kind: phantom_patients, matrix: 64}",),
}


@pytest.mark.parametrize("painter", PAINTERS)
def test_a_painter_reads_the_settings_that_it_declares(
    painter: str, load: Load, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nephrite.stages.screen import screen
    from nephrite.stages.synthesize import synthesize
    from nephrite.stages.train_gan import train_gan

    config = load("screen={segmenter: light, steps: 2, filter: report}", *PAINTERS[painter])
    folders = {name: tmp_path / name for name in ("synthesizer", "painted", "synthetic")}
    for stage in (train_gan, synthesize, screen):
        paths = {name: folders[name] for name in STAGES[stage.__name__].paths if name != "pairs"}
        with watched(config, monkeypatch) as found:
            stage(config, SilentRun(), pairs=pairs, **paths)
        assert found
        assert undeclared(config, stage.__name__, found) == set()


def test_prepare_reads_the_settings_that_it_declares(
    load: Load, kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nephrite.stages.acquire import acquire
    from nephrite.stages.prepare import prepare

    config = load("acquire.source=folder", f"acquire.folder.path={kits_folder}")
    with watched(config, monkeypatch) as found:
        acquire(config, SilentRun(), raw=tmp_path / "raw")
    assert undeclared(config, "acquire", found) == set()
    with watched(config, monkeypatch) as found:
        prepare(config, SilentRun(), raw=tmp_path / "raw", pairs=tmp_path / "pairs")
    assert undeclared(config, "prepare", found) == set()


def test_an_external_test_set_is_read_by_what_declares_it(
    load: Load, elsewhere: Path, kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nephrite.stages.acquire import acquire
    from nephrite.stages.evaluate import evaluate
    from nephrite.stages.prepare import prepare
    from nephrite.stages.train_segmenter import train_segmenter

    theirs = tmp_path / "theirs"
    for case in sorted(kits_folder.iterdir())[-2:]:
        theirs.mkdir(exist_ok=True)
        case.rename(theirs / case.name)
    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", "trial.where=external"),
        f"acquire.external={{path: {theirs}, classes: {{1: kidney, 2: tumor}}}}",
        *("arm=real/light/1.0/0", "train_segmenter.epochs=1", "train_segmenter.steps_per_epoch=1"),
    )
    folder, scores = tmp_path / "segmenter", tmp_path / "scores.json"
    calls: dict[str, Callable[[], object]] = {
        "acquire": lambda: acquire(config, SilentRun(), raw=tmp_path / "raw"),
        "prepare": lambda: prepare(config, SilentRun(), raw=tmp_path / "raw", pairs=tmp_path / "new"),
        "train_segmenter": lambda: train_segmenter(config, SilentRun(), pairs=elsewhere, segmenter=folder),
        "evaluate": lambda: evaluate(config, SilentRun(), pairs=elsewhere, segmenter=folder, scores=scores),
    }
    seen = all_declared(config, calls, monkeypatch)
    assert "acquire.external.path" in seen["acquire"]
    assert "acquire.external.classes" in seen["prepare"]
    assert "trial.where" in seen["evaluate"]


def all_declared(
    config: Config, calls: dict[str, Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, set[str]]:
    """Run stages, none of which may read what it does not declare; gives what each has read."""
    seen = {}
    for stage, call in calls.items():
        with watched(config, monkeypatch) as found:
            call()
        assert undeclared(config, stage, found) == set()
        seen[stage] = found
    return seen


def test_a_setting_that_is_read_and_not_declared_is_seen(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load("arm=real/light/1.0/0")
    with watched(config, monkeypatch) as found:
        assert config.prepare.split.train + config.evaluate.threshold
    assert undeclared(config, "train_segmenter", found) == {"prepare.split.train"}


def test_a_set_of_another_program_is_read_by_what_declares_it(
    load: Load, kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nephrite.stages.acquire import acquire
    from nephrite.stages.prepare import prepare
    from nephrite.stages.synthesize import synthesize
    from nephrite.stages.train_gan import train_gan

    config = load(
        *("acquire.source=folder", f"acquire.folder.path={kits_folder}", "prepare.in_plane={kind: resize, size: 32}"),
        *(maisi(write_maisi(tmp_path / "maisi", 2)), *ARMS),
    )
    raw, pairs, synthesizer, painted = (tmp_path / name for name in ("raw", "pairs", "synthesizer", "painted"))
    calls: dict[str, Callable[[], object]] = {
        "acquire": lambda: acquire(config, SilentRun(), raw=raw),
        "prepare": lambda: prepare(config, SilentRun(), raw=raw, pairs=pairs),
        "train_gan": lambda: train_gan(config, SilentRun(), pairs=pairs, synthesizer=synthesizer),
        "synthesize": lambda: synthesize(config, SilentRun(), pairs=pairs, synthesizer=synthesizer, painted=painted),
    }
    seen = all_declared(config, calls, monkeypatch)
    assert "acquire.synthetic.maisi.path" in seen["acquire"]
    assert {"acquire.synthetic.maisi.classes", "acquire.data_sets"} <= seen["prepare"]
    assert "synthesize.ratio" in seen["synthesize"]
