"""The model that segments new scans: a registered version, or the folder of a segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from nephrite.config import Config
from nephrite.errors import StoreError
from nephrite.imaging.recipe import Recipe, read_recipe
from nephrite.model_version import FOLDER_TAG, RECIPE, REGISTER_AGAIN, ModelVersion
from nephrite.registry import Registry, fetch_folder, load_version
from nephrite.segmentation.artifacts import SegmenterCard, TrainedSegmenter, load_segmenter
from nephrite.segmentation.backend import Trained
from nephrite.segmentation.in_process.inference import slice_logits
from nephrite.segmentation.serving import check_servable
from nephrite.training.devices import pick_device


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        name: of the registered model, or of the arm that the folder's segmenter is of.
        version: its number; None for a folder.
        weights: SHA-256 of the weights, or the digest of the card; None where an older version does not say.
        patients: whose labels it learned from, or was chosen by; None where the model does not say.
    """

    name: str
    version: int | None
    weights: str | None
    patients: frozenset[str] | None = None


@dataclass(frozen=True)
class ServedGraph:
    """A registered graph, ready to segment."""

    origin: Origin
    recipe: Recipe
    network: nn.Module
    device: str


@dataclass(frozen=True)
class ServedFolder:
    """A segmenter that is no graph, or was never registered, ready to segment by its own backend."""

    origin: Origin
    recipe: Recipe
    trained: Trained


ServedModel: TypeAlias = ServedGraph | ServedFolder


def load_model(config: Config, fetched: Path) -> ServedModel:
    """The model that the settings name: a graph on the device that they allow, tried on an empty slice, or a folder.

    Args:
        config: the settings.
        fetched: a folder that gets the folder of a registered segmenter.

    Raises:
        ModelNotRegisteredError: the registry does not know it.
        StoreError: it does not say what it wants to see, refuses it, or was changed.
        ConfigError: its program is not here.
    """
    if config.predict.folder:
        return _from_folder(config, config.predict.folder)
    # the version, and what it takes
    name = config.predict.model or config.promote.model
    registry, number = Registry(name), config.predict.version
    version = registry.numbered(number) if number else registry.required(config.predict.alias)
    place = f"model '{name}' version {version.number}"
    if RECIPE not in version.tags:
        finding = f"does not say what it wants to see and what its outputs mean (it has no tag '{RECIPE}')"
        raise StoreError(place, finding, "run 'promote' on its report again, which adds it, or tag it by hand")
    recipe = read_recipe(version.tags[RECIPE], place)
    # a folder, or a graph
    if FOLDER_TAG in version.tags:
        return _fetched(config, name, version, recipe, fetched)
    device = pick_device(config.compute)
    origin = Origin(name, version.number, version.tags.get("weights"))
    model = ServedGraph(origin, recipe, load_version(version, device), device)
    _try_out(model, place)
    return model


def _fetched(config: Config, name: str, version: ModelVersion, recipe: Recipe, fetched: Path) -> ServedFolder:
    """A version that is a folder."""
    place, segmenter = f"model '{name}' version {version.number}", load_segmenter(fetch_folder(version, fetched))
    if segmenter.card.digest != version.tags[FOLDER_TAG]:
        raise StoreError(place, "holds another segmenter than the one that was registered", REGISTER_AGAIN)
    check_servable(segmenter, place)
    patients = known_patients(segmenter.card)
    origin = Origin(name, version.number, version.tags.get("weights"), patients)
    return ServedFolder(origin, recipe, _ready(config, segmenter, mirroring=recipe.mirroring))


def _from_folder(config: Config, folder: Path) -> ServedFolder:
    """A segmenter of this machine, by its card; predictions are not averaged over mirrored slices."""
    segmenter = load_segmenter(folder)
    card = segmenter.card
    check_servable(segmenter, str(folder))
    seen = (card.classes, card.channels, card.intensity, card.in_plane, card.threshold)
    recipe = Recipe(*seen, window=card.window, volumes=card.volumes)
    origin = Origin(card.arm, None, card.digest, known_patients(card))
    return ServedFolder(origin, recipe, _ready(config, segmenter, mirroring=False))


def _ready(config: Config, segmenter: TrainedSegmenter, *, mirroring: bool) -> Trained:
    trained, size = segmenter.trained, config.predict.batch_size
    ready: Trained = trained.backend.ready(trained, config.compute, batch_size=size, mirroring=mirroring)
    return ready


def known_patients(card: SegmenterCard) -> frozenset[str]:
    """Patients whose labels a segmenter knows, in small letters."""
    known = (*card.training_patients, *card.choosing_patients, *card.masked_patients)
    return frozenset(patient.lower() for patient in known)


def _try_out(model: ServedGraph, place: str) -> None:
    size, channels = model.recipe.in_plane.size, len(model.recipe.channels)
    remedy = "point the alias at a version that 'promote' registered"
    try:
        outputs = infer(model, np.zeros((1, size, size), np.float32))
    except Exception as error:  # a graph refuses with whatever its check raises
        reason = str(error).strip().partition("\n")[0]
        raise StoreError(place, f"refuses slices of {size} x {size}, its recipe's size ({reason})", remedy) from error
    if outputs.shape != (1, channels, size, size):
        finding = f"returns {outputs.shape} for a slice of {size} x {size}, not the {channels} channels of its recipe"
        raise StoreError(place, finding, remedy)


def infer(
    model: ServedGraph, planes: Float32[np.ndarray, "slice size size"]
) -> Float32[np.ndarray, "slice channel size size"]:
    """Sigmoid outputs for slices in [0, 1]."""
    with torch.inference_mode():
        image, recipe = torch.from_numpy(planes)[:, None].to(model.device), model.recipe
        logits = slice_logits(model.network, image, window=recipe.window, mirroring=recipe.mirroring)
        probabilities: Float32[np.ndarray, "slice channel size size"] = logits.sigmoid().cpu().numpy()
    return probabilities
