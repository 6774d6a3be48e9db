"""The same cases in every layout of NIfTI files that is read, written from a folder in KiTS layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

LABELS = {"background": 0, "kidney": 1, "tumor": 2}
OLD_LABELS = {str(value): name for name, value in LABELS.items()}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "nnunet": {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 12, "file_ending": ".nii.gz"},
    "nnunet_v1": {"modality": {"0": "CT"}, "labels": OLD_LABELS, "training": [], "tensorImageSize": "3D"},
    "decathlon": {"modality": {"0": "CT"}, "labels": OLD_LABELS, "training": [], "tensorImageSize": "3D"},
}
PLACES = {  # layout: where the scan and the label map of a case lie
    "nnunet": ("imagesTr/{}_0000", "labelsTr/{}"),
    "nnunet_v1": ("imagesTr/{}_0000", "labelsTr/{}"),
    "decathlon": ("imagesTr/{}", "labelsTr/{}"),
    "bids": ("{0}/anat/{0}_T1w", "derivatives/manual/{0}/anat/{0}_space-orig_dseg"),
    "bids_masks": ("{0}/ct/{0}_ct", "derivatives/{0}/ct/{0}_label-kidney_desc-manual_mask"),
    "folders": ("images/{}", "labels/{}"),
    "endings": ("{}_img", "{}_seg"),
}
TEST_SCANS = {"nnunet": "imagesTs/test1_0000", "nnunet_v1": "imagesTs/test1_0000", "decathlon": "imagesTs/test1"}


def put(source: Path, folder: Path, place: str) -> None:
    """Copy a NIfTI file to a place without its suffix, and a hidden twin as macOS leaves it."""
    target = folder / f"{place}.nii.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    (target.parent / f"._{target.name}").write_bytes(b"\x00\x05\x16\x07")


def put_session(case: Path, folder: Path, subject: str, session: int) -> None:
    """Copy a case in KiTS layout as the session of a subject in BIDS."""
    name = f"{subject}/ses-{session}/anat/{subject}_ses-{session}"
    put(case / "imaging.nii.gz", folder, f"{name}_T1w")
    put(case / "segmentation.nii.gz", folder, f"derivatives/{name}_dseg")


def write_layout(layout: str, kits: Path, folder: Path) -> Path:
    """Write the cases of a KiTS folder in another layout, with what lies beside them there."""
    images, labels = PLACES[layout]
    for case in sorted(kits.iterdir()):
        put(case / "imaging.nii.gz", folder, images.format(case.name))
        put(case / "segmentation.nii.gz", folder, labels.format(case.name))
    if layout in TEST_SCANS:
        put(kits / case.name / "imaging.nii.gz", folder, TEST_SCANS[layout])
    if layout in DESCRIPTIONS:
        (folder / "dataset.json").write_text(json.dumps(DESCRIPTIONS[layout]))
    if layout == "bids":
        table = "index\tname\n0\tBackground\n1\tkidney\n2\ttumor\n"
        (folder / "derivatives" / "manual" / "space-orig_dseg.tsv").write_text(table)
    return folder


CHANNELS = ("T1w", "FLAIR")


def second_channel(image: np.ndarray) -> np.ndarray:
    """What the second channel shows: other intensities of another range."""
    return (3 * image.astype(np.int32) + 1000).astype(np.int16)


def write_channels(layout: str, kits: Path, folder: Path) -> Path:
    """Write the cases of a KiTS folder with two channels: as nnU-Net, the Decathlon (four axes) or BIDS have them."""
    places = {"nnunet": ("imagesTr/{0}_0000", "imagesTr/{0}_0001"), "decathlon": ("imagesTr/{0}",)}
    places |= {"bids": tuple(f"{{0}}/anat/{{0}}_{channel}" for channel in CHANNELS)}
    for case in sorted(kits.iterdir()):
        first = nib.Nifti1Image.from_filename(case / "imaging.nii.gz")
        images = [np.asarray(first.dataobj), second_channel(np.asarray(first.dataobj))]
        if layout == "decathlon":
            images = [np.stack(images, axis=-1)]
        for place, image in zip(places[layout], images, strict=True):
            path = folder / f"{place.format(case.name)}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(image, first.affine), path)
        put(case / "segmentation.nii.gz", folder, PLACES[layout][1].format(case.name))
    if layout in DESCRIPTIONS:
        named = {str(number): name for number, name in enumerate(CHANNELS)}
        key = "channel_names" if layout == "nnunet" else "modality"
        (folder / "dataset.json").write_text(json.dumps({**DESCRIPTIONS[layout], key: named}))
    return folder
