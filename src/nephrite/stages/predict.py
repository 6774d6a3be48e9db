"""The registered champion on a folder of scans: one label map per scan, on the scan's own voxels."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from pydantic import TypeAdapter
from torch import nn

from nephrite import __version__
from nephrite.config import Config
from nephrite.errors import SourceError, StoreError
from nephrite.files import digest, sha256, whole_folder, write_json, write_table
from nephrite.imaging.geometry import voxel_milliliters, warn_of_units
from nephrite.imaging.grid import Grid, restore_planes
from nephrite.imaging.masks import count_slices, paint_labels, write_mask
from nephrite.imaging.recipe import Recipe, read_recipe
from nephrite.imaging.sources import find_scans, open_scan
from nephrite.imaging.volume import ScanVolume, slice_blocks
from nephrite.model_version import FOLDER_TAG, RECIPE, REGISTER_AGAIN, ModelVersion
from nephrite.privacy.pseudonyms import pseudonyms, wanted
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.redaction import hidden_name
from nephrite.registry import Registry, fetch_folder, load_version
from nephrite.segmentation.artifacts import load_segmenter
from nephrite.segmentation.backend import Trained
from nephrite.segmentation.in_process.inference import slice_logits
from nephrite.segmentation.serving import bring_to_grid, check_servable, find_labels
from nephrite.training.devices import pick_device

logger = logging.getLogger(__name__)
MASK, VOLUMES, MANIFEST = "segmentation.nii.gz", "volumes.csv", "manifest.json"
NOMINAL = "'prepare.spacing' is nominal: voxels are of made-up size, so milliliters are left out"
Mask: TypeAlias = UInt8[np.ndarray, "slice rows columns"]


@dataclass(frozen=True)
class ServedGraph:
    """A registered graph, ready to segment."""

    name: str
    version: ModelVersion
    recipe: Recipe
    network: nn.Module
    device: str


@dataclass(frozen=True)
class ServedFolder:
    """A registered segmenter that is no graph, ready to segment by its own backend."""

    name: str
    version: ModelVersion
    recipe: Recipe
    trained: Trained


ServedModel: TypeAlias = ServedGraph | ServedFolder


@dataclass(frozen=True)
class Segmented:
    """What was found in one scan.

    Attributes:
        patient: id, or pseudonym.
        slices: of the scan.
        sources: SHA-256 of the scan's files, by the digest of their names.
        voxel: milliliters; None where spacing is nominal.
        sizes: label value to voxels and slices.
    """

    patient: str
    slices: int
    sources: dict[str, str]
    voxel: float | None
    sizes: dict[int, tuple[int, int]]

    def milliliters(self, value: int) -> float | None:
        """Volume of one class; None where spacing is nominal."""
        return None if self.voxel is None else self.sizes[value][0] * self.voxel


def predict(config: Config, run: Run, *, scans: Path, masks: Path) -> dict[str, float]:
    """Segment every scan of a folder with the registered champion.

    Writes <patient>/segmentation.nii.gz in the axes and on the voxels of the scan, volumes.csv and manifest.json.
    Patients of DICOM scans stand there with pseudonyms: see 'acquire.pseudonyms'. How a scan becomes
    the model's input is registered with the model; the settings name the model and nothing else of it. Where they say
    that spacing is nominal, there are no milliliters.

    Raises:
        ModelNotRegisteredError: there is no champion.
        StoreError: the model has no recipe of its inputs, or rejects them; or its folder or program was changed.
        ConfigError: the model needs a program that is not here.
        ProgramError: its program failed; nothing is written then.
        DataError: the folder holds no scan, or one that cannot be read; nothing is written then.
    """
    with TemporaryDirectory(prefix="nephrite-") as fetched:
        return _predict(config, run, scans, masks, Path(fetched))


def _predict(config: Config, run: Run, scans: Path, masks: Path, fetched: Path) -> dict[str, float]:
    # everything is checked before the first scan is segmented
    check_target(scans, masks)
    found = find_scans(scans)
    volumes = [open_scan(scan) for scan in found]  # reads headers: a broken scan shows now, not after an hour
    warn_of_units(
        [scan.image for scan, volume in zip(found, volumes, strict=True) if not volume.unit_given], len(found)
    )
    model, measured = load_model(config, fetched), config.prepare.spacing == "measured"
    if not measured:
        logger.warning("predict: %s", NOMINAL)
    run.tags({"model": model.name, "model_version": str(model.version.number), "model_alias": config.predict.alias})
    names = {scan.patient: scan.patient for scan in found}
    if wanted(config.acquire.pseudonyms, {scan.layout for scan in found}):
        names = pseudonyms(names)
    started = time.monotonic()
    # segment all scans
    with whole_folder(masks, "masks") as root:
        called = {names[scan.patient]: volume for scan, volume in zip(found, volumes, strict=True)}
        results = segment_scans(called, model, root, block=config.predict.batch_size, measured=measured)
        segmented = list(progress_bar(results, "predict", len(found)))
        seconds = time.monotonic() - started
        # then what sums them up
        write_volumes(root / VOLUMES, segmented, model.recipe.classes)
        write_manifest(root / MANIFEST, segmented, model, run, measured=measured)
    # record inputs, outputs and volumes
    run.dataset(scans, name="scans", digest=digest([result.sources for result in segmented]))
    for name in (VOLUMES, MANIFEST):
        run.artifact(masks / name)
    slices = sum(result.slices for result in segmented)
    totals = {
        f"{name}_ml": sum(result.milliliters(value) or 0.0 for result in segmented)
        for value, name in model.recipe.classes.items()
        if measured
    }
    return {"scans": float(len(found)), "slices": float(slices), "seconds_per_slice": seconds / slices, **totals}


def check_target(scans: Path, masks: Path) -> None:
    """Refuse to replace a folder that holds the scans, or anything that 'predict' did not write.

    Raises:
        SourceError: the target is such a folder.
    """
    if scans.resolve().is_relative_to(masks.resolve()):
        raise SourceError(masks, "would be replaced, and holds the scans", "name another folder with '--masks'")
    ours = masks.is_dir() and ((masks / MANIFEST).is_file() or not any(masks.iterdir()))
    if masks.exists() and not ours:
        finding = f"would be replaced, and is no folder of masks (it holds no {MANIFEST})"
        raise SourceError(masks, finding, "name a new folder with '--masks', or empty this one")


def load_model(config: Config, fetched: Path) -> ServedModel:
    """The version that the settings name: a graph on the device that they allow, tried on an empty slice, or a folder.

    Args:
        config: the settings.
        fetched: a folder that gets the folder of a segmenter.

    Raises:
        ModelNotRegisteredError: the registry does not know it.
        StoreError: it does not say what it wants to see, refuses it, or was changed.
        ConfigError: its program is not here.
    """
    name, device = config.predict.model or config.promote.model, pick_device(config.compute)
    version = Registry(name).required(config.predict.alias)
    place = f"model '{name}' version {version.number}"
    if RECIPE not in version.tags:
        finding = f"does not say what it wants to see and what its outputs mean (it has no tag '{RECIPE}')"
        raise StoreError(place, finding, "run 'promote' on its report again, which adds it, or tag it by hand")
    recipe = read_recipe(version.tags[RECIPE], place)
    if FOLDER_TAG in version.tags:
        segmenter = load_segmenter(fetch_folder(version, fetched))
        if segmenter.card.digest != version.tags[FOLDER_TAG]:
            raise StoreError(place, "holds another segmenter than the one that was registered", REGISTER_AGAIN)
        check_servable(segmenter, place)
        size, mirroring = config.predict.batch_size, recipe.mirroring
        ready = segmenter.trained.backend.ready(segmenter.trained, config.compute, batch_size=size, mirroring=mirroring)
        return ServedFolder(name, version, recipe, ready)
    model = ServedGraph(name, version, recipe, load_version(version, device), device)
    _try_out(model, place)
    return model


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


def segment_scans(
    volumes: Mapping[str, ScanVolume], model: ServedModel, root: Path, *, block: int, measured: bool
) -> Iterator[Segmented]:
    """Segment scans by their ids, one after the other, and write their label maps under `root`."""
    found: Iterator[Mask]
    if isinstance(model, ServedFolder):
        found = find_labels(model.trained, volumes, model.recipe, scratch=root, block=block)
    else:
        found = (segment_volume(volume, model, scratch=root, block=block) for volume in volumes.values())
    for (patient, volume), mask in zip(volumes.items(), found, strict=True):
        path = root / patient / MASK
        path.parent.mkdir()
        write_mask(path, mask, volume.header)
        sources = {hidden_name(file): sha256(file) for file in volume.sources["image"]}
        voxel = voxel_milliliters(volume.spacing) if measured else None
        yield Segmented(patient, len(mask), sources, voxel, count_slices(mask, list(model.recipe.classes)))


def segment_volume(volume: ScanVolume, model: ServedGraph, *, scratch: Path, block: int) -> Mask:
    """Label map of a scan, `block` slices at a time; the scan on the network's grid lies in a file below `scratch`."""
    mask = np.zeros(volume.shape, np.uint8)
    with TemporaryDirectory(dir=scratch) as folder:
        scan = bring_to_grid("", volume, model.recipe, Path(folder) / "image.npy", block=block)
        for part in slice_blocks(len(mask), block):
            planes = scan.windowed(range(part.start, part.stop))
            mask[part] = label_planes(model, planes, scan.grid, volume.shape[1:])
    return mask


