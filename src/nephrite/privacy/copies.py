"""Which files of a patient are copied, under which names, and how: names of files may say who was scanned, too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nephrite.imaging.channels import channel_role
from nephrite.imaging.dicom import open_moai
from nephrite.imaging.dicom_file import read_content
from nephrite.imaging.layouts.pairing import Channel, Pair
from nephrite.imaging.sources import Case, Scan, open_scan
from nephrite.privacy.dicom_copy import copy_dicom
from nephrite.privacy.nifti_copy import copy_nifti
from nephrite.privacy.png_copy import copy_png


class Copy(NamedTuple):
    """One file, and where it goes below the folder of raw data.

    Attributes:
        source, target: files.
        number: which volume of a file of four axes; None = the whole file.
    """

    source: Path
    target: Path
    number: int | None = None


def plain_copies(case: Case | Scan, root: Path) -> list[Copy]:
    """Every file of a case, with its place below `root`; pairs of NIfTI files as in KiTS layout."""
    if case.layout in ("kits", "nifti"):
        return _nifti_copies(case, root, case.patient)
    parts = dict.fromkeys([case.image, case.label] if isinstance(case, Case) else [case.image])
    return [Copy(path, path.relative_to(root)) for part in parts for path in _files(part)]


def renamed_copies(case: Case | Scan, root: Path, name: str) -> list[Copy]:
    """The files of a case that readers read, with names that tell nothing but `name`: DICOM and PNG get numbers.

    Images are numbered in their order, and labels as the images that they belong to, so that they stay pairs.

    Args:
        case: found below `root`.
        root: its folder.
        name: of the patient.

    Raises:
        DataError: a DICOM series or its labels cannot be read.
    """
    if case.layout in ("kits", "nifti"):
        return _nifti_copies(case, root, name)
    return list(_dicom_copies(case, root, name))


def foreign_copies(pairs: Sequence[Pair], numbered: bool) -> list[Copy]:
    """The files of synthetic scans and their label maps, each pair in a folder of its own, in KiTS layout.

    Args:
        pairs: of a set, sorted.
        numbered: whether the folders get numbers, since the names of the files may be those of patients.
    """
    digits = len(str(len(pairs)))
    names = [f"{number:0{digits}d}" if numbered else pair.name for number, pair in enumerate(pairs, 1)]
    return [
        Copy(path, Path(name) / f"{role}{_suffix(path)}")
        for name, pair in zip(names, pairs, strict=True)
        for role, path in (("imaging", pair.image), ("segmentation", pair.label))
    ]


def write_copy(copy: Copy, target: Path, salt: str | None) -> None:
    """Copy one file below `target`; with the salt, without what its header says beside geometry and intensities.

    Raises:
        DataError: a file that is to be de-identified is damaged.
    """
    place = target / copy.target
    place.parent.mkdir(parents=True, exist_ok=True)
    name = copy.target.name.lower()
    if copy.number is not None:
        copy_nifti(copy.source, place, number=copy.number)
    elif salt is None:
        shutil.copyfile(copy.source, place)
    elif name.endswith((".nii", ".nii.gz")):
        copy_nifti(copy.source, place)
    elif name.endswith(".png"):
        copy_png(copy.source, place)
    else:
        copy_dicom(copy.source, place, salt)


def _nifti_copies(case: Case | Scan, root: Path, name: str) -> list[Copy]:
    """<patient>/imaging.nii.gz beside its segmentation.nii.gz; a scan alone may lie as <patient>.nii.gz."""
    channels = case.channels or (Channel(case.image),)
    if isinstance(case, Scan) and not (case.image.name.startswith("imaging.") and case.image.parent != root):
        (channel,) = channels
        return [Copy(channel.path, Path(name + _suffix(channel.path)), channel.number)]
    roles = [channel_role(number) for number in range(len(channels))] if len(channels) > 1 else ["imaging"]
    parts = dict(zip(roles, channels, strict=True))
    if isinstance(case, Case):
        parts["segmentation"] = Channel(case.label)
    return [Copy(path, Path(name) / f"{role}{_suffix(path)}", number) for role, (path, number) in parts.items()]


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


def _dicom_copies(case: Case | Scan, root: Path, name: str) -> Iterator[Copy]:
    # the images, in their order
    scan = open_scan(Scan(case.patient, "dicom", case.image))
    images, place = scan.sources["image"], _renamed(case.image, root, name)
    for number, path in enumerate(images, 1):
        yield Copy(path, place / f"{number:04d}.dcm")
    if isinstance(case, Scan):
        return
    # one PNG for each of them; for frames of one file, by the numbers of the frames
    labels = _renamed(case.label, root, name)
    if any(path.suffix.lower() == ".png" for path in case.label.iterdir()):
        volume = open_moai(case.image, case.label)
        paired, headers = volume.sources["label"], volume.series.images
        single = len(images) == len(paired)
        for number, (path, header) in enumerate(zip(paired, headers, strict=True), 1):
            yield Copy(path, labels / f"{number if single else header.instance or number:04d}.png")
    # DICOM objects that mark regions
    others = [path for folder in dict.fromkeys((case.image, case.label)) for path in _files(folder)]
    regions = [path for path in others if path not in images and read_content(path).kind == "regions"]
    for number, path in enumerate(regions, 1):
        yield Copy(path, (place if case.image in path.parents else labels) / f"regions-{number:04d}.dcm")


def _renamed(folder: Path, root: Path, name: str) -> Path:
    return folder.relative_to(root).with_name(name)


def _files(part: Path) -> list[Path]:
    return [part] if part.is_file() else sorted(path for path in part.rglob("*") if path.is_file())
