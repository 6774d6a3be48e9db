from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from nephrite.errors import LabelValueError, SourceError, TrialError, VolumeError
from nephrite.judging.given import Column, GivenScores
from nephrite.judging.scoring import Regions, score_folders
from tests.judging.conftest import box, write_map

TUMOR = Regions({"tumor": (2,)})


def score(folders: Path, regions: Regions = TUMOR, processes: int = 1) -> GivenScores:
    return score_folders(folders / "predictions", folders / "references", regions, processes=processes)


def of(given: GivenScores, metric: str, arm: str = "real") -> list[float]:
    return [float(value) for value in given.values[Column(arm, "0", "tumor", metric)]]


def test_label_maps_are_scored_in_mm_on_their_own_voxels(folders: Path) -> None:
    given = score(folders)
    assert given.patients == ("a", "b", "c")
    assert of(given, "dice") == pytest.approx([2 / 3, 2 / 3, 1])
    assert of(given, "recall") == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)
    assert of(given, "hd95") == pytest.approx([4, 4, 0])  # four rows of 1 mm
    assert of(given, "dice", "fakes") == [1, 1, 1]
    assert all(0 < value < 1 for value in of(given, "surface_dice")[:2])
    assert given.absent("tumor") == 1


def test_spacing_comes_from_the_header(folders: Path) -> None:
    for path in folders.rglob("*.nii.gz"):
        rows = slice(0, 0) if path.name == "c.nii.gz" else slice(4, 8 if "real" in path.parts else 12)
        write_map(path, box(rows), spacing=(2.0, 3.0, 1.0))
    assert of(score(folders), "hd95")[0] == pytest.approx(12)


def test_a_wider_tolerance_forgives_more(folders: Path) -> None:
    assert of(score(folders, Regions({"tumor": (2,)}, 4.0)), "surface_dice")[0] == pytest.approx(1)


def test_two_processes_find_what_one_finds(folders: Path) -> None:
    assert score(folders, processes=2).digest == score(folders).digest


def test_the_order_of_axes_does_not_matter(folders: Path) -> None:
    import nibabel as nib

    path = folders / "predictions" / "real" / "0" / "a.nii.gz"
    turned = nib.as_closest_canonical(nib.load(path))
    before = score(folders).digest
    nib.save(turned, path)
    assert score(folders).digest == before


def test_a_region_is_a_union_of_label_values(folders: Path) -> None:
    path = folders / "references" / "a.nii.gz"
    write_map(path, np.maximum(box(slice(4, 12)), box(slice(12, 16), 1)))
    given = score(folders, Regions({"kidney": (1, 2), "tumor": (2,)}))
    kidney = given.values[Column("fakes", "0", "kidney", "dice")][0]
    assert kidney == pytest.approx(2 * 8 / (8 + 12))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shift": 40.0}, "a.nii.gz: .*voxels away from the image"),
        ({"spacing": (2.0, 1.5, 1.0)}, "a.nii.gz: .*(affine|away)"),
    ],
)
def test_another_grid_is_refused_before_anything_is_scored(
    folders: Path, change: dict[str, float], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nephrite.judging.scoring.score_regions", lambda *_, **__: pytest.fail("scored"))
    write_map(folders / "predictions" / "fakes" / "1" / "a.nii.gz", box(slice(4, 12)), **change)  # type: ignore[arg-type] # by name
    with pytest.raises(VolumeError, match=told):
        score(folders)


def test_another_shape_is_refused(folders: Path) -> None:
    write_map(folders / "predictions" / "fakes" / "1" / "a.nii.gz", box(slice(4, 12))[:, :8])
    with pytest.raises(VolumeError, match=r"shape .* differs from the image's"):
        score(folders)


def test_predictions_without_reference_are_refused_and_references_without_prediction_left_aside(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_map(folders / "references" / "unused.nii.gz", box(slice(4, 12)))
    with caplog.at_level(logging.WARNING):
        assert score(folders).patients == ("a", "b", "c")
    assert "1 reference that no arm predicted, left aside" in caplog.text
    (folders / "references" / "b.nii.gz").unlink()
    with pytest.raises(SourceError, match=r"1 predicted patient without reference in .*, the first 'b'"):
        score(folders)


def test_an_arm_that_leaves_a_patient_out_is_refused(folders: Path) -> None:
    (folders / "predictions" / "fakes" / "1" / "b.nii.gz").unlink()
    with pytest.raises(TrialError, match=r"lacks 1 of 3 patients, the first 'b'.*arm 'fakes', replicate '1'"):
        score(folders)


def test_values_that_no_region_names_are_told(folders: Path, caplog: pytest.LogCaptureFixture) -> None:
    for replicate in ("0", "1"):
        write_map(
            folders / "predictions" / "real" / replicate / "a.nii.gz",
            np.maximum(box(slice(4, 8)), box(slice(12, 14), 7)),
        )
    with caplog.at_level(logging.WARNING):
        score(folders)
    assert "predictions of 'real' hold label values [7], which no region names" in caplog.text


def test_a_region_that_no_reference_has_is_refused(folders: Path) -> None:
    with pytest.raises(TrialError, match=r"hold nothing of 'cyst' \(label values \[3\]\); theirs are \[2\]"):
        score(folders, Regions({"tumor": (2,), "cyst": (3,)}))


def test_fractions_are_no_label_values(folders: Path) -> None:
    import nibabel as nib

    path = folders / "predictions" / "real" / "0" / "a.nii.gz"
    image = nib.Nifti1Image.from_filename(path)
    voxels = image.get_fdata()
    nib.save(nib.Nifti1Image((voxels * 0.7).astype(np.float32), image.affine), path)
    with pytest.raises(LabelValueError, match=r"a.nii.gz: label value 1.4 is not an integer"):
        score(folders)
