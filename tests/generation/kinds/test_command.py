"""A program learns from labeled patients, and paints whole label maps; what it does wrong is one line."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from nephrite.config import Config
from nephrite.dependencies import facts, trial_facts
from nephrite.errors import ConfigError, ProgramError
from nephrite.files import read_json
from nephrite.generation.demands import check_synthesizers
from nephrite.generation.kinds.command import CommandPainter, CommandPainterSettings
from nephrite.generation.synthesizers import read_synthesizer_card
from nephrite.layout import Layout
from nephrite.programs.case_folders import Case, Mask
from nephrite.recording import SilentRun
from nephrite.runner import run_trial
from nephrite.segmentation.backend import StoredScan
from nephrite.stages.synthesize import synthesize
from nephrite.stages.train_gan import train_gan
from nephrite.store.slices import PairStore
from tests.conftest import CLASSES, ROOT

Load = Callable[..., Config]
Make = Callable[..., CommandPainter]
EXAMPLE = ROOT / "examples" / "command" / "mean_and_noise.pl"
PERL = f"train_gan.pix2pix.method={{kind: command, command: [perl, {EXAMPLE}], files: [{EXAMPLE}]}}"
TRIAL = (
    *("trial.segmenters=[light]", "trial.cells=[0]", "trial.reference=real", "trial.training_sets.real=[real]"),
    *("trial.primary=kidney_and_tumor", "screen.filter=all"),
    "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: mix, share: 0.25}]",
)
MASK = Mask("m", np.array([[[0, 1], [2, 1]]], np.uint8), (3.0, 2.0, 1.0), (-200.0, 200.0))
# What follows keeps the contract: it remembers what it was given, and paints 100 times the label.
PROGRAM = """
import json, sys, time
from pathlib import Path
import nibabel, numpy

verb, *words = sys.argv[1:]
given = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2]))
out = Path(given["out"])

def fit():
    cases = sorted(path.name for path in Path(given["train"], "labelsTr").iterdir())
    told = json.loads(Path(given["train"], "dataset.json").read_text())
    (out / "given.json").write_text(json.dumps({"given": given, "cases": cases, "told": told}))

def paint(value=None, cut=0, name=None):
    assert "images" not in " ".join(path.name for path in Path(given["masks"]).iterdir())
    for path in Path(given["masks"], "labelsTr").iterdir():
        mask = nibabel.load(path)
        found = 100 * mask.get_fdata() - 100 if value is None else numpy.full(mask.shape, value)
        saved = nibabel.Nifti1Image(found[cut:].astype("float32"), mask.affine)
        nibabel.save(saved, out / (name or path.name))