def label_planes(
    model: ServedGraph, planes: Float32[np.ndarray, "slice size size"], grid: Grid, shape: tuple[int, int]
) -> Mask:
    """Label map of slices in [0, 1]: probabilities are brought to the scan's rows and columns, then cut."""
    recipe, probabilities = model.recipe, infer(model, planes)
    channels = (restore_planes(probabilities[:, number], grid, shape) for number in range(len(recipe.channels)))
    return paint_labels(np.stack([channel >= recipe.threshold for channel in channels]), recipe.channels)


def write_volumes(path: Path, segmented: Sequence[Segmented], classes: Mapping[int, str]) -> None:
    """Write one row per patient and class; milliliters are empty where spacing is nominal."""
    rows = [
        (result.patient, name, _decimals(result.milliliters(value)), *result.sizes[value])
        for result in segmented
        for value, name in classes.items()
    ]
    write_table(path, ["patient", "class", "milliliters", "voxels", "slices"], rows)


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def write_manifest(path: Path, segmented: list[Segmented], model: ServedModel, run: Run, *, measured: bool) -> None:
    """Write what the masks were made with and from."""
    content = {
        "format": 1,
        "model": model.name,
        "version": model.version.number,
        "weights": model.version.tags.get("weights"),
        "recipe": TypeAdapter(Recipe).dump_python(model.recipe, mode="json"),
        **({} if measured else {"note": NOMINAL}),
        "software": __version__,
        "run_id": run.id,
        "patients": {result.patient: {"sources": result.sources} for result in segmented},
    }
    write_json(path, content)
