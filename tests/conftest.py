"""Fixtures shared by the tests: settings, a small pair store made without a scan, made-up trials, a real S3 server."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import boto3
import nibabel as nib
import numpy as np
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError
from mlflow.entities import Run as RunEntity
from mlflow.tracking import MlflowClient
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from nephrite import code_digest
from nephrite.config import Arm, Config, load_config
from nephrite.evidence import sealed
from nephrite.files import sha256
from nephrite.layout import Layout
from nephrite.metrics.scores import ArmScores, PatientScore, RegionScore, SliceScores
from nephrite.mlflow_client import connect
from nephrite.store.arrays import create_arrays
from nephrite.store.slices import PairStore, Patient, Provenance, finish_store, write_patient
from nephrite.tracking import open_run
from nephrite.verdict.trial import Trial, TrialPlan, synthetic_question

ROOT = Path(__file__).resolve().parent.parent
CAPSTONE = ROOT / "configs" / "capstone-phantom.yaml"  # many arms, which tests make small
SIZE = 32
WEED = (  # small volumes, even on a disk that is nearly full; no news, no ports of other services
    "-master.volumeSizeLimitMB=16",
    "-volume.minFreeSpace=100MiB",
    "-master.telemetry=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)
CLASSES = {1: "kidney", 2: "tumor"}
CHANNELS: dict[str, tuple[int, ...]] = {"kidney": (1,), "tumor": (2,)}
REFERENCE = "real+geometric"
RIVAL = "real+geometric+copy_paste"
GAINS = {"real": -0.1, REFERENCE: 0.0, "real+synthetic+geometric": 0.05}
SPLITS = {
    "a1": "train",
    "a2": "train",
    "a3": "train",
    "b1": "validation",
    "b2": "validation",
    "c1": "test",
    "c2": "test",
}


@pytest.fixture(autouse=True)
def seeded_torch() -> None:
    """The same random weights and inputs in every run; torch is not imported for tests that do without."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def own_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Pseudonyms of tests, and their salt, lie in a file of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEPHRITE_PATIENTS", str(tmp_path_factory.getbasetemp() / "names" / "patients.json"))
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def load() -> Callable[..., Config]:
    """Load the table of the capstone, which has many arms, made small, with overrides."""

    def load_small(*overrides: str) -> Config:
        return load_config(CAPSTONE, [*SMALL, *overrides])

    return load_small


@pytest.fixture(scope="session")
def empty_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables. To make one takes seconds, so it is made once and copied."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "record.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        connect()
    return path


@pytest.fixture
def record(empty_record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an MLflow record for one test, in a working folder of its own."""
    uri = f"sqlite:///{shutil.copyfile(empty_record, tmp_path / 'mlflow.db')}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    cluster = ("NEPHRITE_COMMIT", "NEPHRITE_KUBEFLOW_RUN", "NEPHRITE_POD", "NEPHRITE_NAMESPACE")
    for name in ("MLFLOW_RUN_ID", "NEPHRITE_TRIAL", "RANK", "LOCAL_RANK", *cluster):
        monkeypatch.delenv(name, raising=False)
    return uri


SMALL = (
    "tracking.patience=0",
    "acquire.phantom.patients=6",
    "acquire.phantom.matrix=64",
    "acquire.workers=1",
    f"prepare.in_plane={{kind: resize, size: {SIZE}}}",
    "prepare.workers=1",
    "train_gan.pix2pix.method={kind: pix2pix, base_width: 4, depth: 3, upsampling: transposed, dropout: 0.0}",
    "train_gan.pix2pix.discriminator={base_width: 4, layers: 1}",
    "train_gan.pix2pix.epochs=2",
    "train_gan.pix2pix.learning_rate=0.0002",
    "train_gan.pix2pix.sample_every=1",
    "train_segmenter.epochs=2",
    "train_segmenter.learning_rate=0.001",
    "train_segmenter.loss=dice",
    "trial.primary=tumor",
    "train_segmenter.steps_per_epoch=3",
    "train_segmenter.batch_size=4",
    "train_segmenter.segmenters.light={kind: unet, base_width: 4, depth: 2, padding: same, normalization: batch}",
    "screen.steps=30",
    "synthesize.masks=as_they_are",
    "report.resamples=200",
    "compute.accelerator=cpu",
    "compute.precision=32-true",
)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A real pair store: 7 patients x 6 slices of 32 px, a bright square of kidney with a brighter tumor."""
    root = tmp_path / "pairs"
    for number, patient in enumerate(SPLITS):
        write_pair(root, Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), version="test"), number)
    finish(root, "real", SPLITS)
    return root