"""
START = "\n{'fit-generator': fit, 'paint': paint}[verb]()\n"


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """A generator by a toy program, whose code may be changed by lines before its start."""

    def write(*lines: str, **settings: object) -> CommandPainter:
        path = tmp_path / "toy.py"
        path.write_text(PROGRAM + textwrap.dedent("\n".join(lines)) + START)
        known = {"kind": "command", "command": [sys.executable, str(path)], "files": [path], **settings}
        return CommandPainter(CommandPainterSettings.model_validate(known))

    return write


def cases(pairs: Path, *patients: str) -> Iterator[Case]:
    store = PairStore(pairs)
    return (Case(name, StoredScan(store, name), np.asarray(store.label(name))) for name in patients)


def emptied(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_it_is_given_cases_a_seed_and_steps(program: Make, pairs: Path, tmp_path: Path) -> None:
    model = emptied(tmp_path / "model")
    program(steps=7, threads=2).fit(cases(pairs, "a1", "a2"), CLASSES, model, 2**40 + 5)
    content = read_json(model / "given.json")
    given, told = content["given"], content["told"]
    assert list(given) == ["train", "seed", "threads", "steps", "out"]
    assert (given["seed"], given["steps"], given["threads"]) == ("5", "7", "2")
    assert content["cases"] == ["a1.nii.gz", "a2.nii.gz"]
    assert told["labels"] == {"background": 0, "kidney": 1, "tumor": 2}
    assert told["nephrite"]["windows"] == {"a1": [-200, 200], "a2": [-200, 200]}
    assert not Path(given["train"]).exists()  # nothing of a patient stays


def test_what_it_paints_has_the_windows_ends_at_0_and_1(program: Make, tmp_path: Path) -> None:
    (painted,) = program().paint_volumes(tmp_path, [MASK], CLASSES, 1)
    assert painted.tolist() == [[[0.25, 0.5], [0.75, 0.5]]]


def test_what_lies_beyond_the_window_is_cut_off_and_said(
    program: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (painted,) = program("import functools", "paint = functools.partial(paint, 1000)").paint_volumes(
        tmp_path, [MASK], CLASSES, 1
    )
    assert np.all(painted == 1)
    assert "1e+02 % of what it painted lies beyond the window, and was cut off" in caplog.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("def paint(): pass", "painted m.nii.gz: was not written; mend the program"),
        ("paint = lambda _p=paint: _p(name='other.nii.gz')", "painted m.nii.gz: was not written"),
        ("paint = lambda _p=paint: _p(cut=1)", r"painted m\.nii\.gz: .*; mend the program"),
        ("paint = lambda _p=paint: _p(float('nan'))", r"painted m\.nii\.gz: 4 intensities are NaN or infinite"),
        ("def paint(): (out / 'm.nii.gz').write_bytes(b'no')", r"painted m\.nii\.gz: .*; mend the program"),
        ("def paint(): sys.exit('no memory')", r"program 'python.* toy\.py paint': ended with exit code 1: no memory"),
        ("def paint(): time.sleep(60)", "took longer than 1 seconds and was ended"),
    ],
)
def test_a_fault_in_painting_is_one_line(program: Make, tmp_path: Path, change: str, told: str) -> None:
    painter = program(change, **({"limit": 1} if "sleep" in change else {}))
    with pytest.raises(ProgramError, match=told) as caught:
        list(painter.paint_volumes(tmp_path, [MASK], CLASSES, 1))
    assert "\n" not in str(caught.value)


def test_a_program_that_learned_nothing_is_refused(program: Make, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"^model folder of 'fit-generator': holds no file"):
        program("def fit(): pass").fit(cases(pairs, "a1"), CLASSES, emptied(tmp_path / "model"), 1)


def test_what_is_not_there_or_cannot_be_painted_is_refused_before_anything_runs(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"command 'no-such-program': is no program that can be started here"):
        check_synthesizers(load("train_gan.pix2pix.method={kind: command, command: [no-such-program]}"))
    missing = f"train_gan.pix2pix.method={{kind: command, command: [perl], files: [{tmp_path}/gone.pl]}}"
    with pytest.raises(ConfigError, match=r"names the file .*gone\.pl, which is not there"):
        check_synthesizers(load(missing))
    with pytest.raises(ConfigError, match=r"synthesize\.unlabeled: is above 0, and a generator of kind 'command'"):
        check_synthesizers(load(PERL, "synthesize.unlabeled=0.5", "synthesize.labeler={segmenter: light}"))
    with pytest.raises(ConfigError, match="shown labels alone: needs 'condition: labels'"):
        load(PERL, "train_gan.pix2pix.condition=anatomy")
    with pytest.raises(ValidationError):
        CommandPainterSettings.model_validate({"kind": "command", "command": []})


def test_a_change_of_its_files_trains_it_again(program: Make, load: Load) -> None:
    def known(*lines: str) -> tuple[object, object]:
        settings = program(*lines).settings
        train = load().train_gan["pix2pix"].model_copy(update={"method": settings})
        config = load("painter=pix2pix/1.0/0").model_copy(update={"train_gan": {"pix2pix": train}})
        return facts(config, "train_gan"), trial_facts(config)

    first, again, other = known(), known(), known("more = 1")
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_the_stages_paint_what_the_example_learned(load: Load, pairs: Path, tmp_path: Path) -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 30
    config, made = load(PERL, "synthesize.ratio=1.5", "synthesize.labeled_only=true"), tmp_path / "synthesizer"
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=made)
    card = read_synthesizer_card(made)
    assert card.training_patients == ("a1", "a2", "a3")
    assert {"model/looks.txt", "samples/drawn.png"} <= card.files.keys()
    assert card.inputs.keys() == {"pairs", "program"}
    # painted twice: the same
    stores = []
    for name in ("painted", "again"):
        synthesize(config, SilentRun(), pairs=pairs, synthesizer=made, painted=tmp_path / name)
        stores.append(PairStore(tmp_path / name))
    real, painted = PairStore(pairs), stores[0]
    assert len(painted.slices("train")) == 27
    assert painted.manifest.files == stores[1].manifest.files
    # each label has its mean of training, and label maps are those of the source's slices
    learned = np.concatenate([np.ravel(real.image(name)) for name in ("a1", "a2", "a3")])
    labels = np.concatenate([np.ravel(real.label(name)) for name in ("a1", "a2", "a3")])
    for name in painted.patients():
        known = painted.patient(name).provenance
        assert known is not None
        assert known.source_patient is not None
        assert np.array_equal(painted.label(name), real.label(known.source_patient)[list(known.source_slices)])
        for value in (0, 1, 2):
            found = painted.image(name)[painted.label(name) == value]
            assert found.mean() == pytest.approx(learned[labels == value].mean(), abs=4)
            assert found.std() == pytest.approx(learned[labels == value].std(), abs=4)


def test_the_example_goes_through_a_whole_trial(load: Load, record: str, tmp_path: Path) -> None:
    config, layout = load(PERL, *TRIAL), Layout(tmp_path / "trial")
    with ThreadPoolExecutor(1) as pool:
        run_trial(config, layout.root, processes=1, pool=pool)
    trial = read_json(layout.report / "trial.json")
    assert len(trial["arms"]) == 2
    (painter,) = config.trial.painters
    assert (layout.synthesizer(painter) / "model" / "looks.txt").is_file()
    assert PairStore(layout.synthetic(painter)).manifest.kind == "synthetic"


def test_a_program_that_fails_stops_the_arms_that_need_it_alone(
    program: Make, load: Load, record: str, tmp_path: Path
) -> None:
    settings = program("def fit(): sys.exit('error: no memory')").settings
    config = load(*TRIAL)
    train = config.train_gan["pix2pix"].model_copy(update={"method": settings})
    config = config.model_copy(update={"train_gan": {"pix2pix": train}})
    layout, told = Layout(tmp_path / "trial"), r"^trial: 1 arm failed, and all others are finished: program .*no memory"
    with pytest.raises(ProgramError, match=told), ThreadPoolExecutor(1) as pool:
        run_trial(config, layout.root, processes=1, pool=pool)
    real, _ = config.trial.arms
    (painter,) = config.trial.painters
    assert layout.score(real).is_file()
    assert not layout.synthesizer(painter).exists()
    assert not layout.report.exists()
