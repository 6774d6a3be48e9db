"""Which patients a folder holds: in KiTS layout, MOAI layout, as DICOM alone or as files with names, also side by side.

    <case>/imaging.nii.gz, <case>/segmentation.nii.gz             KiTS layout, .nii too
    train/DICOM/<case>/*.dcm, train/Label/<case>/*.png            MOAI layout, with or without train/
    <case>/*.dcm, or train/DICOM/<case>/*.dcm alone               slices, and DICOM SEG or RTSTRUCT beside them
    imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz           nnU-Net; the others of `layouts.pairing`, BIDS

Under Label/<case> DICOM SEG or RTSTRUCT may lie as well. DICOM files may lie in folders within the case's, and have any
name. Scans without label maps lie the same way, or as <patient>.nii.gz in the folder itself.

The name of the case's folder, or of the file, is the patient's id; ids in headers are never read. BIDS names patients
beside their scans.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nephrite.config import PrepareSettings
from nephrite.errors import SourceError
from nephrite.files import PARTIAL
from nephrite.imaging.cases import Case, Scan
from nephrite.imaging.channels import channel_role, stored_channels
from nephrite.imaging.dicom import open_dicom_scan, open_moai
from nephrite.imaging.dicom_elements import is_dicom
from nephrite.imaging.dicom_file import read_content
from nephrite.imaging.label_maps.region_volume import open_regions
from nephrite.imaging.layouts.bids import NO_SUBJECTS
from nephrite.imaging.layouts.filed import SUFFIXES, Filed, all_scans, labeled_scans, nothing_found
from nephrite.imaging.layouts.pairing import CHANNELS, PLACES, Channel
from nephrite.imaging.nifti import open_kits, open_nifti_scan
from nephrite.imaging.series import visible_files
from nephrite.imaging.volume import ScanVolume, Volume

__all__ = ["Case", "Scan"]  # with what is found
MOST_CHANNELS = 9  # with one stem; more are patients who were numbered
_NUMBERED = re.compile(r"(.+)_\d{4}")
_NO_SCAN = (".", "segmentation.")  # the latter where the folder of one case was given
_NO_CASE = {"train", "DICOM", "Label", *PLACES, *NO_SUBJECTS}  # of layouts
_NO_CASE |= {"unlabeled", "unlabelled", "lesion_free", "external", "synthetic"}  # of other groups


def find_cases(folder: Path, channels: Sequence[str] = ()) -> list[Case]:
    """List the cases of a folder, sorted by patient.

    Args:
        folder: of the cases.
        channels: names of those to take, of scans that have several; without any, scans have one.

    Raises:
        SourceError: the folder is missing or holds no case; a scan or label map is missing; it is not clear which files
            belong together; a name cannot be a patient id; one patient is there twice (ids that differ in upper and
            lower case only count as one).
    """
    if not folder.is_dir():
        raise SourceError(folder, "is not a folder", "give the folder that holds the cases")
    found = _kits_cases(folder) + _moai_cases(folder) + _dicom_cases(folder)
    found += [case for scan in labeled_scans(folder, channels) if (case := _filed_case(scan))]
    cases = sorted(found, key=lambda case: case.patient)
    if not cases:
        raise nothing_found(folder)
    check_ids(cases)
    _check_named(cases, channels)
    return cases


def find_scans(folder: Path, channels: Sequence[str] = ()) -> list[Scan]:
    """List the scans of a folder, sorted by patient; label maps beside them are ignored.

    Args:
        folder: of the scans.
        channels: see `find_cases`.

    Raises:
        SourceError: the folder is missing or holds no scan; a name cannot be a patient id, or is that of a second
            channel; one patient is there twice (ids that differ in upper and lower case only count as one).
    """
    if not folder.is_dir():
        raise SourceError(folder, "is not a folder", "give the folder that holds the scans")
    scans = sorted(_nifti_scans(folder, channels) + _dicom_scans(folder), key=lambda scan: scan.patient)
    if not scans:
        finding = "holds no scan: neither <case>/imaging.nii.gz, nor <name>.nii.gz, nor <case>/*.dcm, nor DICOM/<case>"
        raise SourceError(folder, finding, "give the folder above the scans, one file or folder per patient")
    check_ids(scans)
    _check_named(scans, channels)
    return scans


def find_either(folder: Path, channels: Sequence[str] = ()) -> list[Case | Scan]:
    """List the scans of a folder, each with its label map where one lies beside it; raises as `find_scans`."""
    filed = {scan.name: case for scan in all_scans(folder, channels) if (case := _filed_case(scan))}
    return [filed.get(scan.patient) or _with_label(folder, scan) or scan for scan in find_scans(folder, channels)]


def persons_told(cases: Iterable[Case | Scan]) -> dict[str, str]:
    """Case to person, for those whose layout tells."""
    return {case.patient: case.person for case in cases if case.person}


def check_others(folder: Path, scans: Sequence[Case | Scan], places: Mapping[str, str]) -> None:
    """Refuse a scan of a patient who stands elsewhere already: it could be one of the test patients.

    Args:
        folder: of these scans.
        scans: that are looked at.
        places: patient to the group that he or she is of.

    Raises:
        SourceError: names the scan and the group.
    """
    known = {patient.lower(): patient for patient in places}
    for scan in scans:
        if twin := known.get(scan.patient.lower()):
            finding = f"is of '{twin}', who stands among the {places[twin]}"
            raise SourceError(
                folder / scan.patient, finding, "leave the scan out, or rename it if it is another patient"
            )


def open_scan(scan: Scan) -> ScanVolume:
    """Open a scan with the reader of its layout; raises what that reader raises."""
    if scan.layout == "nifti":
        return open_nifti_scan(scan.image)
    return open_dicom_scan(scan.image)


def open_volume(case: Case, settings: PrepareSettings) -> Volume:
    """Open a case's scan and label map with the reader of its layout; raises what that reader raises.

    Args:
        case: its files.
        settings: which class a named region of a DICOM label object is.
    """
    if case.layout == "kits":
        volume = open_kits(case.image, case.label)
        if not case.channels:
            return volume
        return replace(volume, sources={**volume.sources, "image": tuple(channel.path for channel in case.channels)})
    if case.layout == "moai" and not _holds_dicom(case.label):
        return open_moai(case.image, case.label)
    return open_regions(case.image, case.label, settings)


def _with_label(folder: Path, scan: Scan) -> Case | None:
    """A scan with the label map beside it; None without one."""
    if scan.layout == "nifti":
        label = None if scan.image.parent == folder else _nifti(scan.image.parent, "segmentation")
        return Case(scan.patient, "kits", scan.image, label) if label else None
    label = next(
        (path for root in (folder / "train", folder) if (path := root / "Label" / scan.patient).is_dir()), None
    )
    if label:
        return Case(scan.patient, "moai", scan.image, label)
    return Case(scan.patient, "dicom", scan.image, scan.image) if _holds_regions(scan.image) else None


def _filed_case(scan: Filed) -> Case | None:
    return Case(scan.name, "kits", scan.image, scan.label, scan.person, scan.channels) if scan.label else None


def _kits_cases(folder: Path) -> list[Case]:
    cases, channels = [], stored_channels(folder)
    roles = [channel_role(number) for number in range(len(channels))] or ["imaging"]
    for path in _folders(folder):
        images, label = {role: _nifti(path, role) for role in roles}, _nifti(path, "segmentation")
        lacking = [role for role, image in images.items() if image is None]
        found = tuple(Channel(image) for image in images.values() if image)
        if not found and label is None:
            continue
        if lacking or label is None:
            missing = path / f"{lacking[0] if lacking else 'segmentation'}.nii.gz"
            raise SourceError(missing, "is missing", "add the file, or move the case's folder away")
        cases.append(Case(path.name, "kits", found[0].path, label, channels=found if channels else ()))
    return cases


def _nifti(case: Path, role: str) -> Path | None:
    found = [path for suffix in SUFFIXES if (path := case / f"{role}{suffix}").is_file()]
    if len(found) > 1:
        raise SourceError(case, f"holds both {found[0].name} and {found[1].name}", "keep one of them")
    return found[0] if found else None


def _moai_cases(folder: Path) -> list[Case]:
    """Cases under train/DICOM or DICOM; a folder of either kind without its counterpart is an error."""
    cases = []
    for root in (folder / "train", folder):
        images = {path.name: path for path in _folders(root / "DICOM")}
        labels = {path.name: path for path in _folders(root / "Label")}
        # a series without PNG labels may have its label objects beside it
        alone = {name for name in images.keys() - labels.keys() if _holds_regions(images[name])}
        cases += [Case(name, "dicom", images[name], images[name]) for name in alone]
        if missing := sorted((images.keys() ^ labels.keys()) - alone):
            place = root / ("Label" if missing[0] in images else "DICOM") / missing[0]
            raise SourceError(place, "is missing", "add the folder, or move its counterpart away")
        cases += [Case(name, "moai", images[name], path) for name, path in labels.items()]
    return cases


def _dicom_cases(folder: Path) -> list[Case]:
    """Folders of DICOM files, which must hold the label objects, too."""
    return [Case(path.name, "dicom", path, path) for path in _dicom_folders(folder)]


def _dicom_folders(folder: Path) -> list[Path]:
    """Folders that hold DICOM files, but for those of other layouts."""
    others = [path for path in _folders(folder) if path.name not in _NO_CASE]
    return [path for path in others if not _nifti(path, "imaging") and _holds_dicom(path)]


def _holds_dicom(folder: Path) -> bool:
    return any(path.suffix.lower() == ".dcm" or is_dicom(path) for path in visible_files(folder))


def _holds_regions(folder: Path) -> bool:
    return any(read_content(path).kind == "regions" for path in visible_files(folder))


def _nifti_scans(folder: Path, channels: Sequence[str]) -> list[Scan]:
    cases = [Scan(path.name, "nifti", image) for path in _folders(folder) if (image := _nifti(path, "imaging"))]
    filed = all_scans(folder, channels)
    # all other files of the folder itself
    known = {path for scan in filed for path in (scan.image, scan.label)}
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path not in known]
    names = [
        Scan(path.name.removesuffix(suffix), "nifti", path)
        for suffix in SUFFIXES
        for path in files
        if path.name.endswith(suffix) and not path.name.startswith(_NO_SCAN)
    ]
    return cases + [Scan(scan.name, "nifti", scan.image, scan.person, scan.channels) for scan in filed] + names


def _dicom_scans(folder: Path) -> list[Scan]:
    """Series under train/DICOM or DICOM, and other folders of DICOM files."""
    series = [path for root in (folder / "train", folder) for path in _folders(root / "DICOM")]
    return [Scan(path.name, "dicom", path) for path in series + _dicom_folders(folder)]


def _folders(parent: Path) -> list[Path]:
    """Visible folders in `parent`, without what a killed writer left; empty if there is no `parent`."""
    if not parent.is_dir():
        return []
    names = sorted(path for path in parent.iterdir() if path.is_dir())
    return [path for path in names if not path.name.startswith(".") and not path.name.endswith(PARTIAL)]


def _check_channels(cases: Sequence[Case] | Sequence[Scan]) -> None:
    """Refuse channels of one scan that would be taken for patients; many numbers with one stem are patients."""
    stems = Counter(found[1] for case in cases if (found := _NUMBERED.fullmatch(case.patient)))
    known = {case.patient: case for case in cases}
    for stem, count in stems.items():
        if count <= MOST_CHANNELS and {stem + channel for channel in CHANNELS} <= known.keys():
            finding = f"is a further channel of {stem} by its name, and a scan has one"
            remedy = "keep the channel to learn from, under the patient's id alone; if it is a patient, rename it"
            raise SourceError(known[stem + CHANNELS[1]].image, finding, remedy)


def _check_named(cases: Sequence[Case] | Sequence[Scan], channels: Sequence[str]) -> None:
    """Refuse scans whose layout names no channels, where some are asked for."""
    if channels and (alone := next((case for case in cases if not case.channels), None)):
        finding = f"is of a layout that names no channels, and '{channels[0]}' is asked for"
        raise SourceError(alone.image, finding, "leave 'acquire.channels' out, or lay scans out as nnU-Net does")


def check_ids(cases: Sequence[Case] | Sequence[Scan]) -> None:
    """Refuse names that cannot be ids, and one patient twice; raises SourceError."""
    _check_channels(cases)
    seen: dict[str, Case | Scan] = {}
    for case in cases:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", case.patient):
            finding = f"{case.patient!r} cannot be a patient id: letters, digits, '.', '_' and '-' only"
            raise SourceError(case.image, finding, "rename the case's folder or file")
        twin = seen.setdefault(case.patient.lower(), case)
        if twin is not case:
            finding = f"patient {case.patient} is there twice, also as {twin.image}"
            raise SourceError(case.image, finding, "keep one of them")
