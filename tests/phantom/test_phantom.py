"""The embedded abdomen phantom: reproducible, in KiTS19's layout, with tissues of plausible density."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from nephrite.files import sha256
from nephrite.phantom.anatomy import Cavity, Habitus, Outline, draw_habitus
from nephrite.phantom.canvas import Blob, Canvas, smooth_field, turned
from nephrite.phantom.kidneys import KIDNEY, TUMOR, Lesion, draw_kidneys, draw_lesions, paint_lesion
from nephrite.phantom.phantom import draw_patient, write_patient

MATRIX = 64
NUMBERS = range(4)
FILES = ("imaging.nii.gz", "segmentation.nii.gz")

draw = cache(lambda number: draw_patient(3, number, matrix=MATRIX))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patient(tmp_path_factory.mktemp("phantom"), 3, 12, matrix=MATRIX)


def plan(number: int) -> tuple[Habitus, list[Lesion]]:
    """What draw_patient drew before it painted."""
    parts = [np.random.default_rng(part) for part in np.random.SeedSequence([3, number]).spawn(3)]
    habitus = draw_habitus(parts[0])
    return habitus, draw_lesions(draw_kidneys(habitus, parts[1]), habitus, parts[2])


def test_equal_arguments_write_equal_bytes_whatever_was_written_before(case: Path, tmp_path: Path) -> None:
    write_patient(tmp_path, 3, 1, matrix=32)
    again = write_patient(tmp_path, 3, 12, matrix=MATRIX)
    assert [sha256(again / name) for name in FILES] == [sha256(case / name) for name in FILES]


def test_case_holds_exactly_the_two_files_of_kits19(case: Path) -> None:
    assert case.name == "case_00012"
    assert sorted(path.name for path in case.iterdir()) == list(FILES)


def test_an_unwritable_target_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gzip.compress", lambda *_, **__: (_ for _ in ()).throw(OSError("cut off")))
    with pytest.raises(OSError, match="cut off"):
        write_patient(tmp_path, 3, 0, matrix=32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "kind"), list(zip(FILES, (np.int16, np.uint8), strict=True)))
def test_headers_are_those_of_kits19(case: Path, name: str, kind: type) -> None:
    scan = nib.nifti1.load(case / name)
    rows, pixel = scan.shape[1:], float(scan.header.get_zooms()[1])
    assert scan.get_data_dtype() == kind
    assert nib.orientations.aff2axcodes(scan.affine) == ("I", "P", "L")
    assert rows == (MATRIX, MATRIX)
    assert 300 < pixel * MATRIX < 510


def test_both_files_share_one_geometry(case: Path) -> None:
    image, label = (nib.nifti1.load(case / name) for name in FILES)
    assert image.shape == label.shape
    np.testing.assert_array_equal(image.affine, label.affine)


def test_written_volumes_are_the_drawn_ones(case: Path) -> None:
    image, label, spacing = draw_patient(3, 12, matrix=MATRIX)
    stored = nib.nifti1.load(case / FILES[0])
    np.testing.assert_array_equal(np.asarray(stored.dataobj), image)
    np.testing.assert_array_equal(np.asarray(nib.nifti1.load(case / FILES[1]).dataobj), label)
    np.testing.assert_allclose(stored.header.get_zooms(), spacing, rtol=1e-6)


def test_patients_differ() -> None:
    sizes = {
        (label.shape, int((label == KIDNEY).sum()), int((label == TUMOR).sum())) for _, label, _ in map(draw, NUMBERS)
    }
    assert len(sizes) == len(NUMBERS)


def test_another_seed_gives_another_patient() -> None:
    image, label, _ = draw_patient(4, 0, matrix=MATRIX)
    assert image.shape != draw(0)[0].shape or not np.array_equal(label, draw(0)[1])


@pytest.mark.parametrize("number", NUMBERS)
def test_every_patient_has_kidney_and_tumor_and_no_other_class(number: int) -> None:
    image, label, _ = draw(number)
    assert [str(volume.dtype) for volume in (image, label)] == ["int16", "uint8"]
    assert set(np.unique(label)) == {0, KIDNEY, TUMOR}


@pytest.mark.parametrize("number", NUMBERS)
def test_kidneys_have_the_size_of_kidneys_and_lie_inside_the_scan(number: int) -> None:
    _, label, spacing = draw(number)
    pieces, count = ndimage.label(label > 0)
    volumes = ndimage.sum_labels(label > 0, pieces, np.arange(1, count + 1)) * np.prod(spacing) / 1000
    assert 60 < volumes.max() < 800
    assert not label[[0, -1]].any()


@pytest.mark.parametrize("number", NUMBERS)
def test_slices_number_25_to_70(number: int) -> None:
    image, _, spacing = draw(number)
    assert 25 <= len(image) <= 70
    assert 3.0 <= spacing[0] <= 5.0


@pytest.mark.parametrize("number", NUMBERS)
def test_kidney_takes_up_contrast(number: int) -> None:
    image, label, _ = draw(number)
    assert 60 < image[label == KIDNEY].mean() < 230


@pytest.mark.parametrize("number", NUMBERS)
def test_air_surrounds_the_body_and_fat_is_its_most_frequent_density_below_zero(number: int) -> None:
    image, _, _ = draw(number)
    assert image[:, 0, 0].max() == -1024
    assert abs(np.median(image[:, 2, MATRIX // 2]) + 1000) < 5
    fat = image[(image > -300) & (image < -30)]
    assert -115 < np.median(fat) < -90


def test_bone_and_gas_are_present() -> None:
    image, label, _ = draw(1)
    middle = image[:, MATRIX // 3 : 2 * MATRIX // 3, MATRIX // 4 : 3 * MATRIX // 4]
    assert middle.max() > 250
    assert middle.min() < -600
    assert image[label > 0].min() > -300


def test_liver_lies_on_the_low_columns_and_spine_at_the_back() -> None:
    bright = np.mean([np.mean((image > 30) & (image < 160), axis=(0, 1)) for image, _, _ in map(draw, NUMBERS)], axis=0)
    bone = np.mean([np.mean(image > 300, axis=(0, 2)) for image, _, _ in map(draw, NUMBERS)], axis=0)
    assert bright[: MATRIX // 2].sum() > 1.1 * bright[MATRIX // 2 :].sum()
    assert bone[MATRIX // 2 :].sum() > bone[: MATRIX // 2].sum()


@pytest.mark.parametrize(("is_tumor", "value"), [(True, TUMOR), (False, KIDNEY)])
def test_cysts_count_as_kidney_and_tumors_as_tumor(is_tumor: bool, value: int) -> None:
    cavity, label = Cavity(_ruler(), _far_wall()), np.zeros((48, 48, 48), np.uint8)
    body = Blob((0.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    paint_lesion(cavity, label, Lesion(body, None, 9.0, np.zeros((4, 4, 4), np.float32), is_tumor))
    assert set(np.unique(label)) == {0, value}
    np.testing.assert_allclose(cavity.canvas.image[22:26, 22:26, 22:26], 9.0, atol=0.01)


def test_most_cysts_have_the_density_of_water() -> None:
    cysts = [lesion.hounsfield for number in range(100) for lesion in plan(number)[1] if not lesion.is_tumor]
    assert 0.75 < np.mean(np.array(cysts) < 25) < 0.99


def test_tumor_volume_is_that_of_the_tumors_drawn() -> None:
    for number in NUMBERS:
        _, label, spacing = draw(number)
        drawn = sum(4.19 * np.prod(lesion.body.radii) for lesion in plan(number)[1] if lesion.is_tumor)
        assert 0.4 < (label == TUMOR).sum() * np.prod(spacing) / drawn < 1.6


def test_one_patient_in_about_fifteen_has_one_kidney() -> None:
    counts = [len(draw_kidneys(plan(0)[0], np.random.default_rng(number))) for number in range(225)]
    assert set(counts) == {1, 2}
    assert 6 <= counts.count(1) <= 28


def test_tumors_are_rarely_in_both_kidneys_and_vary_in_brightness() -> None:
    lesions = [[lesion for lesion in plan(number)[1] if lesion.is_tumor] for number in range(150)]
    both = [len({np.sign(lesion.body.center[0]) for lesion in tumors}) == 2 for tumors in lesions]
    brightness = [tumor.hounsfield for tumors in lesions for tumor in tumors]
    assert sum(both) < 20
    assert np.ptp(brightness) > 100


def test_a_voxel_cut_by_a_surface_takes_a_share() -> None:
    canvas = _ruler()
    box = canvas.box((0.0, 0.0, 0.0), (20.0, 20.0, 20.0))
    canvas.paint(box, canvas.coverage(Blob((0.0, 0.0, 0.0), (10.0, 10.0, 10.0)).level(canvas, box)), 100.0)
    assert canvas.image.max() == 100.0
    assert ((canvas.image > 5) & (canvas.image < 95)).sum() > 200
    assert abs(canvas.image.sum() / 100.0 / (4 / 3 * np.pi * 10**3) - 1) < 0.03


def test_a_turned_blob_keeps_its_volume_within_its_box() -> None:
    canvas = _ruler()
    blob = Blob((1.0, -2.0, 0.5), (8.0, 5.0, 14.0), turned(20, 30, 40))
    inside = blob.level(canvas, canvas.box(blob.center, blob.reach)) < 0
    assert abs(inside.sum() / (4 / 3 * np.pi * 8 * 5 * 14) - 1) < 0.03


def test_smooth_field_has_unit_deviation_and_no_jumps() -> None:
    place = np.linspace(-1, 1, 120, dtype=np.float32)
    coefficients = np.random.default_rng(0).standard_normal((20, 20, 20), dtype=np.float32)
    values = smooth_field(coefficients, place, place, place)
    assert abs(values.std() - 1) < 0.1
    assert max(np.abs(np.diff(values, axis=axis)).max() for axis in range(3)) < 1.5


def _far_wall() -> Outline:
    plane = np.zeros((48, 48), np.float32)
    return Outline(plane, plane + 1000, np.ones(48, np.float32))


def _ruler() -> Canvas:
    """A canvas of one millimeter per voxel, 48 to a side."""
    place = np.arange(48, dtype=np.float32) - np.float32(23.5)
    y, x = np.meshgrid(place, place, indexing="ij")
    return Canvas(np.zeros((48, 48, 48), np.float32), place, y, x, softness=1.0)
