from __future__ import annotations

from pathlib import Path

from nephrite.predicting.findings import Segmented, summary, write_volumes

CLASSES = {1: "kidney", 2: "tumor"}


def found(patient: str, voxel: float | None = 0.01, doubts: tuple[str, ...] = ()) -> Segmented:
    return Segmented(patient, 10, {}, voxel, {1: (12345, 8), 2: (50, 2)}, doubts)


def test_summary_has_a_column_per_class_and_names_the_scan_of_each_warning() -> None:
    lines = summary([found("a"), found("case_2", doubts=("is small", "is dark"))], CLASSES).splitlines()
    assert lines == [
        "scan    kidney ml  tumor ml",
        "a           123.5       0.5",
        "case_2      123.5       0.5",
        "2 warnings:",
        "case_2: is small",
        "case_2: is dark",
        "Not a medical device: nobody has checked these masks.",
    ]


def test_without_milliliters_voxels_are_told(tmp_path: Path) -> None:
    nominal = [found("a", None)]
    assert summary(nominal, CLASSES).splitlines()[:2] == [
        "scan  kidney voxels  tumor voxels",
        "a             12345            50",
    ]
    write_volumes(tmp_path / "volumes.csv", nominal, CLASSES)
    assert (tmp_path / "volumes.csv").read_text().splitlines()[1:] == ["a,kidney,,12345,8", "a,tumor,,50,2"]
