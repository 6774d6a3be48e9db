"""A trained generator as a folder, and painting with it.

synthesizer.json        SynthesizerCard below, written last: a folder without it is no synthesizer
generator.safetensors   weights; those of the moving average where one was kept
samples/*.png           sheets of label map, synthetic and real slice, as training went on
history.json            one row of metrics per epoch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nephrite.config import GeneratorSettings
from nephrite.errors import LeakageError, StoreError
from nephrite.files import read_record, sha256, write_json
from nephrite.imaging.slices import PairStore
from nephrite.models.generators import Generator, build_generator

CARD = "synthesizer.json"
WEIGHTS = "generator.safetensors"
HISTORY = "history.json"
AGAIN = "run 'train_gan' again"


@dataclass(frozen=True)
class SynthesizerCard:
    """What is known of a synthesizer.

    Attributes:
        id: SHA-256 of the weights file.
        kind: the method.
        generator: settings of the network.
        classes: label value to name, as in the store that it was trained on; background is understood.
        size: pixels per side.
        training_patients: every patient that it was trained on.
        pairs: digest of the store that it was trained on.
        run_id: of the training's record; None where nothing was recorded.
        version: of the software that wrote it.
    """

    id: str
    kind: Literal["pix2pix"]
    generator: GeneratorSettings
    classes: dict[int, str]
    size: int
    training_patients: tuple[str, ...]
    pairs: str
    run_id: str | None
    version: str
    format: Literal[1] = 1

    def build(self) -> Generator:
        """The network, with weights drawn at random."""
        return build_generator(self.generator, classes=1 + len(self.classes), size=self.size)


def save_weights(root: Path, generator: Generator) -> str:
    """Write the weights and return their SHA-256, the id of the synthesizer."""
    weights = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    save_file(weights, root / WEIGHTS)
    return sha256(root / WEIGHTS)


def write_card(root: Path, card: SynthesizerCard) -> None:
    """Write synthesizer.json, after everything else."""
    write_json(root / CARD, TypeAdapter(SynthesizerCard).dump_python(card, mode="json"))


def read_synthesizer(root: Path) -> tuple[SynthesizerCard, Generator]:
    """Read a finished synthesizer.

    Raises:
        StoreError: the folder is no synthesizer, is unfinished or of another version, or its weights were changed.
    """
    card = read_record(root / CARD, SynthesizerCard, AGAIN)
    path, generator = root / WEIGHTS, card.build()
    if not path.is_file():
        raise StoreError(path, "is missing", AGAIN)
    if sha256(path) != card.id:
        raise StoreError(path, f"is not the file that {CARD} was written for", AGAIN)
    try:
        generator.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise StoreError(path, f"does not fit the network ({error})", AGAIN) from None
    return card, generator


def one_hot(label: UInt8[Tensor, "b h w"], classes: Sequence[int]) -> Float[Tensor, "b 1_plus_classes h w"]:
    """The generator's condition: one channel for background, then one per class in the order of `classes`.

    Values that are no class count as background.
    """
    values = torch.tensor(list(classes), dtype=label.dtype, device=label.device)
    present = label[:, None] == values[:, None, None]
    background = ~present.any(dim=1, keepdim=True)
    return torch.cat([background, present], dim=1).float()


def paint_slices(
    generator: Generator,
    label: UInt8[np.ndarray, "slice height width"],
    classes: Sequence[int],
    *,
    seeds: Sequence[int],
) -> Float32[np.ndarray, "slice height width"]:
    """Paint one batch of label maps, in [0, 1]; a slice follows from its label map and its seed, not from its batch.

    Batch normalization therefore takes its running averages, where the paper takes the statistics of the image itself,
    at a batch of one. Dropout stays on: it is the paper's only noise z (Isola 2017, section 3.2), the averages were
    taken under it, and a label map that is painted twice comes out different. The precision is float32 whatever the
    training's was.

    Args:
        generator: on the device that paints.
        label: label values.
        classes: label values in the order of the condition's channels.
        seeds: of each slice's noise.
    """
    device, training = next(generator.parameters()).device, generator.training
    generator.eval()
    with torch.inference_mode(), slice_noise(generator, seeds):
        condition = one_hot(torch.from_numpy(label).to(device), classes)
        painted: Tensor = generator(condition.contiguous(memory_format=torch.channels_last))
    generator.train(training)
    result: np.ndarray = painted[:, 0].cpu().numpy()
    return result


@contextmanager
def slice_noise(generator: Generator, seeds: Sequence[int]) -> Iterator[None]:
    """Let dropout act in evaluation mode, each slice of the batch with features dropped by its own seed."""
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    def drop(module: nn.Dropout, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        (features,) = inputs
        draws = torch.stack([torch.rand(features.shape[1:], generator=source) for source in sources])
        return features * (draws >= module.p).to(features.device) / (1 - module.p)

    layers = [module for module in generator.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    hooks = [layer.register_forward_hook(drop) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_training_patients(card: SynthesizerCard, store: PairStore, place: Path) -> None:
    """Refuse a synthesizer that knows patients outside the store's training split.

    Raises:
        LeakageError: names how many and the first of them.
    """
    unknown = sorted(set(card.training_patients) - set(store.patients("train")))
    if unknown:
        finding = f"knows {len(unknown)} patients outside the training split of {store.root}, e.g. {unknown[0]}"
        raise LeakageError(place, finding, "train the synthesizer on this split")
