from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nephrite.config import Config, ResampleSettings, ResizeSettings
from nephrite.errors import StoreError
from nephrite.files import write_json
from nephrite.metrics.scores import read_scores
from nephrite.metrics.windows import windows_of
from nephrite.report.web.patients import Pair, PatientRow
from nephrite.report.web.slices import Kept, LabelMaps, Views, read_found, slice_elements, views_of
from nephrite.store.slices import PairStore, SliceRef
from tests.conftest import SIZE
from tests.shown_trial import write_map

Load = Callable[..., Config]
UNIT = ("light", 0)
PAIR = Pair("fakes", "real", {UNIT: {"c1": 0.8, "c2": 0.7}}, {UNIT: {"c1": 0.5, "c2": 0.6}})
ROWS = [PatientRow("c1", 0.8, 0.5, UNIT, "best"), PatientRow("c2", 0.7, 0.6, UNIT)]
RESIZE = ResizeSettings(kind="resize", size=SIZE)


@pytest.fixture
def store(pairs: Path) -> PairStore:
    return PairStore(pairs)


def views(store: PairStore, patient: str = "c1") -> Views:
    """The reader's tumor, and both arms that find it somewhat elsewhere."""
    truth = np.asarray(store.label(patient)) == 2
    masks = (truth, np.roll(truth, 1, axis=1), np.roll(truth, 2, axis=2))
    return Views(patient, patient, masks, lambda place: store.windowed(SliceRef(patient, place)), (2.0, 2.0), "Cell 0")


def content(element: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(element.partition(">")[2].removesuffix("</script>"))
    return found


def test_a_patient_has_slices_areas_and_outlines_of_three_masks(store: PairStore) -> None:
    elements, most = slice_elements([views(store)], PAIR, ROWS, most=24, room=10**6)
    assert most == 24
    found = content(elements[0])
    assert found["names"] == ["truth", "without: real", "with: fakes"]
    assert found["note"] == "Cell 0, whose difference is closest to the mean: Dice with 0.800, without 0.500."
    assert [each["number"] for each in found["slices"]] == [1, 2, 3, 4, 5, 6]
    assert found["slices"][0]["areas"] == [36 * 4] * 3  # 6 x 6 pixels of 2 x 2 mm
    assert all(path.startswith("M") for path in found["slices"][0]["outlines"])
    assert found["slices"][5]["outlines"] == ["", "", ""]  # the last slice holds no tumor
    picture = base64.b64decode(found["slices"][0]["image"].partition(",")[2])
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.height, image.width) == ("WEBP", *found["size"])


def test_areas_are_told_in_pixels_where_voxel_sizes_are_made_up(store: PairStore) -> None:
    (element,), _ = slice_elements([replace(views(store), measured=False)], PAIR, ROWS, most=24, room=10**6)
    found = content(element)
    assert found["unit"] == "pixels"
    assert found["slices"][0]["areas"] == [36] * 3


def test_the_picture_shows_the_scan_through_its_window(store: PairStore) -> None:
    view = views(store)
    rows, columns = view.box
    with Image.open(io.BytesIO(base64.b64decode(view.picture(0).partition(",")[2]))) as image:
        shown = np.asarray(image.convert("L")) / 255
    expected = (np.asarray(store.image("c1")[0], float)[rows, columns] + 200) / 400
    assert np.abs(shown - expected).mean() < 0.05


def test_few_slices_are_spread_evenly_about_the_one_with_most_of_the_region(store: PairStore) -> None:
    view, truth = views(store), np.zeros((40, SIZE, SIZE), bool)
    truth[5:35, 10:12, 10:12] = True
    truth[21, 10:20, 10:20] = True
    long = replace(view, masks=(truth, truth, truth))
    assert long.start == 21
    chosen = long.chosen(5)
    assert len(chosen) == 5
    assert (chosen[0], chosen[-1]) == (4, 35)  # one beyond each end
    assert 21 in chosen
    assert max(np.diff(chosen)) < 13
    assert long.chosen(100) == [*range(4, 36)]


def test_without_the_region_the_middle_is_shown_whole(store: PairStore) -> None:
    nothing = np.zeros((6, SIZE, SIZE), bool)
    view = replace(views(store), masks=(nothing, nothing, nothing))
    assert view.chosen(24) == [3]
    assert view.box == (slice(0, SIZE), slice(0, SIZE))


def test_a_crop_holds_the_region_with_a_margin_and_stays_within_the_slice(store: PairStore) -> None:
    truth = np.zeros((1, 200, 200), bool)
    truth[0, 0:5, 100:180] = True
    rows, columns = replace(views(store), masks=(truth, truth, truth)).box
    assert (rows.start, rows.stop) == (0, 64)
    assert (columns.start, columns.stop) == (88, 192)


