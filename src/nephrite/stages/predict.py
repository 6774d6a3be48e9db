"""The registered champion, or another segmenter, on scans: one label map per scan, on the scan's own voxels."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter

from nephrite import __version__
from nephrite.config import Config
from nephrite.errors import SourceError
from nephrite.files import digest, sha256, whole_folder, write_json
from nephrite.imaging.dicom import DicomScan
from nephrite.imaging.geometry import voxel_milliliters, warn_of_units
from nephrite.imaging.label_maps.seg_writing import check_source, write_segmentation
from nephrite.imaging.masks import count_slices, write_mask
from nephrite.imaging.pointed import scans_at
from nephrite.imaging.recipe import Recipe
from nephrite.imaging.sources import open_scan
from nephrite.imaging.volume import ScanVolume
from nephrite.predicting.findings import Segmented, summary, write_volumes
from nephrite.predicting.look import doubts, read_again, shown_slices, write_overlays
from nephrite.predicting.masks import segment_volumes
from nephrite.predicting.model import Origin, ServedModel, load_model
from nephrite.privacy.pseudonyms import pseudonyms, wanted
from nephrite.progress import progress_bar
from nephrite.recording import Run
from nephrite.redaction import hidden_name

logger = logging.getLogger(__name__)
SEG = "segmentation.dcm"
MASK, VOLUMES, MANIFEST, SUMMARY = "segmentation.nii.gz", "volumes.csv", "manifest.json", "summary.txt"
NOMINAL = "'prepare.spacing' is nominal: voxels are of made-up size, so milliliters are left out"


def predict(config: Config, run: Run, *, scans: Path, masks: Path) -> dict[str, float]:
    """Segment a scan, or every scan of a folder, with the registered champion.

    Writes <patient>/segmentation.nii.gz in the axes and on the voxels of the scan, volumes.csv, manifest.json and
    summary.txt.
    Patients of DICOM scans stand there with pseudonyms: see 'acquire.pseudonyms'. How a scan becomes
    the model's input is registered with the model; the settings name the model and nothing else of it. Where they say
    that spacing is nominal, there are no milliliters.

    Raises:
        ModelNotRegisteredError: there is no champion, or no such version.
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
    found = scans_at(scans)
    volumes = [open_scan(scan) for scan in found]  # reads headers: a broken scan shows now, not after an hour
    warn_of_units(
        [scan.image for scan, volume in zip(found, volumes, strict=True) if not volume.unit_given], len(found)
    )
    if config.predict.dicom_seg:
        check_series(scans, volumes)
    model, measured = load_model(config, fetched), config.prepare.spacing == "measured"
    if not measured:
        logger.warning("predict: %s", NOMINAL)
    run.tags(_tags(config, model.origin))
    names = {scan.patient: scan.patient for scan in found}
    if wanted(config.acquire.pseudonyms, {scan.layout for scan in found}):
        names = pseudonyms(names)
    started = time.monotonic()
    # segment all scans
    with whole_folder(masks, "masks") as root:
        called = {names[scan.patient]: volume for scan, volume in zip(found, volumes, strict=True)}
        results = write_masks(config, called, model, root, known=_learned_from(model, names))
        segmented = list(progress_bar(results, "predict", len(found)))
        seconds = time.monotonic() - started
        # then what sums them up
        write_volumes(root / VOLUMES, segmented, model.recipe.classes)
        (root / SUMMARY).write_text(summary(segmented, model.recipe.classes), encoding="utf-8")
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
        raise SourceError(masks, "would be replaced, and holds the scans", "name another folder with '--out'")
    ours = masks.is_dir() and ((masks / MANIFEST).is_file() or not any(masks.iterdir()))
    if masks.exists() and not ours:
        finding = f"would be replaced, and is no folder of masks (it holds no {MANIFEST})"
        raise SourceError(masks, finding, "name a new folder with '--out', or empty this one")


def check_series(scans: Path, volumes: Sequence[ScanVolume]) -> None:
    """Refuse scans of which none is a DICOM series, or one to which no DICOM SEG can refer.

    Raises:
        SourceError: no scan is a series.
        DicomError: names the file.
    """
    series = [volume.series for volume in volumes if isinstance(volume, DicomScan)]
    if not series:
        raise SourceError(scans, "holds no DICOM series, which a DICOM SEG belongs to", "leave '--dicom-seg' out")
    for one in series:
        check_source(one)


def write_masks(
    config: Config, volumes: Mapping[str, ScanVolume], model: ServedModel, root: Path, *, known: Collection[str]
) -> Iterator[Segmented]:
    """Segment scans by their ids, one after the other, and write label maps and pictures under `root`.

    Args:
        config: settings.
        volumes: scans by their ids.
        model: ready to segment.
        root: a folder.
        known: ids of those that the model learned from.
    """
    recipe, settings, measured = model.recipe, config.predict, config.prepare.spacing == "measured"
    with closing(segment_volumes(volumes, model, scratch=root, block=settings.batch_size)) as found:
        for (patient, volume), mask in zip(volumes.items(), found, strict=True):
            # the mask
            path = root / patient / MASK
            path.parent.mkdir()
            write_mask(path, mask, volume.header)
            if settings.dicom_seg and isinstance(volume, DicomScan):
                name = f"{model.origin.name} {model.origin.version or ''}".strip()
                write_segmentation(path.with_name(SEG), mask, volume.series, recipe.classes, model=name)
            # pictures and warnings
            seen = read_again(volume, recipe.intensity, shown_slices(mask, settings.overlays))
            write_overlays(path.parent, mask, seen, recipe.intensity)
            doubted = doubts(volume, mask, seen, recipe, trained_on=patient in known, measured=measured)
            # what was found
            sources = {hidden_name(file): sha256(file) for file in volume.sources["image"]}
            voxel = voxel_milliliters(volume.spacing) if measured else None
            yield Segmented(
                patient, len(mask), sources, voxel, count_slices(mask, list(recipe.classes)), tuple(doubted)
            )


def _learned_from(model: ServedModel, names: Mapping[str, str]) -> set[str]:
    """Ids, or pseudonyms, of patients who stand in the model's card by either name."""
    known = model.origin.patients or frozenset[str]()
    return {called for name, called in names.items() if known & {name.lower(), called.lower()}}


def _tags(config: Config, origin: Origin) -> dict[str, str]:
    if origin.version is None:
        return {"model": origin.name}
    version = {"model": origin.name, "model_version": str(origin.version)}
    return version if config.predict.version else version | {"model_alias": config.predict.alias}


def write_manifest(path: Path, segmented: list[Segmented], model: ServedModel, run: Run, *, measured: bool) -> None:
    """Write what the masks were made with and from."""
    content = {
        "format": 1,
        "model": model.origin.name,
        "version": model.origin.version,
        "weights": model.origin.weights,
        "recipe": TypeAdapter(Recipe).dump_python(model.recipe, mode="json"),
        **({} if measured else {"note": NOMINAL}),
        "software": __version__,
        "run_id": run.id,
        "patients": {result.patient: {"sources": result.sources, "warnings": result.doubts} for result in segmented},
    }
    write_json(path, content)
