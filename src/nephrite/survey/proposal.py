"""Settings that follow from what a folder shows, each with its reason."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nephrite.survey.case_facts import AIR, CaseFacts
from nephrite.survey.survey import Survey, as_name
from nephrite.words import counted

LESION = re.compile(r"tumou?r|lesion|nodule|cancer|carcinom|metasta|mass\b|cyst|h(a)?emorrhag|infarct|plaque|polyp")
ORGAN_SHARE = 1 / 3  # a class that lies in another, and is smaller than this share of it, is taken for a lesion
SIDE = 128  # pixels: what two cores train on in minutes
SOFT = (-200.0, 350.0)  # Hounsfield units of soft tissue with contrast medium
SOFT_WINDOW, MARGIN = (40.0, 400.0), 150.0  # the abdominal window; how far others reach beyond a class
TESTED, MOST_TESTED, DECIDING = 0.3, 0.6, 8  # shares of patients to test; fewest for which a verdict is possible
SMALLEST = 2.0  # pixels across, below which a piece is easily lost


@dataclass(frozen=True)
class Line:
    """A setting and why it is what it is.

    Attributes:
        key: as in the settings, with dots.
        value: of it.
        why: in a few words.
    """

    key: str
    value: Any
    why: str


def propose(found: Survey) -> list[Line]:
    """Settings for the data; how long to train, `budget` says."""
    names = {value: found.names.get(value, f"class_{value}") for value in found.values}
    lesions, why = lesions_of(found, names)
    primary = next(iter(lesions), names[found.values[0]])
    return [
        *_of_trial(found, primary, lesions),
        *_of_classes(found, names, lesions, why),
        *_of_intensities(found),
        *_of_grid(found, [value for value, name in names.items() if name in lesions]),
        *_of_split(found.patients),
        *_of_synthesis(found, lesions),
        Line("evaluate.regions", _regions(names, primary, lesions), "the first one decides"),
        Line("promote.model", f"nephrite-{as_name(found.folder.resolve().name)}", "its name in the registry of models"),
    ]


def lesions_of(found: Survey, names: Mapping[int, str]) -> tuple[dict[str, str | None], str]:
    """Which classes are lesions, and the organ that holds each; and how that was seen."""
    hosts = {value: _host(found, value) for value in names}
    named = {name: value for value, name in names.items() if LESION.search(name)}
    if named:
        return {name: names.get(hosts[value]) for name, value in named.items()}, "by their names"
    held = {names[value]: names[host] for value, host in hosts.items() if host and _is_small(found, value, host)}
    if held:
        return dict(held), "they lie in another class and are much smaller"
    return {}, "none by name or place; where one is, say so: {nodule: null}, or {tumor: kidney}"


def _host(found: Survey, value: int) -> int:
    """The class that lies about another one in most cases; 0 = none does."""
    counts = Counter(case.classes[value].inside for case in found.cases if value in case.classes)
    return counts.most_common(1)[0][0]


def _is_small(found: Survey, value: int, host: int) -> bool:
    both = [case.classes for case in found.cases if {value, host} <= case.classes.keys()]
    return statistics.median(classes[value].voxels / classes[host].voxels for classes in both) < ORGAN_SHARE


def _of_trial(found: Survey, primary: str, lesions: Mapping[str, str | None]) -> list[Line]:
    real = ["real+standard", "real+standard+null", *(["real+standard+copy_paste"] if lesions else [])]
    painter = "painted" if lesions else "recontrast"
    which = "the lesion" if lesions else "the first class"
    rival = "the null is the reference from another start" + ("; copy_paste costs no generator" if lesions else "")
    what = "lesions drawn into your scans" if lesions else "your scans with another contrast"
    fakes = {"name": f"real+{painter}+standard", "synthesizer": painter, "way": "mix", "share": 0.5}
    return [
        Line("trial.name", as_name(found.folder.resolve().name), "the folder's"),
        Line("trial.primary", primary, f"{which}: the region that decides"),
        Line("trial.reference", "real+standard", "without synthetic data"),
        Line("trial.training_sets.real", real, rival),
        Line("trial.training_sets.synthetic", [fakes], f"{what}; half of each batch"),
        Line("trial.synthesizers", [painter], "add pix2pix, spade or your own: docs/synthesis.md"),
        Line("trial.segmenters", ["light"], "a small U-Net; nnU-Net and your own: docs/bring-your-own.md"),
        Line("trial.label_fractions", [1.0], "all labels that there are"),
        Line("trial.without_labels", [], "sets that are trained without any label, too: docs/trial.md"),
    ]


def _of_synthesis(found: Survey, lesions: Mapping[str, str | None]) -> list[Line]:
    """Generators that need no training; what they paint lies close to their scans, which screening would reject."""
    by_design = Line("screen.filter", "all", "painted slices lie close to their scans by design")
    if not lesions:
        return [Line("train_gan.recontrast.method", {"kind": "recontrast"}, "needs no training"), by_design]
    apart = {"slices": "apart"} if is_nominal(found) else {}
    why = "needs no training" + ("; slices of a patient need be no neighbors" if apart else "")
    return [Line("train_gan.painted.method", {"kind": "lesion_painter", **apart}, why), by_design]


def _of_classes(found: Survey, names: Mapping[int, str], lesions: Mapping[str, str | None], why: str) -> list[Line]:
    unnamed = [value for value in names if value not in found.names]
    said = f"values {unnamed} have no name here: --class {unnamed[0]}=kidney" if unnamed else "as the data name them"
    lines = [
        Line("acquire.source", "folder", ""),
        Line("acquire.folder.path", str(found.folder), counted(len(found.cases), "case")),
        *([Line("acquire.channels", list(found.channels), "as you said")] if found.channels else []),
        Line("prepare.classes", dict(names), said),
        Line("prepare.lesions", dict(lesions), why),
    ]
    if found.segments:
        lines.append(Line("prepare.segments", dict(found.segments), "names in the DICOM label objects"))
    return lines


def _of_intensities(found: Survey) -> list[Line]:
    """A fixed window for CT and for rescaled sets of one scale, else percentiles of each patient."""
    cases = found.cases
    if all(case.least < AIR for case in cases):
        facts = [facts for case in cases for facts in case.classes.values()]
        low, high = statistics.median(f.low for f in facts), statistics.median(f.high for f in facts)
        if SOFT[0] < low and high < SOFT[1]:
            window, why = SOFT_WINDOW, "CT: the soft-tissue window"
        else:
            low, high = low - MARGIN, high + MARGIN
            window, why = (
                (round((low + high) / 2, -1), round(high - low, -1)),
                "CT: the classes' intensities and a margin",
            )
        return [Line("prepare.intensity", {"kind": "window", "center": window[0], "width": window[1]}, why)]
    if all(case.least >= 0 and case.most <= 255 for case in cases) and max(case.most for case in cases) > 1:
        return [
            Line("prepare.intensity", {"kind": "window", "center": 127.5, "width": 255}, "8 bits, no Hounsfield units")
        ]
    return [Line("prepare.intensity", {"kind": "percentile"}, "no CT: a window for each patient")]


def is_nominal(found: Survey) -> bool:
    """Whether voxel sizes look made up: several scans, all of one size, and no file says in what unit."""
    sizes = {case.spacing for case in found.cases}
    return len(found.cases) > 1 and len(sizes) == 1 and not any(case.unit_given for case in found.cases)


def _of_grid(found: Survey, lesions: list[int]) -> list[Line]:
    """Whole slices of about the size that two cores can train on."""
    sides = [max(case.shape[1:]) for case in found.cases]
    if is_nominal(found):
        size = min(SIDE, -(-max(sides) // 16) * 16)
        grid, why = {"kind": "resize", "size": size}, f"slices of up to {max(sides)} pixels"
        lines = [Line("prepare.spacing", "nominal", "all scans say the same and none in what unit: made up")]
        pixel = [max(case.shape[1:]) / size for case in found.cases]
    else:
        fields = [max(np.multiply(case.shape[1:], case.spacing[1:])) for case in found.cases]
        spacing = float(np.ceil(max(fields) / SIDE * 100) / 100)
        grid, why = (
            {"kind": "resample", "spacing": spacing, "size": SIDE},
            f"{max(fields):.0f} mm across in {SIDE} pixels",
        )
        lines, pixel = [], [spacing / case.spacing[1] for case in found.cases]
    small = sum(
        count_small(case, value, side) for case, side in zip(found.cases, pixel, strict=True) for value in lesions
    )
    total = sum(len(case.classes[value].pieces) for case in found.cases for value in lesions if value in case.classes)
    if small:
        why += f"; {small} of {total} lesions are then less than {SMALLEST:g} pixels across"
    return [*lines, Line("prepare.in_plane", grid, why)]


def count_small(case: CaseFacts, value: int, pixel: float) -> int:
    """Pieces of a class that are narrower than a few pixels of the grid, taken for balls.

    Args:
        case: that has them.
        value: of the class.
        pixel: of the grid, in pixels of the scan.
    """
    if value not in case.classes:
        return 0
    # mean extent of a slice of the piece, in the scan's own pixels
    stretch = case.spacing[0] / case.spacing[1]
    across = [2 * (3 * size * stretch / (4 * np.pi)) ** (1 / 3) for size in case.classes[value].pieces]
    return sum(width / pixel < SMALLEST for width in across)


def _of_split(patients: int) -> list[Line]:
    """Enough patients to test, where there are enough."""
    test = min(MOST_TESTED, max(TESTED, math.ceil(100 * DECIDING / patients) / 100))
    validation = 0.15 if patients * 0.15 >= 2 else 0.1
    shares = {"train": round(1 - test - validation, 2), "validation": validation, "test": test}
    few = f"; below {DECIDING} test patients no verdict is possible" if round(patients * test) < DECIDING else ""
    return [Line("prepare.split", shares, f"{counted(patients, 'patient')}{few}")]


def _regions(
    names: Mapping[int, str], primary: str, lesions: Mapping[str, str | None]
) -> dict[str, dict[str, list[int]]]:
    """The primary region first; an organ is found with its lesions."""
    values = {name: value for value, name in names.items()}
    ordered = sorted(names.values(), key=lambda name: name != primary)
    held = {name: [values[lesion] for lesion, organ in lesions.items() if organ == name] for name in ordered}
    return {name: {"labels": sorted([values[name], *held[name]])} for name in ordered}
