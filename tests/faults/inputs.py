"""Damaged scans and records are read in a process with limits: refused in one line, or read; never a traceback."""

from __future__ import annotations

import gzip
import json
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from nephrite.config import load_config
from nephrite.errors import NephriteError
from nephrite.files import read_json
from nephrite.imaging.sources import find_cases, find_scans
from nephrite.metrics.scores import ArmScores
from nephrite.report.trial_file import read_trial
from nephrite.segmentation.artifacts import load_segmenter, read_card
from nephrite.stages.prepare import prepare_patient
from nephrite.store.slices import PairStore
from tests.conftest import SMALL
from tests.faults.harness import CAPSTONE, Outcome, nephrite, settings

LONGEST, LARGEST = 10, 2 * 2**30  # seconds and bytes of one input
CT = np.random.default_rng(0).integers(-200, 300, (24, 24, 5), dtype=np.int16)
Reader = Callable[[Path, Path], object]


def bad_scans(count: int, work: Path) -> Iterator[Outcome]:
    """Damage files of each layout, `count` times each."""
    for layout, (build, read) in {
        "KiTS": (_kits, _read_case),
        "MOAI": (_moai, _read_case),
        "NIfTI scan": (_nifti, _read_scan),
        "DICOM scan": (_dicom, _read_scan),
    }.items():
        whole = work / layout.split()[0].lower() / layout.split()[-1].lower()
        whole.mkdir(parents=True)
        build(whole)
        yield from _in_a_process(f"bad scans, {layout}", whole, read, count)


def bad_records(count: int, work: Path) -> Iterator[Outcome]:
    """Damage records of a finished trial."""
    done = nephrite(["trial", "--folder", "results", *settings("trial.cells=[0]")], work)
    if done.code:
        yield Outcome("bad records", "the trial itself", done.output[-300:])
        return
    results = work / "results"
    arm = "real/light/1.0/0"
    for name, place, read in (
        ("store", results / "data/prepared", _read_store),
        ("segmenter", results / "models/segmenters" / arm, _read_segmenter),
        ("scores", (results / "scores" / arm).parent, _read_score),
        ("report", results / "reports", _read_report),
    ):
        yield from _in_a_process(f"bad records, {name}", place, read, count, only=(".json", ".csv"))


def damage(path: Path, source: random.Random) -> str:
    """Damage a file; gives what was done."""
    content = path.read_bytes()
    if path.suffix == ".json" and source.random() < 0.7:
        return _damage_json(path, source)
    if path.suffix == ".gz" and source.random() < 0.7:  # below the checksum of gzip
        inner = path.with_suffix("")
        inner.write_bytes(gzip.decompress(content))
        done = damage(inner, source)
        path.write_bytes(gzip.compress(inner.read_bytes(), 1))
        inner.unlink()
        return f"{done} within gzip"
    way = source.choice(["flip", "flip", "head", "head", "cut", "empty", "repeat", "zeros", "other"])
    changed = bytearray(content)
    place = source.randrange(max(1, min(len(content), 400) if way == "head" else len(content)))
    if way in ("flip", "head"):
        for _ in range(source.choice([1, 1, 2, 8])):
            spot = min(len(content) - 1, place + source.randrange(8))
            changed[spot] = source.choice([0, 255, 127, changed[spot] ^ (1 << source.randrange(8))])
    elif way == "cut":
        del changed[place:]
    elif way == "empty":
        changed.clear()
    elif way == "repeat":
        changed[place:place] = content[place : place + 256]
    elif way == "zeros":
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    else:
        changed = bytearray(source.randbytes(64) if source.random() < 0.5 else b"<html>404</html>")
    path.write_bytes(bytes(changed))
    return f"{way} at {place} of {len(content)}"


STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e300, 10**400, float("nan"), float("inf"), "", "../../x", "a\nb", [], {}, [[]]),
    *({"a": 1}, "x" * 100_000, "\u0000", -(10**18)),
)


def _damage_json(path: Path, source: random.Random) -> str:
    content = json.loads(path.read_text())
    holders: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            holders.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    if isinstance(content, dict | list):
        walk(content)
    holder, key = source.choice(holders)
    way = source.choice(["strange", "strange", "missing", "more"])
    if way == "missing" and isinstance(holder, dict):
        del holder[key]
    elif way == "more" and isinstance(holder, dict):
        holder["surplus"] = 1
    else:
        holder[key] = source.choice(STRANGE)
    path.write_text(json.dumps(content))
    return f"{way} at {key}"


