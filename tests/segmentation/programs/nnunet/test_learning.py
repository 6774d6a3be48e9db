from __future__ import annotations

import pytest

from nephrite.segmentation.programs.nnunet.learning import sized

SETTINGS = {"configuration": "2d", "patch": 32, "widths": [4, 8, 16], "batch": 3}


def test_plans_get_the_size_of_the_settings_and_keep_all_else() -> None:
    architecture = {"arch_kwargs": {"n_stages": 7, "conv_bias": True}}
    plans = {"configurations": {"2d": {"batch_size": 12, "patch_size": [512, 448], "architecture": architecture}}}
    found = sized(plans, SETTINGS)["configurations"]["2d"]
    assert (found["batch_size"], found["patch_size"]) == (3, [32, 32])
    kwargs = found["architecture"]["arch_kwargs"]
    assert (kwargs["n_stages"], kwargs["features_per_stage"], kwargs["conv_bias"]) == (3, [4, 8, 16], True)
    assert kwargs["strides"] == [[1, 1], [2, 2], [2, 2]]
    assert len(kwargs["n_conv_per_stage_decoder"]) == 2


def test_nnunets_own_plans_stay_where_no_size_is_asked_for() -> None:
    plans = {"configurations": {"2d": {"batch_size": 12, "patch_size": [512, 448]}}}
    asked = SETTINGS | {"patch": None, "batch": None}
    assert sized(plans, asked)["configurations"]["2d"] == {"batch_size": 12, "patch_size": [512, 448]}


def test_a_configuration_that_nnunet_does_not_plan_is_named() -> None:
    with pytest.raises(SystemExit, match=r"error: nnU-Net plans no '3d_fullres' for these cases, only \['2d'\]"):
        sized({"configurations": {"2d": {}}}, SETTINGS | {"configuration": "3d_fullres"})
