from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import Config
from nephrite.errors import LabelValueError
from nephrite.imaging.label_maps.regions import Overlaps, RegionFile, assign_values, name_key
from nephrite.imaging.series import Series

Load = Callable[..., Config]
PLACE = Path("case_1")


class Named(RegionFile):
    def __init__(self, *names: str) -> None:
        self.path, self.names = PLACE / "rs.dcm", names

    def place(self, series: Series, names: Sequence[str]) -> None:
        raise AssertionError

    def masks(self, position: int) -> Iterator[tuple[str, np.ndarray]]:
        raise AssertionError


def test_names_of_classes_need_no_setting(load: Load) -> None:
    assert assign_values([Named("Kidney", " TUMOR ")], load().prepare) == [{"Kidney": 1, " TUMOR ": 2}]
    assert name_key(" Niere ß") == "niere ss"


def test_settings_name_classes_and_what_is_left_out(load: Load) -> None:
    settings = load("prepare.segments={GTV-1: tumor, gtv-2: tumor, Body: null}").prepare
    assert assign_values([Named("GTV-1", "GTV-2", "BODY")], settings) == [{"GTV-1": 2, "GTV-2": 2}]


def test_a_name_of_a_class_can_be_left_out(load: Load) -> None:
    settings = load("prepare.segments={kidney: null}").prepare
    assert assign_values([Named("kidney", "tumor")], settings) == [{"tumor": 2}]


@pytest.mark.parametrize(("rest", "wanted"), [("null", {"tumor": 2}), ("kidney", {"tumor": 2, "x": 1, "y": 1})])
def test_star_stands_for_all_other_names(load: Load, rest: str, wanted: dict[str, int]) -> None:
    settings = load(f"prepare.segments={{'*': {rest}}}").prepare
    assert assign_values([Named("tumor", "x", "y")], settings) == [wanted]


def test_unknown_names_are_listed(load: Load) -> None:
    finding = r"rs\.dcm: marks regions that are none of the classes \(kidney, tumor\) by name: 'GTV', 'Body'; say in"
    with pytest.raises(LabelValueError, match=finding):
        assign_values([Named("kidney", "GTV", "Body", "GTV")], load().prepare)


def test_long_lists_of_names_are_cut(load: Load) -> None:
    with pytest.raises(LabelValueError, match=r"'n11', \.\.\.; say"):
        assign_values([Named(*(f"n{number}" for number in range(40)))], load().prepare)


@pytest.mark.parametrize("names", [("a", "b"), ()])
def test_case_of_which_nothing_is_wanted_is_refused(load: Load, names: tuple[str, ...]) -> None:
    with pytest.raises(LabelValueError, match="'a', 'b'; say" if names else "none at all; say"):
        assign_values([Named(*names)], load("prepare.segments={'*': null}").prepare)


def test_class_in_two_files_is_refused(load: Load) -> None:
    with pytest.raises(LabelValueError, match="case_1: 2 label objects of this case mark 'kidney'"):
        assign_values([Named("kidney"), Named("kidney", "tumor")], load().prepare)
    assert len(assign_values([Named("kidney"), Named("tumor")], load().prepare)) == 2


def strip(start: int, stop: int) -> np.ndarray:
    mask = np.zeros((1, 1000), bool)
    mask[0, start:stop] = True
    return mask


@pytest.mark.parametrize("classes", ["{1: kidney, 2: tumor}", "{2: kidney, 1: tumor}"])
@pytest.mark.parametrize("organ", ["kidney", "null"])
def test_lesion_overrules_the_class_that_holds_it(load: Load, classes: str, organ: str) -> None:
    channels = {"{1: kidney, 2: tumor}": 2}.get(classes, 1)
    settings = load(
        f"prepare.classes={classes}", f"prepare.lesions={{tumor: {organ}}}", "prepare.channels={tumor: [1], k: [2]}"
    ).prepare
    overlaps = Overlaps(settings, PLACE)
    labels = overlaps.paint({3 - channels: strip(0, 500), channels: strip(100, 300)})
    overlaps.check()
    assert np.count_nonzero(labels == channels) == 200
    assert np.count_nonzero(labels == 3 - channels) == 300


def test_thin_border_goes_to_the_higher_value_with_a_warning(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    overlaps = Overlaps(load("prepare.lesions={}").prepare, PLACE)
    labels = overlaps.paint({2: strip(498, 900), 1: strip(0, 500)})
    with caplog.at_level(logging.WARNING):
        overlaps.check()
    assert np.count_nonzero(labels == 1) == 498
    assert "case_1: 2 voxels are of two classes: 'tumor' counts there" in caplog.text


def test_classes_that_share_more_than_a_border_are_refused(load: Load) -> None:
    overlaps = Overlaps(load("prepare.lesions={}").prepare, PLACE)
    for _ in range(2):
        overlaps.paint({1: strip(0, 500), 2: strip(400, 600)})
    finding = r"case_1: 'kidney' and 'tumor' share 200 voxels, 50% of the smaller one; name lesions"
    with pytest.raises(LabelValueError, match=finding):
        overlaps.check()