EXTERNAL_PATIENTS = ("e1", "e2", "e3")


@pytest.fixture
def elsewhere(pairs: Path) -> Path:
    """The store of `pairs`, to which three patients of another hospital came."""
    for number, patient in enumerate(EXTERNAL_PATIENTS):
        write_pair(pairs, Patient(patient, (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), version="test"), 70 + number)
    finish(pairs, "real", SPLITS | dict.fromkeys(EXTERNAL_PATIENTS, "external"))
    return pairs


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """A synthetic pair store made from the training patients of `pairs`."""
    return write_synthetic(tmp_path / "synthetic", source="a1", known=("a1", "a2", "a3"))


def write_synthetic(root: Path, source: str, known: tuple[str, ...]) -> Path:
    """Write a synthetic store of one patient whose provenance names `source` and `known`."""
    provenance = Provenance(source, tuple(range(6)), (None,) * 6, "synthesizer-1", known)
    patient = Patient(f"synthetic-{source}", (4.0, 2.0, 2.0), "IPL", (-200.0, 200.0), provenance=provenance)
    write_pair(root, patient, 50)
    finish(root, "synthetic", {patient.patient: "train"})
    return root


def write_pair(root: Path, patient: Patient, seed: int) -> None:
    """Write one patient with a square of each class at a random place in every slice but the last."""
    rng = np.random.default_rng(seed)
    image, label = create_arrays(root, patient.patient, (6, SIZE, SIZE))
    image[:] = rng.normal(-50, 20, image.shape)
    for number in range(5):
        row, column = rng.integers(2, SIZE - 14, 2)
        label[number, row : row + 12, column : column + 12] = 1
        label[number, row + 3 : row + 9, column + 3 : column + 9] = 2
        image[number] += (label[number].astype(np.int16) * 60).astype(np.int16)
    write_patient(root, patient)


def finish(
    root: Path,
    kind: Literal["real", "synthetic"],
    splits: dict[str, str],
    persons: Mapping[str, str] | None = None,
) -> PairStore:
    """Finish a store of the tests; `persons` are patient to person where some have several scans."""
    finish_store(
        root,
        kind=kind,
        splits=splits,
        split_settings={"salt": "test"},
        classes=CLASSES,
        channels=CHANNELS,
        size=SIZE,
        version="test",
        persons=persons,
    )
    return PairStore(root)


def hash_again(root: Path) -> None:
    """Make the manifest of a store right again after its files, or it itself, were changed by hand."""
    content = json.loads((root / "store.json").read_text())
    files = {name: sha256(root / name) for name in content["files"] if (root / name).exists()}
    (root / "store.json").write_text(json.dumps(sealed({**content, "files": files})))


def without_first_patient(pairs: Path) -> None:
    """Take `a1` out of the training split."""
    finish(pairs, "real", SPLITS | {"a1": "test"})


def with_another_window(pairs: Path) -> None:
    """Make the store anew of the same patients, with another intensity window of `a1`."""
    meta = pairs / "patients" / "a1" / "meta.json"
    meta.write_text(meta.read_text().replace("200.0", "150.0"))
    finish(pairs, "real", SPLITS)


