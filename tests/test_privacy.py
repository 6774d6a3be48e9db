"""Markers planted wherever a name could stand occur in nothing that a trial writes, but for the file of names."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from nephrite.config import Config
from nephrite.errors import NephriteError
from nephrite.execution import Notes, run_stage
from nephrite.privacy.pseudonyms import VARIABLE, names_file
from nephrite.resolved import write_resolved
from nephrite.store.slices import PairStore

pytestmark = pytest.mark.slow
Load = Callable[..., Config]
MARKERS = tuple(
    f"{word}MARKER" for word in ("TAG", "PRIVATE", "FILE", "FOLDER", "PATIENT", "OWNER", "NIFTI", "PNG", "PREAMBLE")
)
PATIENTS, SIZE, SLICES = 10, 32, 5
SPLIT = "prepare.split={train: 0.5, validation: 0.25, test: 0.25, salt: %s}"


def plant_dicom(folder: Path, name: str, seed: int) -> None:
    """A DICOM series with PNG labels, in MOAI layout: a bright square of kidney with a brighter tumor."""
    random = np.random.default_rng(seed)
    images, labels = folder / "DICOM" / name, folder / "Label" / name
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for number in range(SLICES):
        label = np.zeros((SIZE, SIZE), np.uint8)
        row, column = random.integers(2, 16, 2)
        label[row : row + 12, column : column + 12] = 1
        label[row + 3 : row + 9, column + 3 : column + 9] = 2
        values = random.normal(-50, 20, label.shape) + 60 * label
        header = Dataset()
        header.SOPClassUID, header.Modality = CTImageStorage, "CT"
        header.SOPInstanceUID, header.SeriesInstanceUID = f"1.2.{seed}.{number + 1}", f"1.2.{seed}"
        header.PatientName = header.PatientID = header.StudyDescription = header.InstitutionName = "TAGMARKER"
        header.private_block(0x0011, "PRIVATEMARKER", create=True).add_new(1, "LO", "PRIVATEMARKER")
        header.ImagePositionPatient, header.ImageOrientationPatient = [0, 0, 2.0 * number], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.SliceThickness, header.InstanceNumber = [1, 1], 2, number + 1
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.set_pixel_data((values + 1024).astype(np.uint16), "MONOCHROME2", 16, generate_instance_uid=False)
        header.preamble = b"PREAMBLEMARKER".ljust(128)
        header.save_as(images / f"FILEMARKER_{number:02d}.dcm", enforce_file_format=True)
        texts = PngInfo()
        texts.add_text("Patient", "PNGMARKER")
        Image.fromarray(label).save(labels / f"FILEMARKER_{number:02d}.png", pnginfo=texts)


def plant_nifti(folder: Path, name: str, seed: int) -> None:
    """A scan without label map, named by the patient, with markers in its header and in gzip's."""
    values = np.random.default_rng(seed).normal(-50, 60, (SIZE, SIZE, SLICES)).astype(np.int16)
    image = nib.Nifti1Image(values, np.diag([1.0, 1, 2, 1]))
    image.header["descrip"], image.header["aux_file"] = b"NIFTIMARKER", b"NIFTIMARKER"
    image.header["intent_name"], image.header["db_name"] = b"NIFTIMARKER", b"NIFTIMARKER"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"NIFTIMARKER"))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.nii.gz").open("wb") as raw, gzip.GzipFile("FILEMARKER.nii", "wb", fileobj=raw) as packed:
        packed.write(image.to_bytes())


def plant_table(path: Path) -> None:
    """Whose the scans are: two of them are of one patient, and so is the one without labels."""
    owners = {f"PATIENTMARKER_{number}": f"OWNERMARKER, {max(number, 1)}" for number in range(PATIENTS)}
    rows = [*owners.items(), ("PATIENTMARKER_other", "OWNERMARKER, 1")]
    path.write_text("case,patient\n" + "".join(f'{case},"{owner}"\n' for case, owner in rows), encoding="utf-8")


def readings(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is packed in them."""
    content = path.read_bytes()
    yield content
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    if content[:2] == b"PK":
        import zipfile

        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if content[:4] == b"\x89PNG":
        with Image.open(path) as image:
            yield zlib.compress(b"") + repr(image.info).encode()


def found_in(folder: Path) -> dict[str, list[str]]:
    """Markers in names and bytes below a folder, in any case of letters."""
    found = {}
    for path in sorted(folder.rglob("*")):
        place = str(path.relative_to(folder))
        contents = [place.encode(), *(readings(path) if path.is_file() else ())]
        hits = [mark for mark in MARKERS if any(mark.lower().encode() in content.lower() for content in contents)]
        if hits:
            found[place] = hits
    return found


@pytest.fixture
def work(record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a trial on planted scans, which lie elsewhere."""
    source = tmp_path / "FOLDERMARKER"
    for number in range(PATIENTS):
        plant_dicom(source / "scans", f"PATIENTMARKER_{number}", number + 1)
    plant_nifti(source / "others", "PATIENTMARKER_other", 99)
    plant_dicom(source / "new", "PATIENTMARKER_new", 77)
    plant_table(source / "table.csv")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "names" / "patients.json"))
    return folder


