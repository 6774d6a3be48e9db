"""Which painted slices are accepted: agreement with the mask, intensity of each class, copies of training slices.

Every test is also run on real validation slices: the share that it rejects there shows how far to trust its rejections.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from nephrite.config import IGNORED, ScreenSettings
from nephrite.imaging.masks import split_channels
from nephrite.screening.class_intensity import IntensityCheck, IntensityRange, IntensityTally, check_intensities
from nephrite.screening.continuity import Continuity
from nephrite.screening.fidelity import Fidelity, measure_fidelity
from nephrite.screening.memorization import Memorization
from nephrite.synthesis.ellipsoids import RADII, size_class

FOREGROUND, BACKGROUND = "foreground", "background"
ENOUGH = 30  # fewest slices for which feature distances are given
MOST = 1000  # most slices that a feature distance takes
QUARTERS = ("smallest quarter", "second quarter", "third quarter", "largest quarter")
EMPTY = "without labels"
Examined = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # image, label, found and features of a batch
Flags = Bool[np.ndarray, " slice"]


@dataclass(frozen=True)
class Measures:
    """What was measured on some slices, one row each.

    Attributes:
        dice: mask asked for against mask found; first of the foreground, then of each channel. NaN where neither is.
        asked: whether the slice asks for the foreground or channel.
        found_share: share of the pixels in which any channel was found.
        pixels: of each class, by the label map.
        intensity: of the background, then of each class.
        features: of the segmenter that looked.
    """

    dice: Float[np.ndarray, "slice region"]
    asked: Bool[np.ndarray, "slice region"]
    found_share: Float[np.ndarray, " slice"]
    pixels: Int64[np.ndarray, "slice class"]
    intensity: IntensityTally
    features: Shaped[np.ndarray, "slice feature"]

    def __len__(self) -> int:
        return len(self.dice)

    @property
    def labeled(self) -> Flags:
        """Whether a slice asks for any channel."""
        return self.asked[:, 0]


def measure(batches: Iterable[Examined], channels: Mapping[str, Sequence[int]], classes: Iterable[int]) -> Measures:
    """Measure slices, one batch at a time; what is found where labels are ignored does not count.

    Args:
        batches: windowed images [b, h, w], label maps [b, h, w], found masks [b, channel, h, w], features [b, f].
        channels: channel name to label values, in the order of the found masks.
        classes: label values.
    """
    values = (0, *classes)
    dice, asked, shares, pixels, tallies, features = [], [], [], [], [], []
    for image, label, found, vectors in batches:
        # channel 0 is the foreground: the union of all
        wanted, known = split_channels(label, channels), found & (label != IGNORED)[:, None]
        wanted, seen = (np.concatenate([masks.any(axis=1, keepdims=True), masks], axis=1) for masks in (wanted, known))
        # Dice of what was asked for and what was found
        both, sizes = (wanted & seen).sum(axis=(2, 3)), wanted.sum(axis=(2, 3)) + seen.sum(axis=(2, 3))
        dice.append(np.divide(2.0 * both, sizes, out=np.full(both.shape, np.nan), where=sizes > 0))
        asked.append(wanted.any(axis=(2, 3)))
        shares.append(seen[:, 0].mean(axis=(1, 2)))
        # what later tests need
        pixels.append(np.stack([(label == value).sum(axis=(1, 2)) for value in values[1:]], axis=1))
        tallies.append(IntensityTally.of(image, label, values))
        features.append(vectors)
    return Measures(
        dice=np.concatenate(dice),
        asked=np.concatenate(asked),
        found_share=np.concatenate(shares),
        pixels=np.concatenate(pixels),
        intensity=IntensityTally.join(tallies),
        features=np.concatenate(features),
    )


@dataclass(frozen=True)
class Screening:
    """Everything that was measured on painted slices, and what follows for each of them.

    Attributes:
        settings: the thresholds.
        channels: channel names, in the order of the measures.
        classes: label value to name, background included.
        training, validation: real slices, for comparison; nothing was trained on the patients of the latter.
        painted: the slices that are judged.
        ranges: of intensity on the training slices, for the classes that they hold.
        memorization: painted against training slices.
        repeated: painted slices that show the same picture as an earlier one.
        mask_overlap: Dice of each painted mask with the nearest training mask; NaN where a mask is empty.
        sizes: size class of each painted slice.
        continuity: differences of neighboring slices.
    """

    settings: ScreenSettings
    channels: tuple[str, ...]
    classes: Mapping[int, str]
    training: Measures
    validation: Measures
    painted: Measures
    ranges: Mapping[int, IntensityRange]
    memorization: Memorization
    repeated: Flags
    mask_overlap: Float[np.ndarray, " slice"]
    sizes: tuple[str, ...]
    continuity: Continuity

    @cached_property
    def failed(self) -> dict[str, Flags]:
        """For each test, the painted slices that fail it; a test that is switched off fails none."""
        copied = self.memorization.copied & (self.settings.memorization == "reject")
        return {**failed_tests(self.painted, self.ranges, self.settings, self.channels), "memorization": copied}

    @cached_property
    def honest(self) -> dict[str, float]:
        """For each test, the share of real validation slices that fail it; expected where they calibrate it."""
        failed = failed_tests(self.validation, self.ranges, self.settings, self.channels)
        expected = self.memorization.calibration.honest_share if self.settings.memorization == "reject" else 0.0
        return {**{name: float(flags.mean()) for name, flags in failed.items()}, "memorization": expected}

    @property
    def passed(self) -> Flags:
        """The painted slices that pass every test."""
        fails: Flags = np.any(list(self.failed.values()), axis=0)
        return ~fails

    @property
    def accepted(self) -> Flags:
        """The painted slices that are kept: all of them, if the filter only reports."""
        return self.passed | (self.settings.filter != "tests")

    def reasons(self, row: int) -> list[str]:
        """The tests that a painted slice fails."""
        return [name for name, flags in self.failed.items() if flags[row]]

    def intensity(self, measures: Measures) -> IntensityCheck:
        """Check the intensities of some slices against the training ranges."""
        return _check_intensity(measures, self.ranges, self.settings)

    def all_rejected(self) -> str | None:
        """Where nothing was accepted: the thresholds, what each test rejected, and what to do; else None."""
        if self.accepted.any():
            return None
        # say which test rejects how many, of real slices too
        told = {
            "agreement": f"agreement {_bands(self.settings)}",
            "false_positives": f"false_positives {self.settings.false_positives:g}",
            "intensity": f"intensity_distance {self.settings.intensity_distance or 0:g}",
            "memorization": f"memorization_quantile {self.settings.memorization_quantile:g}",
        }
        counts = [
            f"{told[name]} rejects {flags.sum()} (and {self.honest[name]:.0%} of real validation slices)"
            for name, flags in self.failed.items()
            if flags.any()
        ]
        remedy = "train the synthesizer for longer, loosen the thresholds, or take 'screen.filter: report' to see more"
        return f"screen: accepts none of {len(self.painted)} painted slices: {', '.join(counts)}; {remedy}"


def failed_tests(
    measures: Measures, ranges: Mapping[int, IntensityRange], settings: ScreenSettings, channels: Sequence[str]
) -> dict[str, Flags]:
    """The tests that look at a slice by itself: for each, the slices that fail it.

    A slice with a labeled class must agree with its mask, and with single channels of it as far as the settings say;
    in a slice without one, little may be found.
    """
    # agreement: Dice within the band of each channel
    labeled, bands = measures.labeled, {0: settings.agreement}
    bands |= {1 + channels.index(name): band for name, band in settings.agreement_by_channel.items()}
    disagrees: Flags = np.zeros(len(measures), dtype=bool)
    for place, (low, high) in bands.items():
        dice = np.nan_to_num(measures.dice[:, place])
        disagrees |= measures.asked[:, place] & ((dice < low) | (dice > high))
    # foreground in slices that were painted without any
    ghosts = ~labeled & (measures.found_share > settings.false_positives)
    outside = _check_intensity(measures, ranges, settings).outside.any(axis=1)
    return {
        "agreement": disagrees,
        "false_positives": ghosts,
        "intensity": np.logical_and(outside, settings.intensity_distance is not None),
    }


def _bands(settings: ScreenSettings) -> str:
    by_channel = [f", {name} {list(band)}" for name, band in settings.agreement_by_channel.items()]
    return f"{list(settings.agreement)}{''.join(by_channel)}"


def compare_features(screening: Screening, *, seed: int) -> tuple[int, dict[str, Fidelity | None]]:
    """Distances between features of training slices and others: how many of each, and the distances by their name.

    Only slices with a labeled class are compared, and as many validation as painted ones: the figures depend on both.
    None where there are fewer than `ENOUGH`.
    """
    # slices with labels only
    painted, validation = screening.painted, screening.validation
    groups = {
        "validation": validation.features[validation.labeled],
        "painted": painted.features[painted.labeled],
        "accepted": painted.features[painted.labeled & screening.accepted],
    }
    # equal sample sizes, since the distances depend on them
    training, rng = screening.training.features[screening.training.labeled], np.random.default_rng(seed)
    count = min(MOST, len(training), len(groups["validation"]), len(groups["painted"]))
    if len(groups["accepted"]) >= ENOUGH:
        count = min(count, len(groups["accepted"]))
    found: dict[str, Fidelity | None] = {}
    training = _draw(training, MOST, rng)
    for name, features in groups.items():
        enough = count >= ENOUGH and len(features) >= count
        found[name] = measure_fidelity(training, _draw(features, count, rng), seed=seed) if enough else None
    return count, found


def lesion_sizes(pixels: Int64[np.ndarray, " slice"], millimeters: Float[np.ndarray, " slice"]) -> list[str]:
    """Size class of each slice by the radius of a circle with the area of its lesions.

    Args:
        pixels: of all lesion classes together.
        millimeters: area of a pixel, in square millimeters.
    """
    radii = np.sqrt(pixels * millimeters / math.pi)
    return [size_class(float(radius)) if radius else EMPTY for radius in radii]


def area_quarters(pixels: Int64[np.ndarray, " slice"]) -> list[str]:
    """The quarter of the labeled slices, by area, that each slice lies in."""
    if not pixels.any():
        return [EMPTY] * len(pixels)
    limits = np.quantile(pixels[pixels > 0], (0.25, 0.5, 0.75))
    return [QUARTERS[int((count > limits).sum())] if count else EMPTY for count in pixels]


def size_order(sizes: Iterable[str]) -> list[str]:
    """The size classes that occur, small to large, slices without last."""
    present = set(sizes)
    return [name for name in (*RADII, *QUARTERS, EMPTY) if name in present]


def _check_intensity(
    measures: Measures, ranges: Mapping[int, IntensityRange], settings: ScreenSettings
) -> IntensityCheck:
    return check_intensities(measures.intensity.only(ranges), ranges, tolerance=settings.intensity_distance or 0.0)


def _draw(features: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    chosen: np.ndarray = features[rng.permutation(len(features))[:count]]
    return chosen
