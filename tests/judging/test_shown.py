from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nephrite.errors import ConfigError, SourceError, VolumeError
from nephrite.judging.judge import Asked, Source, judge
from nephrite.judging.shown import GivenScans
from nephrite.report.web.patients import Pair, PatientRow
from tests.judging.conftest import SPACING

UNIT = ("your segmenter", 1)
PAIR = Pair("fakes", "real", {UNIT: {"1": 1.0}}, {UNIT: {"1": 0.7}})
ROWS = [PatientRow("1", 1.0, 0.7, UNIT)]
NUMBERS = {"a": "1", "b": "2", "c": "3"}
TUMOR = {"tumor": (2,)}
ASKED = Asked(("fakes", "real"))


def write_scan(path: Path, *, step: float = 1.0) -> None:
    """A scan that is brighter from row to row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.broadcast_to(np.arange(16, dtype=np.int16)[:, None], (6, 16, 16)) * 10 - 100
    affine = np.diag([-SPACING[2] * step, -SPACING[1], -SPACING[0], 1.0])
    image = nib.Nifti1Image(voxels.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


@pytest.fixture
def scans(folders: Path) -> GivenScans:
    for name in ("a.nii.gz", "b_0000.nii.gz", "c/imaging.nii.gz"):
        write_scan(folders / "scans" / name)
    return GivenScans(folders / "scans", folders / "predictions", folders / "references", (2,))


def content(element: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(element.partition(">")[2].removesuffix("</script>"))
    return found


def test_a_patient_is_shown_with_truth_and_both_arms(scans: GivenScans) -> None:
    scans.check()
    (element,), most = scans.elements(PAIR, ROWS, NUMBERS, ("0", "1"))
    shown = content(element)
    assert most == 24
    assert shown["patient"] == "1"
    assert shown["note"].startswith("Replicate 1, whose difference")
    assert [each["number"] for each in shown["slices"]] == [2, 3, 4, 5]  # two with the tumor, one beyond each end
    assert shown["slices"][1]["areas"] == [64, 32, 64]  # 8 x 8, 4 x 8 and 8 x 8 pixels of 1 mm
    with Image.open(io.BytesIO(base64.b64decode(shown["slices"][1]["image"].partition(",")[2]))) as image:
        gray = np.asarray(image.convert("L")).astype(float)
    assert gray[0].mean() < 30
    assert gray[-1].mean() > 225
    assert (np.diff(gray.mean(axis=1)) > 0).all()


def test_of_several_scans_the_first_one_is_shown(scans: GivenScans, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("case,patient\na,p\nb,p\nc,q\n")
    several = GivenScans(scans.scans, scans.predictions, scans.references, (2,), table)
    shutil.rmtree(scans.scans / "c")  # of another patient than the one that is asked for
    (scans.scans / "b_0000.nii.gz").unlink()
    (element,), _ = several.elements(PAIR, ROWS, {"p": "1", "q": "2"}, ("0", "1"))
    assert content(element)["slices"][1]["areas"] == [64, 32, 64]


def test_what_cannot_be_shown_is_one_line_before_anything_is_scored(scans: GivenScans, tmp_path: Path) -> None:
    (scans.scans / "b_0000.nii.gz").unlink()
    with pytest.raises(SourceError, match="has no scan of 1 predicted patient, the first 'b'"):
        scans.check()
    write_scan(scans.scans / "b.nii.gz", step=1.5)
    source = Source(None, scans.predictions, scans.references, TUMOR, scans=scans.scans)
    with pytest.raises(VolumeError, match=r"b\.nii\.gz"):
        judge(source, ASKED, tmp_path / "judged")
    assert not (tmp_path / "judged").exists()
    with pytest.raises(ConfigError, match="--scans: is given without label maps"):
        Source(tmp_path / "scores.csv", scans=scans.scans).check()


def test_dicom_label_maps_are_not_shown(scans: GivenScans) -> None:
    (scans.references / "a.nii.gz").rename(scans.references / "a.dcm")
    with pytest.raises(SourceError, match="is not shown beside a DICOM SEG"):
        scans.check()


def test_the_page_of_a_judgment_holds_slices_under_numbers_alone(scans: GivenScans, tmp_path: Path) -> None:
    source = Source(None, scans.predictions, scans.references, TUMOR, scans=scans.scans)
    judge(source, ASKED, tmp_path / "judged")
    page = (tmp_path / "judged" / "report.html").read_text()
    assert "Select a patient to see up to 24 slices." in page
    assert page.count("data:image/webp;base64") == 4 + 4 + 1
