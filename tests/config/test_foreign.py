from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nephrite.config import Config, ForeignSettings, OriginSettings, ProvenanceSettings
from nephrite.config.foreign import HounsfieldSettings
from nephrite.errors import ConfigError

Load = Callable[..., Config]
CLASSES = {1: "kidney", 2: "tumor"}


def test_label_values_become_ours_and_all_others_are_left_out() -> None:
    settings = ForeignSettings.model_validate({"classes": {5: "kidney", 403: "tumor", 7: None}})
    assert settings.values(CLASSES) == {5: 1, 403: 2}
    assert ForeignSettings().values(CLASSES) == {1: 1, 2: 2}


def test_a_linear_map_goes_through_both_points() -> None:
    slope, intercept = HounsfieldSettings(stored=(0, 255), units=(-200, 310)).scale
    assert (slope * 0 + intercept, slope * 255 + intercept) == pytest.approx((-200, 310))


def test_unknown_nobody_and_somebody_are_told_apart() -> None:
    told = ProvenanceSettings.model_validate({"trained_on": "unknown", "masks_from": {"patients": []}})
    assert (told.trained_on.is_told, told.masks_from.is_told) == (False, True)
    assert OriginSettings(data_sets=("MSD",)).is_told


@pytest.mark.parametrize(
    ("wrong", "finding"),
    [
        ({"classes": {255: "kidney"}}, "255 marks pixels to be ignored"),
        ({"classes": {}}, "at least 1"),
        ({"images": "*_image.nii.gz"}, "given together"),
        ({"images": "img/x.nii.gz", "labels": "lab/*.nii.gz"}, "has not one"),
        ({"images": "../*.nii.gz", "labels": "lab/*.nii.gz"}, "below the folder"),
        ({"images": "*.nii.gz", "labels": "*.nii.gz"}, "the same"),
        ({"orientation": "RAP"}, "each axis once"),
        ({"intensity": {"stored": [1, 1]}}, "names 1 twice"),
        ({"provenance": {"trained_on": {"patient": []}}}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], finding: str) -> None:
    with pytest.raises(ValidationError, match=finding):
        ForeignSettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("overrides", "finding"),
    [
        (["train_gan.pix2pix.method={kind: folder, source: maisi}"], "names the set 'maisi'; not under"),
        (["acquire.synthetic={maisi: {path: x, classes: {1: liver}}}"], r"names \['liver'\]"),
        (["acquire.synthetic={maisi: {path: x, classes: {1: null}}}"], "background alone"),
        (["acquire.synthetic={maisi: {}}"], "needs 'path'"),
    ],
)
def test_sections_must_agree(load: Load, overrides: list[str], finding: str) -> None:
    with pytest.raises(ConfigError, match=finding):
        load(*overrides)


def test_a_set_of_a_version_needs_no_folder(load: Load, tmp_path: Path) -> None:
    version = f"acquire.dvc={{remote: {tmp_path}, version: {'0' * 32}.dir}}"
    assert load("acquire.source=dvc", version, "acquire.synthetic={maisi: {}}").acquire.synthetic["maisi"].path is None


def test_names_of_a_public_source_are_known(load: Load) -> None:
    assert "KiTS19" in load("acquire.source=kits19", "acquire.data_sets=[mine]").acquire.own_data_sets
    assert load("acquire.source=folder", "acquire.folder.path=x").acquire.own_data_sets == ()
