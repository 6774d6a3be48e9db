from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nephrite.config import Config

Refusal = Callable[[str], str]

REFUSED = {
    "train_segmenter.intensity.gamma=[2, 1]": r"the first of \[2\.0, 1\.0\] is above the second",
    "train_segmenter.spatial.scale=[1.4, 0.7]": r"the first of \[1\.4, 0\.7\] is above the second",
    "train_segmenter.spatial.scale=[0, 1.4]": r"train_segmenter\.spatial\.scale.*greater than 0",
    "train_segmenter.window=0": r"train_segmenter\.window.*greater than or equal to 1",
    "train_segmenter.foreground=1.5": r"train_segmenter\.foreground.*less than or equal to 1",
    "train_segmenter.schedule=cosine": r"train_segmenter\.schedule.*'polynomial' or 'plateau'",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


@pytest.mark.parametrize(
    ("override", "asks"),
    [
        ("weights=last", False),
        ("weights=best", True),
        ("schedule=plateau", True),
        ("early_stopping=3", True),
    ],
)
def test_validation_is_asked_only_where_the_weights_depend_on_it(
    load: Callable[..., Config], override: str, asks: bool
) -> None:
    assert load(f"train_segmenter.{override}").train_segmenter.asks_validation == asks


def test_what_is_learned_from_is_a_window_or_a_whole_slice(load: Callable[..., Config]) -> None:
    assert [load(*more).learned_size for more in ([], ["train_segmenter.window=20"])] == [32, 20]
