from __future__ import annotations

import json

import pytest

from nephrite.config import PercentileSettings, ResampleSettings, ResizeSettings, WindowSettings
from nephrite.errors import StoreError
from nephrite.imaging.recipe import Recipe, read_recipe

RECIPE = Recipe(
    {1: "kidney", 2: "tumor"},
    {"kidney": (1, 2), "tumor": (2,)},
    WindowSettings(kind="window", center=0, width=400),
    ResampleSettings(kind="resample", spacing=1.5, size=256),
    0.5,
)
MR = Recipe(
    {1: "liver"},
    {"liver": (1,)},
    PercentileSettings(kind="percentile", low=1, high=99),
    ResizeSettings(kind="resize", size=96),
    0.4,
    volumes={"liver": (9e5, 2.1e6)},
)


@pytest.mark.parametrize("recipe", [RECIPE, MR], ids=["ct", "mr"])
def test_recipe_comes_back_as_it_was(recipe: Recipe) -> None:
    read = read_recipe(recipe.to_text(), "here")
    assert read == recipe
    assert list(read.channels) == list(recipe.channels)  # their order is the outputs' order


@pytest.mark.parametrize("change", [{"format": 2}, {"threshold": "high"}, {"in_plane": {"kind": "other"}}])
def test_other_version_is_refused_in_one_line(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(RECIPE.to_text()), **change})
    with pytest.raises(
        StoreError, match=rf"model 'm' version 3: its tag 'recipe' .*{next(iter(change))}.*; run 'promote'"
    ):
        read_recipe(text, "model 'm' version 3")


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(StoreError, match="its tag 'recipe'"):
        read_recipe("kidney", "here")