def test_where_room_is_short_all_patients_get_fewer_slices_and_at_last_none(store: PairStore) -> None:
    both = [views(store), views(store, "c2")]
    whole, _ = slice_elements(both, PAIR, ROWS, most=24, room=10**6)
    room = sum(map(len, whole)) // 2
    elements, most = slice_elements(both, PAIR, ROWS, most=24, room=room)
    assert sum(map(len, elements)) <= room
    assert 0 < most < 6
    counts = {len(content(element)["slices"]) for element in elements}
    assert counts == {most}
    first = content(elements[0])
    assert first["slices"][first["start"]]["number"] == both[0].start + 1
    assert slice_elements(both, PAIR, ROWS, most=24, room=100) == ([], 0)


@pytest.mark.parametrize("side", [SIZE, 2 * SIZE], ids=["as stored", "twice as fine"])
def test_a_label_map_of_the_scan_comes_to_the_grid_of_the_store(store: PairStore, tmp_path: Path, side: int) -> None:
    truth = np.asarray(store.label("c1"))
    fine = truth.repeat(side // SIZE, axis=1).repeat(side // SIZE, axis=2)
    write_map(tmp_path / "c1" / "segmentation.nii.gz", fine)
    found = read_found(tmp_path / "c1" / "segmentation.nii.gz", [2], RESIZE, truth.shape)
    np.testing.assert_array_equal(found, truth == 2)


def test_label_maps_of_another_scan_or_broken_ones_are_refused(store: PairStore, tmp_path: Path) -> None:
    path = tmp_path / "c1" / "segmentation.nii.gz"
    write_map(path, np.zeros((9, SIZE, SIZE), np.uint8))
    with pytest.raises(StoreError, match="has 9 slices, and its scan has 6"):
        read_found(path, [2], RESIZE, (6, SIZE, SIZE))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match="cannot be read"):
        read_found(path, [2], RESIZE, (6, SIZE, SIZE))


def test_a_resampled_grid_is_cropped_as_prepare_crops_it(tmp_path: Path) -> None:
    found = np.zeros((2, 40, 40), np.uint8)
    found[:, 18:22, 18:22] = 1
    write_map(tmp_path / "c1" / "segmentation.nii.gz", found)
    settings = ResampleSettings(kind="resample", spacing=2.0, size=SIZE)
    grid = read_found(tmp_path / "c1" / "segmentation.nii.gz", [1], settings, (2, SIZE, SIZE))
    np.testing.assert_array_equal(grid, found[:, 4:36, 4:36] == 1)


def test_what_lies_outside_of_scored_windows_is_dark_and_has_no_outlines(
    store: PairStore, load: Load, tmp_path: Path
) -> None:
    for name in ("real", "fakes"):
        folder = tmp_path / f"{name}/light/1.0/0"
        write_map(folder / "c1" / "segmentation.nii.gz", np.full(store.label("c1").shape, 2))
        write_json(folder / "manifest.json", {"segmenter": "a"})
    config = load("trial.primary=tumor", "evaluate.windows={size: 16, count: 1, free: 0}")
    (view,) = views_of(Kept(store, LabelMaps(tmp_path, 1.0, ()), config), PAIR, ROWS[:1], {"c1": ["c1"]})
    label = np.asarray(store.label("c1"))
    (window,) = windows_of(config, "c1", label)
    truth, without, _ = view.masks
    assert without.sum() == without.shape[0] * 16 * 16
    np.testing.assert_array_equal(truth, (label == 2) & without)
    bright = store.windowed(SliceRef("c1", 0))
    np.testing.assert_allclose(window.cut(view.gray(0)), window.cut(bright))
    assert view.gray(0)[~without[0]] == pytest.approx(bright[~without[0]] * 0.3)


def test_patients_without_label_maps_of_both_arms_are_left_out(store: PairStore, load: Load, tmp_path: Path) -> None:
    for name, patients in (("real", ("c1", "c2")), ("fakes", ("c2",))):
        for patient in patients:
            folder = tmp_path / f"{name}/light/1.0/0"
            write_map(folder / patient / "segmentation.nii.gz", np.asarray(store.label(patient)))
            write_json(folder / "manifest.json", {"segmenter": "a"})
    kept = Kept(store, LabelMaps(tmp_path, 1.0, ()), load("trial.primary=tumor"))
    (found,) = views_of(kept, PAIR, ROWS, {"c1": ["c1"], "c2": ["c2"]})
    assert found.patient == "c2"
    assert all((mask == (np.asarray(store.label("c2")) == 2)).all() for mask in found.masks)


def test_label_maps_of_another_training_are_refused(shown_trial_scores: tuple[Path, Path]) -> None:
    predictions, score = shown_trial_scores
    arm = read_scores(score)
    maps = LabelMaps(predictions, 1.0, (arm,))
    unit = (arm.arm.segmenter, arm.arm.cell)
    assert maps.path(arm.arm.training_set, unit, "c0")
    write_json(predictions / str(arm.arm) / "manifest.json", {"segmenter": "f" * 64})
    with pytest.raises(StoreError, match="of another segmenter than the one that was scored"):
        maps.path(arm.arm.training_set, unit, "c0")
