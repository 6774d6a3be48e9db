"""What the program decides itself; what it asks of nnU-Net is tried in tests/segmentation/test_nnunet.py."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from nephrite.segmentation.programs import nnunet_program

SETTINGS = {"configuration": "2d", "patch": 32, "widths": [4, 8, 16], "batch": 3}


def test_synthetic_cases_are_drawn_as_often_as_their_share_says_however_many_there_are() -> None:
    cases = {"train": ["a", "b"], "synthetic": [f"s{number}" for number in range(40)], "extra": ["e"]}
    chances = nnunet_program._chances(cases, {"synthetic": 0.25, "extra": 0.15})
    assert sum(chances.values()) == pytest.approx(1)
    assert sum(chances[name] for name in cases["synthetic"]) == pytest.approx(0.25)
    assert chances["e"] == pytest.approx(0.15)
    assert chances["a"] == chances["b"] == pytest.approx(0.3)


def test_without_others_real_cases_are_all_there_is() -> None:
    chances = nnunet_program._chances({"train": ["a", "b"]}, {"synthetic": 0.0, "extra": 0.0})
    assert chances == {"a": 0.5, "b": 0.5}


def test_plans_get_the_size_of_the_settings_and_keep_all_else() -> None:
    architecture = {"arch_kwargs": {"n_stages": 7, "conv_bias": True}}
    plans = {"configurations": {"2d": {"batch_size": 12, "patch_size": [512, 448], "architecture": architecture}}}
    found = nnunet_program._sized(plans, SETTINGS)["configurations"]["2d"]
    assert (found["batch_size"], found["patch_size"]) == (3, [32, 32])
    kwargs = found["architecture"]["arch_kwargs"]
    assert (kwargs["n_stages"], kwargs["features_per_stage"], kwargs["conv_bias"]) == (3, [4, 8, 16], True)
    assert kwargs["strides"] == [[1, 1], [2, 2], [2, 2]]
    assert len(kwargs["n_conv_per_stage_decoder"]) == 2


def test_nnunets_own_plans_stay_where_no_size_is_asked_for() -> None:
    plans = {"configurations": {"2d": {"batch_size": 12, "patch_size": [512, 448]}}}
    asked = SETTINGS | {"patch": None, "batch": None}
    assert nnunet_program._sized(plans, asked)["configurations"]["2d"] == {"batch_size": 12, "patch_size": [512, 448]}


def test_a_configuration_that_nnunet_does_not_plan_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"error: nnU-Net plans no '3d_fullres' for these cases, only \['2d'\]"):
        nnunet_program._sized({"configurations": {"2d": {}}}, SETTINGS | {"configuration": "3d_fullres"})


def test_labels_are_counted_from_one_and_regions_with_them() -> None:
    table = np.zeros(256, np.uint8)
    table[[2, 7]] = [1, 2]
    assert nnunet_program._mapped(7, table) == 2
    assert nnunet_program._mapped([2, 7], table) == [1, 2]


def test_each_verb_asks_for_what_the_contract_gives() -> None:
    words = "fit --train t --validation v --plan p --steps 9 --seed 3 --threads 2 --out o --synthetic s --share 0.5"
    options = nnunet_program._options(words.split())
    assert (options.steps, options.seed, options.threads, options.share, options.extra) == (9, 3, 2, 0.5, None)
    assert options.synthetic == Path("s")


def test_it_runs_where_nephrite_is_not_installed() -> None:
    tree = ast.parse(Path(nnunet_program.__file__).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert "nephrite" not in {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in (alias.name for alias in node.names)
    }
