"""Every kind paints a slice from its part of the scene and its seed, whatever it is painted together with.

And the door for kinds: one module and one line of the registry are enough for a further one, and nobody else names any.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from nephrite import files
from nephrite.config import Config, TrainGanSettings
from nephrite.config.kinds import GENERATORS, kinds_of
from nephrite.files import read_json
from nephrite.generation.conditioning import Request
from nephrite.generation.kind import kind_of
from nephrite.generation.step_time import synthesizer_step_seconds
from nephrite.generation.synthesizers import Synthesizer, read_synthesizer
from nephrite.recording import SilentRun
from nephrite.stages.synthesize import synthesize
from nephrite.stages.train_gan import train_gan
from nephrite.store.slices import PairStore

Make = Callable[[str], Synthesizer]
Load = Callable[..., Config]
OTHER_WORDS = {"folder", "command"}  # kinds, and words of acquire.source, of segmenters and of many functions
every_kind = pytest.mark.parametrize("kind", ["pix2pix", "paint_in", "spade", "randomized"])
TOY = '''
"""The least that a generator can be: one convolution that learns from a discriminator."""

from typing import ClassVar, Literal

from nephrite.config import GeneratorSettings
from nephrite.generation.kind import AdversarialKind, Painted


class ToySettings(GeneratorSettings):
    WEARS_STYLE: ClassVar[bool] = True
    kind: Literal["toy"]
    reach: int = 3


class Toy(AdversarialKind[ToySettings]):
    def build(self, channels, size):
        from torch import nn

        return nn.Sequential(nn.Conv2d(channels, 1, self.settings.reach, padding="same"), nn.Sigmoid())

    def imagine(self, network, scene):
        return Painted(network(scene.condition))

    def paint(self, network, scene, seeds):
        return network(scene.condition) if scene.style is None else scene.style


SETTINGS, KIND = ToySettings, Toy
'''


@every_kind
def test_painting_is_repeated_by_its_seeds_and_changed_by_others(painter: Make, asked: Request, kind: str) -> None:
    made = painter(kind)
    first, again, other = (made.paint(asked, seeds) for seeds in ([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 5]))
    assert np.array_equal(first, again)
    assert np.array_equal(first[:3], other[:3])
    assert not np.array_equal(first[3], other[3])
    assert 0 <= first.min() < first.max() <= 1


@every_kind
def test_painted_slice_does_not_depend_on_its_batch(painter: Make, asked: Request, kind: str) -> None:
    made = painter(kind)
    together, alone = made.paint(asked, [1, 2, 3, 4]), made.paint(asked.take(slice(2, 3)), [3])
    assert np.allclose(together[2], alone[0], atol=1e-5)


@every_kind
def test_painting_leaves_network_and_random_numbers_as_they_were(painter: Make, asked: Request, kind: str) -> None:
    made = painter(kind)
    before, state = [value.clone() for value in made.network.state_dict().values()], torch.get_rng_state()
    made.paint(asked, range(4))
    assert made.network.training
    assert all(map(torch.equal, before, made.network.state_dict().values()))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "fitting"), [("pix2pix", 5), ("paint_in", 5), ("spade", 5)])
def test_network_is_no_deeper_than_its_slices_allow(painter: Make, kind: str, fitting: int) -> None:
    settings = painter(kind).kind.settings
    deep, exact = (settings.model_copy(update={"depth": depth}) for depth in (9, fitting))
    assert [*kind_of(deep).build(3, 32).state_dict()] == [*kind_of(exact).build(3, 32).state_dict()]


def test_every_kind_is_known_without_torch() -> None:
    script = (
        "import sys; from nephrite.config.kinds import *; kinds_of(GeneratorSettings); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_nobody_names_a_kind_but_its_own_module_and_the_registry(root: Path) -> None:
    """So no behavior hangs on a kind's name or class: no such text, and no import of a kind's module."""
    package, found, names = root / "src" / "nephrite", [], GENERATORS.keys() - OTHER_WORDS
    for path in package.rglob("*.py"):
        if path == package / "config" / "kinds.py" or path.parent == package / "generation" / "kinds":
            continue
        if path == package / "survey" / "proposal.py":  # it writes settings for people to read
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                found.append(f"{path.relative_to(package)}:{node.lineno} names {node.value}")
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("nephrite.generation.kinds."):
                found.append(f"{path.relative_to(package)}:{node.lineno} imports {node.module}")
    assert not found
    modules = [path for path in (package / "generation" / "kinds").glob("*.py") if path.stem in GENERATORS]
    assert len(modules) == len(GENERATORS)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A further kind: one module, and one line of the registry; what is made once per process is made anew."""

    def read_anew() -> None:
        kinds_of.cache_clear()
        files._reader.cache_clear()  # of cards
        for model in (TrainGanSettings, Config):
            model.model_rebuild(force=True)

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "toy_generator.py").write_text(TOY)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path / "code")
        patch.setitem(GENERATORS, "toy", "toy_generator")
        read_anew()
        yield
    sys.modules.pop("toy_generator", None)
    read_anew()


@pytest.mark.usefixtures("toy")
def test_a_new_kind_is_one_module_and_one_line_of_the_registry(load: Load, pairs: Path, tmp_path: Path) -> None:
    config = load("train_gan.pix2pix.method={kind: toy, reach: 5}", "synthesize.style=own", "synthesize.ratio=1.0")
    train_gan(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / "synthesizer")
    card, synthesizer = read_synthesizer(tmp_path / "synthesizer")
    assert (card.method.kind, card.trained, card.conditioning.rim) == ("toy", True, None)
    assert sum(weights.numel() for weights in synthesizer.network.parameters()) == 5 * 5 * 3 + 1
    assert [row["step"] for row in read_json(tmp_path / "synthesizer" / "history.json")] == [3, 6]

    synthesize(config, SilentRun(), pairs=pairs, synthesizer=tmp_path / "synthesizer", painted=tmp_path / "painted")
    painted, real = PairStore(tmp_path / "painted"), PairStore(pairs)
    assert len(painted.slices("train")) == 18
    images = painted.image("synthetic-a1").ravel(), real.image("a1").ravel()
    assert np.corrcoef(*images)[0, 1] > 0.99  # it wears its own style
    assert synthesizer_step_seconds(config, "pix2pix") > 0
