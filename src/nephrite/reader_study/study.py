"""A reader study as it lies on disk: drawn once, the same for all readers, with all that it shows.

study.json        Study: what each slice is, by what it was drawn; it answers for the pictures
slices/0007.png   the picture of a slice, through its intensity window
answers/anna.json what a reader said; see `nephrite.reader_study.answers`
report/           what came out; see `nephrite.reader_study.evaluation`
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image
from pydantic import Field

from nephrite import __version__
from nephrite.errors import StoreError
from nephrite.evidence import check_files, digest_files, read_sealed, sealed
from nephrite.files import whole_folder, write_json
from nephrite.reader_study.drawing import Draw, Shown, draw_slices
from nephrite.record_fields import STRICT, Count, Files, Inputs, Line, Sha256
from nephrite.seeds import derive_seed
from nephrite.store.records import Seed
from nephrite.store.slices import PairStore, SliceRef

RECORD, SLICES, KIND = "study.json", "slices", "reader-study"
NAMES = {"count": "slices of each kind:", "per_patient": "most slices of a patient:", "seed": "seed"}
OTHER_FOLDER = "name another folder with '--out'"


@dataclass(frozen=True)
class Asked:
    """By what a study is drawn.

    Attributes:
        count: slices of each kind.
        per_patient: most slices of one patient, of each kind; None: as few as there can be.
        seed: of the draw, and of the orders in which readers see it.
    """

    __pydantic_config__ = STRICT

    count: Annotated[int, Field(ge=2, le=1000)] = 30
    per_patient: Annotated[int, Field(ge=1, le=1000)] | None = None
    seed: Seed = 0


@dataclass(frozen=True)
class Study:
    """study.json.

    Attributes:
        painter: whose slices are shown, e.g. 'pix2pix/1.0/0'; the synthesizer's id where no trial names one.
        asked: by what it was drawn.
        slices, derived, unmatched, real_patients, synthetic_patients: see `Draw`.
        inputs: digests of both stores.
        files, digest: see `nephrite.evidence`.
        version: of the software that wrote it.
    """

    __pydantic_config__ = STRICT

    painter: Line
    asked: Asked
    slices: Annotated[tuple[Shown, ...], Field(min_length=2)]
    derived: Count
    unmatched: Count
    real_patients: Count
    synthetic_patients: Count
    inputs: Inputs
    files: Files
    version: Line
    digest: Sha256
    format: Literal[1] = 1

    @property
    def synthetic(self) -> Bool[np.ndarray, " slice"]:
        """Which slices are synthetic."""
        return np.array([shown.kind == "synthetic" for shown in self.slices])

    def order(self, reader: str) -> list[int]:
        """The numbers of all slices in the order in which a reader sees them: always the same, their own."""
        generator = np.random.default_rng(derive_seed(self.asked.seed, "order", reader))
        return [int(number) for number in generator.permutation(len(self.slices))]


def draw_study(pairs: Path, synthetic: Path, asked: Asked, out: Path, *, painter: str = "") -> Study:
    """Draw a study and write its folder; one that was drawn of the same is taken as it is.

    Args:
        pairs, synthetic: folders of the stores.
        asked: by what it is drawn.
        out: the study's folder.
        painter: name of the painter; '' takes the synthesizer's id.

    Raises:
        StoreError: the stores do not fit or hold too few slices, or the folder holds a study of another draw.
        OutputError: the folder holds something else.
    """
    real, fakes = PairStore(pairs), PairStore(synthetic)
    inputs = {"pairs": real.manifest.digest, "synthetic": fakes.manifest.digest}
    if (out / RECORD).exists():
        study = read_study(out)
        check_same(study, asdict(asked), inputs, out)
        return study
    draw = draw_slices(real, fakes, count=asked.count, per_patient=asked.per_patient, seed=asked.seed)
    with whole_folder(out, KIND) as folder:
        (folder / SLICES).mkdir()
        for number, shown in enumerate(draw.slices):
            store = real if shown.kind == "real" else fakes
            image = store.windowed(SliceRef(shown.patient, shown.position))
            (folder / picture_file(number)).write_bytes(encode_slice(image))
        _write_record(folder, draw, asked, inputs, painter or _synthesizer(fakes))
    return read_study(out)


def _write_record(folder: Path, draw: Draw, asked: Asked, inputs: Mapping[str, str], painter: str) -> None:
    files = digest_files(folder, [picture_file(number) for number in range(len(draw.slices))])
    facts = {"painter": painter, "asked": asdict(asked), **asdict(draw)}
    write_json(
        folder / RECORD, sealed({**facts, "inputs": inputs, "files": files, "version": __version__, "format": 1})
    )


def read_study(root: Path) -> Study:
    """Read a study, whose pictures must be as they were drawn.

    Raises:
        StoreError: the folder holds no study, or something of it was changed or lost.
    """
    remedy = f"draw the study again, and {OTHER_FOLDER}"
    study = read_sealed(root / RECORD, Study, remedy)
    names = [picture_file(number) for number in range(len(study.slices))]
    if sorted(study.files) != names:
        raise StoreError(root / RECORD, f"does not name the pictures of its {len(names)} slices", remedy)
    check_files(root, study.files, remedy)
    return study


def picture_file(number: int) -> str:
    """Where the picture of a slice lies in the study's folder."""
    return f"{SLICES}/{number:04d}.png"


def encode_slice(image: Float32[np.ndarray, "height width"]) -> bytes:
    """A slice in [0, 1] as a gray PNG that tells nothing but its pixels: without compression all are of one length."""
    gray = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    target = io.BytesIO()
    Image.fromarray(gray).save(target, format="PNG", compress_level=0)
    return target.getvalue()


def _synthesizer(fakes: PairStore) -> str:
    provenance = fakes.patient(fakes.patients()[0]).provenance
    return provenance.synthesizer if provenance else ""


def check_same(study: Study, asked: Mapping[str, object], inputs: Mapping[str, str], out: Path) -> None:
    """Refuse to go on with a study that was drawn otherwise.

    Args:
        study: that lies in the folder.
        asked: fields of `Asked`.
        inputs: digests of the stores.
        out: the folder.

    Raises:
        StoreError: names the first difference.
    """
    known = asdict(study.asked)
    differences = [(NAMES[name], known[name], value) for name, value in asked.items() if known[name] != value]
    differences += [
        (f"digest of '{name}'", f"{study.inputs.get(name, '')[:12]}...", f"{digest[:12]}...")
        for name, digest in inputs.items()
        if study.inputs.get(name) != digest
    ]
    for name, is_there, wanted in differences:
        raise StoreError(
            out, f"holds a study with {name} {is_there}, not {wanted}", f"go on with it, or {OTHER_FOLDER}"
        )
