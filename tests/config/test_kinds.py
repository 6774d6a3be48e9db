"""Kinds that settings may name: what a generator says of itself, and how it is made quick to time."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from nephrite.config import Config, GeneratorSettings
from nephrite.config.kinds import GENERATORS, kinds_of, sections_in
from nephrite.errors import ConfigError

Load = Callable[..., Config]
PAINT_IN = "train_gan.pix2pix.method={kind: paint_in, base_width: 4, depth: 3, upsampling: resize, dropout: 0, rim: 2}"
RANDOMISED = "train_gan.pix2pix.method={kind: randomised, spread: 0.1}"
UNLABELLED = ("train_gan.pix2pix.condition=anatomy", "train_gan.pix2pix.unlabelled=true")


def test_every_line_of_the_registry_names_settings_of_its_kind() -> None:
    kinds = kinds_of(GeneratorSettings)
    assert [get_args(kind.model_fields["kind"].annotation) for kind in kinds] == [(name,) for name in GENERATORS]
    assert sections_in(dict[str, GeneratorSettings]) == [*kinds]


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
    assert load(*UNLABELLED).train_gan["pix2pix"].unlabelled
    with pytest.raises(ConfigError, match="'unlabelled' needs 'condition: anatomy' and a method that paints whole"):
        load(*UNLABELLED, PAINT_IN)
    with pytest.raises(ConfigError, match="'unlabelled' needs 'condition: anatomy' and a method that paints whole"):
        load(UNLABELLED[1])
