from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nephrite.config import IGNORED, ScreenSettings
from nephrite.screening.acceptance import (
    EMPTY,
    ENOUGH,
    Measures,
    Screening,
    area_quarters,
    compare_features,
    failed_tests,
    lesion_sizes,
    measure,
    size_order,
)
from nephrite.screening.class_intensity import intensity_ranges
from nephrite.screening.continuity import Continuity
from nephrite.screening.memorization import measure_memorization, thumbnails
from nephrite.store.slices import SliceRef

CLASSES = {0: "background", 1: "kidney", 2: "tumor"}
CHANNELS = {"kidney": (1,), "tumor": (2,)}
SETTINGS = ScreenSettings(segmenter="light", steps=1)


def draw(count: int, *, seed: int = 0, bright: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Slices of noise with a kidney and a tumor; the last one is empty."""
    rng = np.random.default_rng(seed)
    label = np.zeros((count, 24, 24), np.uint8)
    for place, plane in enumerate(label[:-1]):
        plane[4 : 10 + place % 5, 4:12] = 1
        plane[14:20, 14 : 16 + place % 3] = 2
    image = np.array([0.2, 0.5, 0.8])[label] + bright + 0.02 * rng.standard_normal(label.shape)
    return image.clip(0, 1).astype(np.float32), label


def looked(image: np.ndarray, label: np.ndarray, found: np.ndarray | None = None, *, seed: int = 0) -> Measures:
    """What is measured if the segmenter finds `found`; all that was asked for by default."""
    right = np.stack([label == 1, label == 2], axis=1)
    features = np.random.default_rng(seed).standard_normal((len(image), 3))
    return measure([(image, label, right if found is None else found, features)], CHANNELS, (1, 2))


def screening(
    painted: Measures, images: np.ndarray, settings: ScreenSettings = SETTINGS, *, many: int = 20
) -> Screening:
    """Painted slices against `many` training and validation slices."""
    train, other = draw(many, seed=1), draw(many, seed=2)
    known, refs = looked(*train, seed=3), [SliceRef("a", place) for place in range(many)]
    painted_small, train_small, other_small = (thumbnails(each) for each in (images, train[0], other[0]))
    return Screening(
        settings=settings,
        channels=tuple(CHANNELS),
        classes=CLASSES,
        training=known,
        validation=looked(*other, seed=4),
        painted=painted,
        ranges=intensity_ranges(known.intensity, CLASSES),
        memorization=measure_memorization(painted_small, train_small, other_small, refs),
        repeated=np.zeros(len(images), np.bool_),
        mask_overlap=np.ones(len(images)),
        sizes=(EMPTY,) * len(images),
        continuity=Continuity(np.array([0.2, 0.4, 0.3]), np.array([0.1, 0.2])),
    )


def test_dice_is_measured_for_foreground_and_channels_where_there_is_any() -> None:
    image, label = draw(2)
    found = np.stack([label == 1, np.zeros_like(label, dtype=bool)], axis=1)
    measures = looked(image, label, found)
    kidney, tumor = (label[0] == 1).sum(), (label[0] == 2).sum()
    assert measures.dice[0] == pytest.approx([2 * kidney / (2 * kidney + tumor), 1, 0])
    assert np.isnan(measures.dice[1]).all()
    assert measures.pixels.tolist() == [[kidney, tumor], [0, 0]]
    assert measures.found_share.tolist() == [kidney / 576, 0]


def test_batches_are_measured_like_all_slices_at_once() -> None:
    image, label = draw(6)
    found, features = np.stack([label == 1, label == 2], axis=1), np.ones((6, 2))
    parts = [(image[rows], label[rows], found[rows], features[rows]) for rows in (slice(0, 4), slice(4, 6))]
    split, whole = measure(parts, CHANNELS, (1, 2)), looked(image, label)
    assert np.array_equal(split.dice, whole.dice, equal_nan=True)
    assert np.array_equal(split.intensity.means, whole.intensity.means, equal_nan=True)


@pytest.mark.parametrize(("band", "failing"), [((0.0, 1.0), False), ((0.6, 1.0), True), ((0.0, 0.4), True)])
def test_agreement_must_lie_in_the_band(band: tuple[float, float], failing: bool) -> None:
    image, label = draw(2)
    found = np.stack([label == 1, label == 2], axis=1)
    found[:, :, :, :10] = False  # three quarters of the kidney are missed
    measures = looked(image, label, found)
    assert measures.dice[0, 0] == pytest.approx(48 / 84)
    settings = SETTINGS.model_copy(update={"agreement": band})
    flags = failed_tests(measures, intensity_ranges(measures.intensity, CLASSES), settings, tuple(CHANNELS))
    assert flags["agreement"].tolist() == [failing, False]


def test_a_channel_can_have_a_band_of_its_own() -> None:
    image, label = draw(3)
    found = np.stack([label == 1, np.zeros_like(label, dtype=bool)], axis=1)  # each kidney, and no tumor
    measures = looked(image, label, found)
    without_tumor = ~measures.asked[:, 2]
    ranges = intensity_ranges(measures.intensity, CLASSES)
    flags = {}
    for name, bands in {"off": {}, "tumor": {"tumor": (0.1, 1.0)}, "kidney": {"kidney": (0.1, 1.0)}}.items():
        settings = SETTINGS.model_copy(update={"agreement_by_channel": bands})
        flags[name] = failed_tests(measures, ranges, settings, tuple(CHANNELS))["agreement"]
    assert not flags["off"].any()
    assert not flags["kidney"].any()
    assert flags["tumor"].tolist() == (~without_tumor).tolist()
    assert flags["tumor"].any()


def test_few_false_positives_pass_in_a_slice_without_labels() -> None:
    image, label = draw(3)
    image, label, found = image[[0, 2, 2]], label[[0, 2, 2]], np.zeros((3, 2, 24, 24), dtype=bool)
    found[1, 0, 0, :2] = found[2, 0, 0, :4] = True  # 0.35 % and 0.69 % of the pixels
    measures = looked(image, label, found)
    flags = failed_tests(measures, intensity_ranges(measures.intensity, CLASSES), SETTINGS, tuple(CHANNELS))
    assert flags["false_positives"].tolist() == [False, False, True]


@pytest.mark.parametrize(("tolerance", "failing"), [(0.05, True), (0.2, False), (None, False)])
def test_intensity_may_lie_outside_by_the_tolerance(tolerance: float | None, failing: bool) -> None:
    known, brighter = looked(*draw(20)), looked(*draw(4, bright=0.15))
    settings = SETTINGS.model_copy(update={"intensity_distance": tolerance})
    flags = failed_tests(brighter, intensity_ranges(known.intensity, CLASSES), settings, tuple(CHANNELS))
    assert flags["intensity"].all() == flags["intensity"].any() == failing


def test_copies_are_rejected_or_only_counted() -> None:
    copies = draw(20, seed=1)
    found = screening(looked(*copies), copies[0])
    assert found.failed["memorization"].sum() >= 19
    kept = replace(found, settings=SETTINGS.model_copy(update={"memorization": "report"}))
    assert not kept.failed["memorization"].any()
    assert kept.honest["memorization"] == 0 < found.honest["memorization"] == pytest.approx(1 / 21)


def test_validation_slices_take_the_same_tests() -> None:
    images = draw(4, seed=5)
    assert screening(looked(*images), images[0]).honest["agreement"] == 0
    none = SETTINGS.model_copy(update={"agreement": (0.0, 0.5)})
    assert screening(looked(*images), images[0], none).honest["agreement"] == 0.95  # all but the empty one


def test_nothing_accepted_is_told_unless_the_filter_only_reports() -> None:
    image, label = draw(4, seed=5, bright=0.3)
    found = screening(looked(image, label), image)
    told = found.all_rejected()
    assert told is not None
    assert told.startswith("screen: accepts none of 4 painted slices: intensity_distance 0.05 rejects 4")
    lenient = replace(found, settings=SETTINGS.model_copy(update={"filter": "report"}))
    assert lenient.all_rejected() is None
    assert lenient.accepted.all()
    assert not lenient.passed.any()


def test_features_are_compared_in_equal_numbers_and_not_if_few() -> None:
    images = draw(60, seed=5)
    count, found = compare_features(screening(looked(*images), images[0], many=41), seed=0)
    assert count == 40
    assert {fidelity.synthetic for fidelity in found.values() if fidelity} == {40}
    count, found = compare_features(screening(looked(*images), images[0], many=ENOUGH), seed=0)
    assert count == ENOUGH - 1  # one of the validation slices is empty
    assert found == {"validation": None, "painted": None, "accepted": None}


def test_lesions_are_classed_by_the_radius_of_an_equal_circle() -> None:
    pixels = np.array([0, 7, 28, 110, 113])
    assert lesion_sizes(pixels, np.array([4.0, 4, 4, 4, 1])) == [EMPTY, "tiny", "small", "medium", "small"]


def test_areas_fall_into_quarters_of_the_labeled_slices() -> None:
    names = area_quarters(np.array([0, 1, 2, 3, 4]))
    assert names == [EMPTY, "smallest quarter", "second quarter", "third quarter", "largest quarter"]
    assert size_order(reversed(names)) == [*names[1:], EMPTY]
    assert area_quarters(np.zeros(2, np.int64)) == [EMPTY, EMPTY]


def test_what_is_found_where_labels_are_ignored_does_not_count() -> None:
    image, label = draw(4)
    found = np.stack([label == 1, label == 2], axis=1)
    plain = looked(image, label, found)
    label[:, 18:, :10] = IGNORED
    found[:, 1, 19:, :9] = True
    ignored = looked(image, label, found)
    assert np.array_equal(plain.dice, ignored.dice, equal_nan=True)
    assert np.array_equal(plain.found_share, ignored.found_share)
    label[label == IGNORED] = 0
    assert (looked(image, label, found).dice[:3, 2] < plain.dice[:3, 2]).all()
