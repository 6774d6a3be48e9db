"""Screening: which painted slices are accepted, and a report on all of them."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nephrite import __version__
from nephrite.config import Config
from nephrite.dependencies import facts
from nephrite.errors import StoreError
from nephrite.files import whole_folder, write_json, write_table
from nephrite.imaging.sheet import Sample, color_legend, write_sheet
from nephrite.recording import Run, captions
from nephrite.report.page import html_page
from nephrite.screening.acceptance import (
    BACKGROUND,
    Measures,
    Screening,
    area_quarters,
    compare_features,
    lesion_sizes,
    measure,
)
from nephrite.screening.class_intensity import intensity_ranges
from nephrite.screening.continuity import measure_continuity
from nephrite.screening.examination import examine, nearest_masks
from nephrite.screening.memorization import Memorization, measure_memorization, repeated_slices, small_slices
from nephrite.screening.screening_page import headline_figures, screening_facts, screening_markdown, screening_rows
from nephrite.seeds import derive_seed
from nephrite.segmentation.backend import Trained
from nephrite.segmentation.demands import check_segmenters, shape_of
from nephrite.segmentation.helper_segmenter import fit_helper, warn_of_lesions
from nephrite.store.arrays import create_arrays
from nephrite.store.slices import PairStore, SliceRef, finish_synthetic, write_patient
from nephrite.store.split import training_subset
from nephrite.store.thinning import thin
from nephrite.training.checkpoints import resumable_folder
from nephrite.training.leakage import check_synthetic
from nephrite.training.nearest_masks import TrainingMasks

logger = logging.getLogger(__name__)
FACTS, ROWS, PAGE, TEXT = "screening.json", "screening.csv", "screening.html", "screening.md"
ACCEPTED, REJECTED = "accepted.png", "rejected.png"
HELPER = "examiner"
SHOWN = 12
EXAMINED = 2000  # real slices of each kind that the tests are compared on


class ScreenInputs(NamedTuple):
    """What is screened, and what it is compared with.

    Attributes:
        real, painted: the stores.
        training: slices of the patients whose labels the painter knows.
        validation: slices of patients that nothing was trained on.
        seen: all slices that the painter may have copied: `training`, and those of scans without labels.
        slices: the painted ones.
        synthesizer: id.
    """

    real: PairStore
    painted: PairStore
    training: list[SliceRef]
    validation: list[SliceRef]
    seen: list[SliceRef]
    slices: list[SliceRef]
    synthesizer: str


def screen(config: Config, run: Run, *, pairs: Path, painted: Path, synthetic: Path) -> dict[str, float]:
    """Accept painted slices that pass the tests of 'screen', and write what was measured on all of them.

    The tests are agreement with the mask, intensity of each class, and memorization. The segmenter that measures
    agreement is trained only on patients whose labels the painter (a synthesizer of one fraction and cell) knows.
    Where none passes, the store is empty, with a warning, and the report says so.

    Raises:
        LeakageError: a painted slice was derived from a patient outside the painter's training set.
        StoreError: a store is missing, broken, or does not fit the other one.
        DataError: there is no validation slice to calibrate by.
    """
    # leakage guard, before anything is trained
    started, inputs = time.monotonic(), _open_stores(config, pairs, painted)
    for name, store in (("pairs", inputs.real), ("painted", inputs.painted)):
        run.dataset(store.root, name=name, digest=store.manifest.digest)
    # without a filter the slices are copied
    if config.screen.filter == "all":
        with whole_folder(synthetic, "synthetic") as folder:
            shutil.copytree(painted, folder, dirs_exist_ok=True)
        metrics = {"painted": float(len(inputs.slices)), "accepted": float(len(inputs.slices)), "accepted_share": 1.0}
    else:
        metrics = _screen(config, run, inputs, synthetic)
    run.dataset(synthetic, name="synthetic", digest=PairStore(synthetic).manifest.digest)
    return {**metrics, "seconds": time.monotonic() - started}


def _screen(config: Config, run: Run, inputs: ScreenInputs, synthetic: Path) -> dict[str, float]:
    check_segmenters(config, shape_of(inputs.real.manifest), others=[config.screen.segmenter])
    with resumable_folder(synthetic, "synthetic", _fingerprint(config, inputs)) as folder:
        for path in folder.iterdir():  # an attempt with other thresholds keeps its helper
            if path.name in ("patients", ACCEPTED, REJECTED):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        # train a segmenter on the painter's real slices
        helper = fit_helper(
            config,
            inputs.real,
            sorted({ref.patient for ref in inputs.training}),
            folder / HELPER,
            segmenter=config.screen.segmenter,
            steps=config.screen.steps,
            seed=derive_seed(config.trial.seed, config.this_painter, "screen"),
        )
        warn_of_lesions(config, helper, inputs.real, inputs.painted, {ref.patient for ref in inputs.training})
        # test painted slices with it
        screening = _measure(config, inputs, helper)
        facts = _report(config, run, inputs, screening, folder)
        if rejected := screening.all_rejected():  # it stays: a trial without this cell would be biased
            logger.warning("%s: %s; arms of this painter learn from real slices alone", config.this_painter, rejected)
        # write those that pass; the helper has done its work
        _write_accepted(folder, inputs, screening)
        shutil.rmtree(folder / HELPER, ignore_errors=True)
    return headline_figures(facts)


def _open_stores(config: Config, pairs: Path, painted: Path) -> ScreenInputs:
    """Open what is compared; the leakage guard stands here, before anything is trained."""
    # leakage guard, before anything is trained
    real, fakes, painter = PairStore(pairs), PairStore(painted), config.this_painter
    labeled = training_subset(real.persons("train"), painter.fraction, cell=painter.cell, trial=config.trial)
    synthesizer = check_synthetic(fakes, real, labeled)
    # no store may be empty
    training = real.slices_of(labeled)
    for store, slices, remedy in (
        (real, training or not painter.fraction, "raise 'prepare.split.train'"),
        (fakes, fakes.slices(), "run 'synthesize' again"),
    ):
        if not slices:
            raise StoreError(store.root, "holds no slice that could be screened", remedy)
    # copies are also looked for in scans that the painter saw without labels
    provenances = [fakes.patient(patient).provenance for patient in fakes.patients()]
    scans = {patient for each in provenances if each for patient in each.unlabeled_patients} - set(labeled)
    seen = training + real.slices_of(scans, split=None)
    return ScreenInputs(real, fakes, training, real.slices("validation"), seen, fakes.slices(), synthesizer)


def _measure(config: Config, inputs: ScreenInputs, helper: Trained) -> Screening:
    manifest, threshold = inputs.real.manifest, config.evaluate.threshold
    memorization, repeated = _memorization(config, inputs)

    # real and painted slices get the same measures
    def look(store: PairStore, slices: list[SliceRef]) -> Measures:
        batches = examine(helper, store, slices, threshold=threshold)
        return measure(batches, manifest.channels, manifest.classes)

    # training slices set the ranges, validation slices show what honest ones score
    training = look(inputs.real, thin(inputs.training, EXAMINED))
    names = {0: BACKGROUND, **manifest.classes}
    held = [value for value, count in zip(names, training.intensity.slices, strict=True) if count]
    measured = look(inputs.painted, inputs.slices)
    return Screening(
        settings=config.screen,
        channels=tuple(manifest.channels),
        classes=names,
        training=training,
        validation=look(inputs.real, thin(inputs.validation, EXAMINED)),
        painted=measured,
        ranges=intensity_ranges(training.intensity.only(held), names),
        memorization=memorization,
        repeated=repeated,
        mask_overlap=nearest_masks(
            inputs.painted, inputs.slices, TrainingMasks(inputs.real, {ref.patient for ref in inputs.training})
        ),
        sizes=tuple(_sizes(config, inputs, measured)),
        continuity=measure_continuity(inputs.painted, inputs.real, inputs.training or inputs.seen),
    )


def _memorization(config: Config, inputs: ScreenInputs) -> tuple[Memorization, np.ndarray]:
    """Painted against training slices, and against each other."""
    painted = small_slices(inputs.painted, inputs.slices)
    found = measure_memorization(
        painted,
        small_slices(inputs.real, inputs.seen),
        small_slices(inputs.real, inputs.validation),
        inputs.seen,
        quantile=config.screen.memorization_quantile,
    )
    return found, repeated_slices(painted)


def _sizes(config: Config, inputs: ScreenInputs, measured: Measures) -> list[str]:
    """Size class of each slice: by its lesions if the settings name some, else by the area of all classes."""
    lesions = [value in config.prepare.lesion_values for value in inputs.real.manifest.classes]
    spacings = np.array([inputs.painted.patient(ref.patient).spacing for ref in inputs.slices])
    if any(lesions):
        return lesion_sizes(measured.pixels[:, lesions].sum(axis=1), spacings[:, 1] * spacings[:, 2])
    return area_quarters(measured.pixels.sum(axis=1))


def _report(config: Config, run: Run, inputs: ScreenInputs, screening: Screening, folder: Path) -> dict[str, object]:
    """Figures, rows, sheets and page, in the folder and in the record of the run; also where nothing is accepted."""
    # facts and rows for programs
    painter = str(config.this_painter)
    facts = {
        "painter": painter,
        "synthesizer": inputs.synthesizer,
        "examiner": {"patients": len({ref.patient for ref in inputs.training}), "slices": len(inputs.training)},
        **screening_facts(screening, compare_features(screening, seed=config.trial.seed)),
    }
    write_json(folder / FACTS, facts)
    _write_rows(folder / ROWS, inputs, screening_rows(screening))
    # page for readers
    pictures = _draw(inputs, screening, folder)
    text = screening_markdown(facts, pictures)
    (folder / TEXT).write_text(text, encoding="utf-8")
    (folder / PAGE).write_text(html_page(text, folder, title=f"Synthetic slices of {painter}"), encoding="utf-8")
    for name in (FACTS, ROWS, TEXT, PAGE, *(name for _, name in pictures)):
        run.artifact(folder / name, folder="screening")
    run.tags(captions({f"screening/{name}": shows for shows, name in pictures}))
    return facts


def _write_rows(path: Path, inputs: ScreenInputs, rows: list[dict[str, object]]) -> None:
    table = []
    for ref, row in zip(inputs.slices, rows, strict=True):
        provenance = inputs.painted.patient(ref.patient).provenance
        source = provenance.source_slices[ref.position] if provenance else ""
        table.append([ref.patient, ref.position, source, *row.values()])
    write_table(path, ["patient", "slice", "source_slice", *rows[0]], table)


def _draw(inputs: ScreenInputs, screening: Screening, folder: Path) -> list[tuple[str, str]]:
    """Sheets of label map, painted slice and nearest training slice; rejected ones in the order of their reasons."""
    pictures, colors = [], color_legend(inputs.real.manifest.classes)
    for name, chosen, text in ((ACCEPTED, screening.passed, "Pass"), (REJECTED, ~screening.passed, "Fail")):
        # label map, painted slice, nearest training slice
        samples = [
            Sample(
                np.array(inputs.painted.label(inputs.slices[row].patient)[inputs.slices[row].position]),
                inputs.painted.windowed(inputs.slices[row]),
                inputs.real.windowed(screening.memorization.nearest[row]),
            )
            for row in _shown(screening, chosen)
        ]
        if samples:
            write_sheet(folder / name, samples, across=2)
            pictures.append((f"{text} the tests: label map ({colors}), painted slice, nearest training slice", name))
    return pictures


def _shown(screening: Screening, chosen: np.ndarray) -> list[int]:
    """Some of the chosen slices, evenly over their reasons; three of four with labels, where there are so many."""
    rows = sorted(np.flatnonzero(chosen).tolist(), key=screening.reasons)
    labeled = thin([row for row in rows if screening.painted.labeled[row]], SHOWN * 3 // 4)
    return labeled + thin([row for row in rows if not screening.painted.labeled[row]], SHOWN - len(labeled))


def _write_accepted(folder: Path, inputs: ScreenInputs, screening: Screening) -> None:
    """A store of the accepted slices; a patient without any is left out."""
    positions: dict[str, list[int]] = {}
    for row in np.flatnonzero(screening.accepted).tolist():
        positions.setdefault(inputs.slices[row].patient, []).append(inputs.slices[row].position)
    for patient, chosen in positions.items():
        known, source = inputs.painted.patient(patient), inputs.painted.label(patient)
        image, label = create_arrays(folder, patient, (len(chosen), *source.shape[1:]))
        image[:], label[:] = inputs.painted.image(patient)[chosen], source[chosen]
        assert known.provenance is not None, "the guard has seen it"
        write_patient(folder, replace(known, version=__version__, provenance=known.provenance.take(chosen)))
    digests = {"pairs": inputs.real.manifest.digest, "painted": inputs.painted.manifest.digest}
    like, tables = inputs.painted.manifest, (FACTS, ROWS)
    finish_synthetic(folder, positions, like, version=__version__, inputs=digests, tables=tables)


def _fingerprint(config: Config, inputs: ScreenInputs) -> dict[str, object]:
    """Everything that the helper segmenter depends on; new thresholds do not train it again."""
    known = facts(config, "screen")
    settings = {key: value for key, value in known["settings"].items() if key != "screen"}
    return {
        **known,
        "settings": settings | {"screen.steps": config.screen.steps},
        "patients": sorted({ref.patient for ref in inputs.training}),
        "pairs": inputs.real.manifest.digest,
    }