def _in_a_process(part: str, whole: Path, read: Reader, count: int, only: tuple[str, ...] = ()) -> Iterator[Outcome]:
    """Damage and read in one process, whose end is an outcome, too."""
    context = get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_try_all, args=(part, whole, read, count, only, results))
    process.start()
    heard = 0
    while heard < count:
        try:
            yield Outcome(*results.get(timeout=LONGEST * 3))
            heard += 1
        except Exception:
            if not process.is_alive():
                yield Outcome(part, f"input {heard}", f"the process ended with {process.exitcode}")
                break
    process.join(timeout=30)


def _try_all(part: str, whole: Path, read: Reader, count: int, only: tuple[str, ...], results: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _too_long)
    source = random.Random(part)
    place = whole.with_name(f"{whole.name}-damaged")
    for number in range(count):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        files = sorted(path for path in place.rglob("*") if path.is_file() and (not only or path.suffix in only))
        chosen = source.choice(files)
        done = f"{number}: {chosen.relative_to(place)}, {damage(chosen, source)}"
        fault, started = "", time.monotonic()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        signal.alarm(LONGEST)
        try:
            read(place, place.with_name("store"))
        except NephriteError as error:
            fault = "" if len(str(error).splitlines()) == 1 else f"not one line: {error}"
        except _TooLongError:
            fault = f"hangs: {LONGEST} s"
        except Exception as error:
            fault = f"traceback: {type(error).__name__}: {str(error)[:200]}"
        finally:
            signal.alarm(0)
            shutil.rmtree(place.with_name("store"), ignore_errors=True)
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        if not fault and taken > LARGEST:
            fault = f"takes {taken / 2**30:.1f} GiB"
        results.put((part, f"{done} ({time.monotonic() - started:.1f} s)", fault))


class _TooLongError(BaseException):
    """An input took too long."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


def _read_case(folder: Path, store: Path) -> None:
    config = load_config(CAPSTONE, SMALL)
    for case in find_cases(folder):
        prepare_patient(case, config.prepare, store)


def _read_scan(folder: Path, store: Path) -> None:
    config = load_config(CAPSTONE, SMALL)
    for scan in find_scans(folder):
        prepare_patient(scan, config.prepare, store)


def _read_store(folder: Path, _: Path) -> None:
    store = PairStore(folder)
    for patient in store.splits:
        store.image(patient), store.label(patient)
    store.slices("train")


def _read_segmenter(folder: Path, _: Path) -> None:
    read_card(folder)
    load_segmenter(folder)


def _read_score(folder: Path, _: Path) -> None:
    for path in sorted(folder.glob("*.json")):
        ArmScores.from_json(read_json(path), path)


def _read_report(folder: Path, _: Path) -> None:
    read_trial(folder / "trial.json")


def _image(voxels: np.ndarray) -> nib.Nifti1Image:
    image = nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return image


def _labels() -> np.ndarray:
    labels = np.zeros(CT.shape, np.uint8)
    labels[4:14, 4:14, 1:4], labels[6:9, 6:9, 2] = 1, 2
    return labels


def _kits(folder: Path) -> None:
    (folder / "case_1").mkdir()
    nib.save(_image(CT), folder / "case_1" / "imaging.nii.gz")
    nib.save(_image(_labels()), folder / "case_1" / "segmentation.nii.gz")


def _nifti(folder: Path) -> None:
    nib.save(_image(CT), folder / "patient.nii.gz")


def _dicom(folder: Path, name: str = "patient") -> None:
    (folder / name).mkdir(parents=True)
    for number in range(CT.shape[2]):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID, header.Modality = CTImageStorage, f"1.2.{number + 1}", "CT"
        header.SeriesInstanceUID, header.InstanceNumber = "1.2.840.1", number + 1
        header.ImagePositionPatient, header.ImageOrientationPatient = [0, 0, 3 * number], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.SliceThickness = [1, 1], 3
        header.RescaleSlope, header.RescaleIntercept = 1, 0
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.set_pixel_data(np.ascontiguousarray(CT[..., number]), "MONOCHROME2", 16, generate_instance_uid=False)
        header.save_as(folder / name / f"{number + 1:03d}.dcm", enforce_file_format=True)


def _moai(folder: Path) -> None:
    _dicom(folder / "train" / "DICOM", "patient")
    labels = folder / "train" / "Label" / "patient"
    labels.mkdir(parents=True)
    for number in range(CT.shape[2]):
        Image.fromarray(_labels()[..., number]).save(labels / f"{number + 1:03d}.png")
