"""A trained synthesizer as a folder, and painting with it.

synthesizer.json        SynthesizerCard below, written last: a folder without it is no synthesizer
generator.safetensors   weights; those of the moving average where one was kept; none where nothing was trained
model/                  what a kind learned by its own means; see `nephrite.generation.kind.VolumeKind`
samples/*.png           sheets of label map, synthetic and real slice, as training went on
history.json            one row of metrics per epoch
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import Field, TypeAdapter
from torch import nn

from nephrite.config import ClassName, GeneratorSettings
from nephrite.errors import LeakageError, StoreError, TrainingError
from nephrite.evidence import check_files, digest_files, finished_files, read_sealed, sealed
from nephrite.files import digest, sha256, write_json
from nephrite.generation.conditioning import Conditioning, Request
from nephrite.generation.intensities import Intensity
from nephrite.generation.kind import kind_of
from nephrite.record_fields import (
    STRICT,
    Files,
    Inputs,
    LabelValue,
    Line,
    Number,
    PatientId,
    Sha256,
)
from nephrite.store.persons import visible
from nephrite.store.records import LARGEST
from nephrite.store.slices import PairStore
from nephrite.training.weights import load_weights, save_weights

CARD = "synthesizer.json"
WEIGHTS = "generator.safetensors"
HISTORY = "history.json"
MODEL = "model"
AGAIN = "run 'train_gan' again"


class Synthesizer:
    """What paints slices.

    Args:
        settings: of the method.
        conditioning: what it is shown.
        network: with its weights; an empty module where the method has none.
        intensities: of the training patients, for a kind that is not trained.
    """

    def __init__(
        self,
        settings: GeneratorSettings,
        conditioning: Conditioning,
        network: nn.Module,
        intensities: Sequence[Intensity] = (),
    ) -> None:
        self.kind, self.conditioning, self.network = kind_of(settings, intensities), conditioning, network
        self.device = next((weights.device for weights in network.parameters()), torch.device("cpu"))

    def to(self, device: str | torch.device) -> Synthesizer:
        """The same on another device."""
        self.network.to(memory_format=torch.channels_last)
        self.network.to(device)
        self.device = torch.device(device)
        return self

    def paint(self, request: Request, seeds: Sequence[int]) -> Float32[np.ndarray, "slice h w"]:
        """Paint slices in [0, 1], each from its part of the request and its seed alone.

        The precision is float32 whatever the training's was.

        Raises:
            TrainingError: a pixel is NaN or infinite, e.g. since the last training step broke the weights.
        """
        # in evaluation mode; a training that asks for samples goes on as before
        training = self.network.training
        self.network.eval()
        with torch.inference_mode():
            scene = self.conditioning.of_request(request, self.device)
            painted = self.kind.paint(self.network, scene, seeds)
        self.network.train(training)
        result: np.ndarray = painted[:, 0].float().cpu().numpy()
        if not np.isfinite(result).all():
            finding = f"paints {np.count_nonzero(~np.isfinite(result))} pixels that are no numbers"
            raise TrainingError("synthesizer", finding, "lower 'learning_rate' under 'train_gan', and train it again")
        return result


@dataclass(frozen=True)
class SynthesizerCard:
    """Description of a synthesizer.

    Attributes:
        id: SHA-256 of the weights file; of the files of a model that a kind learned by its own means; of the rest of
            the card where nothing was trained.
        method: its kind and its settings.
        condition: what is asked for.
        tissue_edges: windowed intensities between tissue classes; None where no tissue map is asked for.
        tissue_smoothing: of the tissue map, in pixels.
        classes: label value to name, as in the store that it was trained on; background is understood.
        lesions: label values of lesions, which a kind that paints regions paints.
        intensities: of the training slices, per channel of the condition: tissue classes, or the background, then the
            label classes in their order.
        size: pixels per side.
        training_patients: every patient that it was trained on, or whose intensities it knows.
        pairs: digest of the store that it was trained on.
        run_id: of the training's record; None where nothing was recorded.
        version: of the software that wrote it.
        unlabeled_patients: every patient of whom it knows the scan alone.
        files, inputs, digest: see `nephrite.evidence`; no files in a card that an older version wrote.
    """

    __pydantic_config__ = STRICT

    id: Line
    method: Annotated[GeneratorSettings, Field()]
    condition: Literal["labels", "anatomy"]
    tissue_edges: tuple[Number, ...] | None
    tissue_smoothing: Annotated[float, Field(ge=0, le=20)]
    classes: Annotated[dict[LabelValue, ClassName], Field(min_length=1)]
    lesions: tuple[LabelValue, ...]
    intensities: tuple[Intensity, ...]
    size: Annotated[int, Field(ge=1, le=LARGEST)]
    training_patients: tuple[PatientId, ...]
    pairs: Line
    run_id: Line | None
    version: Line
    unlabeled_patients: tuple[PatientId, ...] = ()
    format: Literal[2] = 2
    files: Files = field(default_factory=dict, compare=False)
    inputs: Inputs = field(default_factory=dict)
    digest: Sha256 = field(default="0" * 64, compare=False)

    @property
    def trained(self) -> bool:
        """Whether it has weights."""
        return kind_of(self.method).TRAINING is not None

    @property
    def conditioning(self) -> Conditioning:
        """What it is shown."""
        classes, rim = tuple(self.classes), self.method.region_rim
        return Conditioning(classes, self.tissue_edges, self.tissue_smoothing, self.lesions, rim)

    @property
    def origin(self) -> str:
        """Digest of all that slices follow from, by which a store names it; what tells two runs apart is left out."""
        content = TypeAdapter(SynthesizerCard).dump_python(self, mode="json")
        return digest({name: value for name, value in content.items() if name not in ("run_id", "files", "digest")})

    @property
    def content(self) -> str:
        """Digest of the card without id, run, version and evidence: what slices depend on without weights."""
        card = replace(self, id="", run_id=None, version="")
        content = TypeAdapter(SynthesizerCard).dump_python(card, mode="json")
        return digest({name: value for name, value in content.items() if name not in ("files", "inputs", "digest")})

    @property
    def untrained(self) -> str:
        """The id of a synthesizer without weights: of its model if it has one, else of its content."""
        model = {name: known for name, known in self.files.items() if name.startswith(f"{MODEL}/")}
        return digest(model) if model else self.content

    def build(self) -> nn.Module:
        """The network, with random weights."""
        return kind_of(self.method, self.intensities).build(self.conditioning.channels, self.size)

    def synthesizer(self, network: nn.Module) -> Synthesizer:
        """What paints, with this network."""
        return Synthesizer(self.method, self.conditioning, network, self.intensities)


def write_synthesizer(root: Path, card: SynthesizerCard, network: nn.Module) -> SynthesizerCard:
    """Write the weights, then the card, and return it with its id."""
    if card.trained:
        save_weights(root / WEIGHTS, network.state_dict())
    files = digest_files(root, finished_files(root, without=(CARD,)))
    named = replace(card, files=files)
    named = replace(named, id=files[WEIGHTS] if card.trained else named.untrained)
    write_json(root / CARD, sealed(TypeAdapter(SynthesizerCard).dump_python(named, mode="json")))
    return read_synthesizer_card(root)


def read_synthesizer_card(root: Path) -> SynthesizerCard:
    """Read what a synthesizer is, without its weights.

    Raises:
        StoreError: the folder is no synthesizer, is unfinished or of another version, or its card was changed.
    """
    card: SynthesizerCard = read_sealed(root / CARD, SynthesizerCard, AGAIN)
    return card


def read_synthesizer(root: Path) -> tuple[SynthesizerCard, Synthesizer]:
    """Read a finished synthesizer.

    Raises:
        StoreError: the folder is no synthesizer, is unfinished or of another version, or it was changed.
    """
    card = read_synthesizer_card(root)
    check_files(root, card.files, AGAIN)
    network = card.build()
    if card.trained:
        _load_weights(root / WEIGHTS, card, network)
    elif card.untrained != card.id:
        raise StoreError(root / CARD, "is not as it was written", AGAIN)
    return card, card.synthesizer(network)


def check_training_patients(card: SynthesizerCard, store: PairStore, labeled: Iterable[str], place: Path) -> None:
    """Refuse a synthesizer that knows labels of patients other than these, or scans outside the training split.

    Args:
        card: of the synthesizer.
        store: that it paints from.
        labeled: training patients whose labels it may know.
        place: where it lies.

    Raises:
        LeakageError: names how many and the first of them.
    """
    scans = visible(store.splits, store.persons())
    known = {*labeled}
    unknown = sorted({*card.training_patients} - known | {*card.unlabeled_patients} - scans)
    if unknown:
        finding = f"knows {len(unknown)} patients outside the {len(known)} training patients of {store.root}"
        remedy = "train the synthesizer on this split, with this fraction and cell"
        raise LeakageError(place, f"{finding}, e.g. {unknown[0]}", remedy)


def _load_weights(path: Path, card: SynthesizerCard, network: nn.Module) -> None:
    if not path.is_file():
        raise StoreError(path, "is missing", AGAIN)
    if sha256(path) != card.id:
        raise StoreError(path, f"is not the file that {CARD} was written for", AGAIN)
    load_weights(network, path, remedy=AGAIN, finding="does not fit the network")