def with_weight(config: Config, weight: float) -> Config:
    """The settings with a weight of L1 that no file may give: losses become infinite."""
    settings = config.train_gan["pix2pix"].model_copy(update={"l1_weight": weight})
    return config.model_copy(update={"train_gan": {"pix2pix": settings}})


@pytest.fixture
def take_away(pairs: Path) -> Callable[[str, int], None]:
    """Make background of a class in all label maps of one split of `pairs`."""

    def take(split: str, value: int) -> None:
        for patient in [name for name, place in SPLITS.items() if place == split]:
            label = np.load(pairs / "patients" / patient / "label.npy", mmap_mode="r+")
            label[label == value] = 0
            label.flush()
        finish(pairs, "real", SPLITS)

    return take


@pytest.fixture
def kits_folder(tmp_path: Path) -> Path:
    """Twelve cases in KiTS layout: 5 slices of 40 x 48 px with a square of kidney and tumor."""
    folder = tmp_path / "source"
    for number in range(12):
        write_case(folder / f"case_{number:05d}", number)
    return folder


@pytest.fixture
def write_kits_case() -> Callable[..., None]:
    """The function that writes one case in KiTS layout."""
    return write_case


def write_case(folder: Path, seed: int, *, image: np.ndarray | None = None, label: np.ndarray | None = None) -> None:
    """Write one case; `image` or `label` replace what is written by default."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    drawn = np.zeros((5, 40, 48), np.uint8)
    drawn[1:4, 10:30, 12:36] = 1
    drawn[2:4, 15:22, 15:24] = 2
    scan = rng.normal(-50, 20, drawn.shape).astype(np.int16) + 60 * drawn.astype(np.int16)
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
    for name, voxels in (
        ("imaging", scan if image is None else image),
        ("segmentation", drawn if label is None else label),
    ):
        nib.save(nib.Nifti1Image(voxels, affine), folder / f"{name}.nii.gz")


@pytest.fixture
def make_arm() -> Callable[..., ArmScores]:
    """One arm whose tumor Dice is given for each patient."""

    def make(
        training_set: str, segmenter: str, cell: int, dice: Mapping[str, float], fraction: float = 1.0
    ) -> ArmScores:
        slices = SliceScores(10, 80.0, 60.0, {"kidney": 0.8, "tumor": None}, {"kidney": 5, "tumor": 0})
        patients = tuple(
            PatientScore(
                patient,
                {
                    "kidney_and_tumor": RegionScore(0.9, 0.85, 4.0, 180.0, 175.0),
                    "tumor": RegionScore(value, value, None if value == 0 else 8.0, 20.0, 18.0),
                },
                slices,
            )
            for patient, value in dice.items()
        )
        arm = Arm(training_set=training_set, segmenter=segmenter, fraction=fraction, cell=cell)
        return ArmScores(arm, patients, float(np.mean([*dice.values()])), 300, 12.5, round(40 * fraction))

    return make


@pytest.fixture
def make_arms(make_arm: Callable[..., ArmScores]) -> Callable[..., list[ArmScores]]:
    """All arms of a trial in which `gain` is what synthetic data really adds."""

    def make(
        cells: int = 3, patients: int = 10, segmenters: tuple[str, ...] = ("light", "fpn"), gain: float = 0.05
    ) -> list[ArmScores]:
        generator = np.random.default_rng(7)
        base = generator.uniform(0.3, 0.8, patients)
        gains = GAINS | {"real+synthetic+geometric": gain}
        return [
            make_arm(name, segmenter, cell, _dice(base + effect + generator.normal(0, 0.01, patients)))
            for segmenter in segmenters
            for name, effect in gains.items()
            for cell in range(cells)
        ]

    return make


@pytest.fixture
def make_trial(make_arms: Callable[..., list[ArmScores]]) -> Callable[..., Trial]:
    """A whole trial; arguments as for `make_arms`."""

    def make(**arguments: object) -> Trial:
        question = synthetic_question({"real+synthetic+geometric": REFERENCE}, REFERENCE)
        plan = TrialPlan("tumor", REFERENCE, question, resamples=2000, digest="0" * 64)
        return Trial(plan, tuple(make_arms(**arguments)))

    return make


@pytest.fixture
def null_trial(make_trial: Callable[..., Trial], make_arm: Callable[..., ArmScores]) -> Trial:
    """The usual trial with a null arm that lies 0.01 above the reference everywhere, on validation 0.2 above all."""
    trial = make_trial(cells=3)
    repeated = []
    for scores in trial.arms:
        if scores.arm.training_set == REFERENCE:
            dice = {score.patient: score.regions["tumor"].dice + 0.01 for score in scores.patients}
            null = make_arm(f"{REFERENCE}+null", scores.arm.segmenter, scores.arm.cell, dice)
            repeated.append(replace(null, validation_score=scores.validation_score + 0.2))
    return Trial(replace(trial.plan, copies={f"{REFERENCE}+null": REFERENCE}), (*trial.arms, *repeated))


@pytest.fixture
def wide_trial(make_arm: Callable[..., ArmScores]) -> Trial:
    """Two segmenters, three label fractions, two synthetic sets and a rival; synthetic data helps with few labels."""
    generator, cells = np.random.default_rng(5), 4
    base = generator.uniform(0.3, 0.6, 12)
    gains = {REFERENCE: 0.0, RIVAL: 0.02, "real+weak+geometric": -0.05, "real+synthetic+geometric": 0.05}

    def dice(gain: float, fraction: float) -> dict[str, float]:
        """More labels add to every arm, and leave less to gain."""
        reached = 0.2 * np.log10(10 * fraction) + gain * (1.1 - fraction)
        return _dice(base + reached + generator.normal(0, 0.01, 12))

    arms = [
        make_arm(name, segmenter, cell, dice(gain, fraction), fraction)
        for segmenter in ("light", "fpn")
        for fraction in (1.0, 0.1, 0.25)
        for name, gain in gains.items()
        for cell in range(cells)
    ]
    sets = ("real+weak+geometric", "real+synthetic+geometric")
    question = ("real+synthetic+geometric", REFERENCE)
    plan = TrialPlan("tumor", REFERENCE, question, 0.1, sets, (RIVAL,), resamples=500, digest="0" * 64)
    return Trial(plan, tuple(arms))


def _dice(values: np.ndarray) -> dict[str, float]:
    return {f"case_{number:05d}": float(value) for number, value in enumerate(values)}


class ObjectStore(NamedTuple):
    """A real S3 server with one bucket."""

    address: str
    bucket: str
    keys: dict[str, str]  # environment variables of whoever has access


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A real S3 server with one bucket, access by key only."""
    place = tmp_path_factory.mktemp("s3")
    keys = {"accessKey": "nephrite-test", "secretKey": "not-a-secret"}
    identities = [{"name": "test", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List"]}]
    (place / "s3.json").write_text(json.dumps({"identities": identities}))
    names = ("master", "volume", "filer", "s3")
    ports = dict(zip([f"-{n}.port{g}" for n in names for g in ("", ".grpc")], free_ports(8), strict=True))
    places = {"-ip": "127.0.0.1", "-ip.bind": "127.0.0.1", "-dir": place, "-s3.config": place / "s3.json"}
    options = [f"{name}={value}" for name, value in {**ports, **places}.items()]
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "weed"), "server", "-s3", "-volume.max=14", *WEED, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=place,
    )
    variables = {"AWS_ACCESS_KEY_ID": keys["accessKey"], "AWS_SECRET_ACCESS_KEY": keys["secretKey"]}
    store = ObjectStore(
        f"http://127.0.0.1:{ports['-s3.port']}", "nephrite", {**variables, "AWS_DEFAULT_REGION": "us-east-1"}
    )
    try:
        wait_for_bucket(store, server)
        yield store
    finally:
        server.kill()  # on 'terminate' it waits for its own peers
        server.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def wait_for_bucket(store: ObjectStore, server: subprocess.Popen[bytes]) -> None:
    """Make the bucket as soon as the server answers."""
    client = boto3.client(
        "s3",
        endpoint_url=store.address,
        aws_access_key_id=store.keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=store.keys["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=BotoConfig(retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5),
    )
    for _ in range(240):
        assert server.poll() is None, "the S3 server ended"
        try:
            client.create_bucket(Bucket=store.bucket)
            client.put_object(Bucket=store.bucket, Key="ready", Body=b"1")
            break
        except (BotoCoreError, ClientError):
            time.sleep(0.25)
    else:
        pytest.fail("the S3 server did not answer within a minute")
    client.close()


@pytest.fixture
def forget() -> Iterator[None]:
    """Read sources anew in the test, and after it."""
    yield
    forget_code()


def forget_code() -> None:
    """Read the code anew when its digest is asked for."""
    for answers in (code_digest.code_digest, code_digest._sources, code_digest._file):
        answers.cache_clear()


@pytest.fixture
def source(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: None) -> Path:
    """A copy of the package that is read in its place, so that its code can be changed."""
    copy = tmp_path / "nephrite"
    shutil.copytree(root / "src" / "nephrite", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "PACKAGE", copy)
    forget_code()
    return copy


def write_series(folder: Path, voxels: np.ndarray, places: Sequence[float] = ()) -> None:
    """A DICOM series of slices of rows x columns, the first one lowest, at `places` mm; rescale intercept -1024."""
    folder.mkdir(parents=True)
    for number, (plane, z) in enumerate(zip(voxels, places or 2.5 * np.arange(len(voxels)), strict=True)):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID, header.Modality = CTImageStorage, f"1.2.{number + 1}", "CT"
        header.SeriesInstanceUID, header.InstanceNumber = "1.2.840.111111", len(voxels) - number
        header.PatientID, header.PatientName = "", "Doe^Jane"
        header.ImagePositionPatient, header.ImageOrientationPatient = [-4, -3, float(z)], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.RescaleSlope, header.RescaleIntercept = [0.5, 0.75], 1, -1024
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        stored = (plane + 1024).astype(np.uint16)
        header.set_pixel_data(stored, "MONOCHROME2", 16, generate_instance_uid=False)
        header.save_as(folder / f"{len(voxels) - number}.dcm", enforce_file_format=True)


def strip_meta(path: Path) -> bytes:
    """A DICOM file as a bare data set: without preamble and meta information."""
    bare, content = Dataset(), io.BytesIO()
    bare.update(dcmread(path))
    bare.save_as(content, implicit_vr=True, little_endian=True)
    return content.getvalue()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished trial, written once; nobody changes it."""
    from tests.finished_trial import write_trial  # which imports this file

    return write_trial(tmp_path_factory.mktemp("written") / "trial").root


@pytest.fixture
def layout(written: Path, tmp_path: Path) -> Layout:
    """A copy of the finished trial for one test."""
    shutil.copytree(written, tmp_path / "trial")
    return Layout(tmp_path / "trial")


def runs(uri: str, **tags: str) -> list[RunEntity]:
    """All runs whose 'nephrite.' tags have these values, the oldest first."""
    client = MlflowClient(uri)
    found = client.search_runs(
        [e.experiment_id for e in client.search_experiments()], order_by=["attributes.start_time ASC"]
    )
    return [run for run in found if all(run.data.tags.get(f"nephrite.{key}") == value for key, value in tags.items())]


def record_stage(config: Config, stage: str) -> str:
    """Record a stage that does nothing; the id of its run."""
    with open_run(config, stage) as run:
        assert run.id
        return run.id