def run(stage: str, config: Config, **paths: Path) -> None:
    """A stage with a real record of its run."""
    run_stage(stage, config, dict(paths), Notes())


def test_no_marker_leaves_the_terminal_and_the_file_of_names(work: Path, load: Load) -> None:
    source = work.parent / "FOLDERMARKER"
    settings = [
        "acquire.source=folder", f"acquire.folder.path={source / 'scans'}", f"acquire.unlabeled={source / 'others'}",
        f"acquire.patients.table={source / 'table.csv'}",
        "train_gan.pix2pix.epochs=1", "train_segmenter.epochs=1", "trial.segmenters=[light]",
        "trial.training_sets.real=[real+geometric]", "promote.floor=0.0",
        "trial.training_sets.synthetic=[{name: real+synthetic+geometric, synthesizer: pix2pix, way: append}]",
        "screen={filter: report, segmenter: light, steps: 2}",
    ]  # fmt: skip
    config = load(*settings)
    layout = {name: Path(name) for name in ("raw", "pairs", "synthesizer", "painted", "synthetic")}

    # data; a salt of the split that fills every part whatever the pseudonyms are
    run("acquire", config, raw=layout["raw"])
    config = filled(load, settings, layout)
    write_resolved(config, Path("resolved"))
    # the whole chain
    painter = config.model_copy(update={"painter": config.trial.painters[0]})
    for stage, names in (
        ("train_gan", ("pairs", "synthesizer")),
        ("synthesize", ("pairs", "synthesizer", "painted")),
        ("screen", ("pairs", "painted", "synthetic")),
    ):
        run(stage, painter, **{name: layout[name] for name in names})
    for arm in config.trial.arms:
        one = config.model_copy(update={"arm": arm})
        more = {"synthetic": layout["synthetic"]} if config.trial.painter(arm) else {}
        places = {"pairs": layout["pairs"], "segmenter": Path("segmenters") / str(arm)}
        run("train_segmenter", one, **places, **more)
        run("evaluate", one, **places, scores=Path("scores") / f"{arm}.json")
    run("report", config, pairs=layout["pairs"], scores=Path("scores"), report=Path("report"))
    run("promote", config, report=Path("report"), segmenters=Path("segmenters"), promotion=Path("decision.json"))
    run("predict", config, scans=source / "new", masks=Path("masks"))
    # a stage that fails with a text full of names
    broken = load(*settings[:1], f"acquire.folder.path={source / 'scans' / 'DICOM' / 'PATIENTMARKER_0'}")
    with pytest.raises(NephriteError, match="PATIENTMARKER"):
        run("acquire", broken, raw=Path("other"))
    (source / "table.csv").write_text(
        "case,patient\nPATIENTMARKER_0,OWNERMARKER\nPATIENTMARKER_0,another OWNERMARKER\n"
    )
    with pytest.raises(NephriteError, match="OWNERMARKER"):
        run("acquire", config, raw=Path("other"))

    # settings that name the sources lie in resolved/, which nobody keeps but the user: see dvc.yaml
    hits = {place: marks for place, marks in found_in(work).items() if not place.startswith("resolved")}
    assert hits == {}
    assert "PATIENTMARKER_new" in names_file().read_text()
    assert "OWNERMARKER, 1" in names_file().read_text()
    persons = PairStore(layout["pairs"]).persons()
    assert (len(persons), len({*persons.values()})) == (PATIENTS + 1, PATIENTS - 1)
    assert all(person.startswith("patient-") for person in persons.values())
    with Path("masks/volumes.csv").open(newline="") as file:
        assert {row["patient"] for row in csv.DictReader(file)} <= {path.name for path in Path("masks").iterdir()}


def filled(load: Load, settings: list[str], layout: dict[str, Path]) -> Config:
    """Settings with the first salt of the split that leaves nobody out, and the store that is made with them."""
    for salt in range(50):
        config = load(*settings, SPLIT % f"s{salt}")
        try:
            run("prepare", config, raw=layout["raw"], pairs=layout["pairs"])
        except NephriteError:
            continue
        store = PairStore(layout["pairs"])
        if all(len(store.patients(split)) >= 2 for split in ("train", "validation", "test")):
            return config
    raise AssertionError("no salt fills the split")


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    plant_dicom(tmp_path, "PATIENTMARKER", 1)
    plant_nifti(tmp_path, "x", 2)
    assert {mark for marks in found_in(tmp_path).values() for mark in marks} == {*MARKERS} - {
        "FOLDERMARKER",
        "OWNERMARKER",
    }
