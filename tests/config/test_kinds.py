from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import get_args

import pytest

from nephrite.config import Config, GeneratorSettings, KindSettings, SegmenterSettings, sections_in
from nephrite.errors import ConfigError
from tests.conftest import CAPSTONE

Load = Callable[..., Config]
PAINT_IN = "train_gan.pix2pix.method={kind: paint_in, base_width: 4, depth: 3, upsampling: resize, dropout: 0, rim: 2}"
RANDOMISED = "train_gan.pix2pix.method={kind: randomized, spread: 0.1}"
UNLABELED = ("train_gan.pix2pix.condition=anatomy", "train_gan.pix2pix.unlabeled=true")


def test_settings_of_all_kinds_are_read_without_torch() -> None:
    script = """
import sys
from pathlib import Path
from typing import get_args
from nephrite.config import GeneratorSettings, SegmenterSettings, load_config
load_config(Path(sys.argv[1]))
for module in [*SegmenterSettings.REGISTRY.values(), *GeneratorSettings.REGISTRY.values()]:
    assert module in sys.modules, module
sys.exit('torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script, str(CAPSTONE)], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("kind", SegmenterSettings.REGISTRY)
def test_a_kind_that_is_unknown_is_refused_with_those_that_are(load: Load, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"kind.*'{kind}'"):
        load("train_segmenter.segmenters.other={kind: transformer}")


@pytest.mark.parametrize("front", [GeneratorSettings, SegmenterSettings])
def test_every_line_of_a_registry_is_the_kind_that_its_settings_name(front: type[KindSettings]) -> None:
    kinds = [get_args(model.model_fields["kind"].annotation) for model in sections_in(front)]
    assert kinds == [(name,) for name in front.REGISTRY]


def test_settings_of_one_kind_are_themselves() -> None:
    kinds = sections_in(SegmenterSettings)
    assert sections_in(kinds[0]) == [kinds[0]]
    assert sections_in(dict[str, SegmenterSettings]) == kinds


@pytest.mark.parametrize(
    ("override", "rim"), [("train_gan.pix2pix.condition=labels", None), (RANDOMISED, None), (PAINT_IN, 2)]
)
def test_generator_says_whether_it_paints_regions(load: Load, override: str, rim: int | None) -> None:
    assert load(override).train_gan["pix2pix"].method.region_rim == rim


@pytest.mark.parametrize(("width", "asked", "factor"), [(16, 64, 16.0), (16, 16, 1.0), (16, 4, 1.0)])
def test_wide_networks_are_narrowed_and_cost_the_square(load: Load, width: int, asked: int, factor: float) -> None:
    method = load(f"train_gan.pix2pix.method.base_width={asked}").train_gan["pix2pix"].method
    narrow, found = method.narrowed(width)
    assert (narrow.model_dump()["base_width"], found) == (min(width, asked), factor)


def test_generator_without_a_width_stays_as_it_is(load: Load) -> None:
    method = load(RANDOMISED).train_gan["pix2pix"].method
    assert method.narrowed(16) == (method, 1.0)


def test_scans_without_labels_are_for_generators_that_can_learn_from_them(load: Load) -> None:
    assert load(*UNLABELED).train_gan["pix2pix"].unlabeled
    with pytest.raises(ConfigError, match="'unlabeled' needs 'condition: anatomy' and a method that paints whole"):
        load(*UNLABELED, PAINT_IN)
    with pytest.raises(ConfigError, match="'unlabeled' needs 'condition: anatomy' and a method that paints whole"):
        load(UNLABELED[1])
