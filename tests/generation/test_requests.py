from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nephrite.config import IGNORED, Config
from nephrite.errors import ConfigError
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.requests import Asker, prepare_asker
from nephrite.generation.source_slices import Pass
from nephrite.store.slices import PairStore
from tests.conftest import hash_again

Load = Callable[..., Config]
LABELS = Conditioning((1, 2))
ANATOMY = Conditioning((1, 2), edges=(0.3, 0.5), smoothing=0.5)
KNOWN = ["a1", "a2"]
FIRST = Pass("a1", 1, (0, 2, 3, 5))


def asker(
    config: Config,
    pairs: Path,
    *,
    shown: Conditioning = LABELS,
    lesions: dict[int, int | None] | None = None,
    known: list[str] = KNOWN,
    scans: tuple[str, ...] = (),
    found: dict[str, np.ndarray] | None = None,
    styled: bool = False,
) -> Asker:
    return prepare_asker(
        PairStore(pairs),
        known,
        scans,
        found=found,
        conditioning=shown,
        lesions={2: 1} if lesions is None else lesions,
        settings=config.synthesize,
        styled=styled,
        seed=3,
    )


def test_masks_as_they_are_come_with_their_own_background(load: Load, pairs: Path) -> None:
    asked = asker(load(), pairs, shown=ANATOMY).of_masks(FIRST)
    assert np.array_equal(asked.request.label, PairStore(pairs).label("a1")[[0, 2, 3, 5]])
    assert (asked.seed, asked.edits, asked.request.changed) == (None, (), None)
    assert asked.request.tissue is not None
    assert asked.request.background is not None


def test_the_same_pass_makes_the_same_new_masks_and_the_next_others(load: Load, pairs: Path) -> None:
    makes = asker(load("synthesize.masks=new"), pairs)
    first, again, second = (makes.of_masks(source) for source in (FIRST, FIRST, FIRST._replace(number=2)))
    assert np.array_equal(first.request.label, again.request.label)
    assert first.seed == again.seed != second.seed
    assert not np.array_equal(first.request.label, second.request.label)


def test_where_masks_changed_is_known_and_tissue_follows(load: Load, pairs: Path) -> None:
    still = [f"synthesize.deformation.{name}=0" for name in ("rotation", "scale", "shift", "strength")]
    config = load("synthesize.masks=new", *still, "synthesize.edits.removed=1", "synthesize.edits.rescaled=0",
                  "synthesize.edits.moved=0", "synthesize.edits.added=0")  # fmt: skip
    request = asker(config, pairs, shown=ANATOMY).of_masks(FIRST).request
    label = PairStore(pairs).label("a1")[[0, 2, 3, 5]]
    assert np.array_equal(request.label, np.where(label == 2, 1, label))
    assert request.changed is not None
    assert np.array_equal(request.changed, label == 2)
    assert request.tissue is not None


def test_lesions_without_an_organ_are_put_into_the_tissue_that_lesions_lie_in(load: Load, pairs: Path) -> None:
    config = load("synthesize.masks=new", "synthesize.edits.added=8", "synthesize.edits.sizes={tiny: 1}")
    makes = asker(config, pairs, lesions={2: None})
    assert makes.placing is not None
    assert makes.placing.tissues > 1  # although the synthesizer is shown labels alone
    assert sum(makes.hosts[2]) == pytest.approx(1)
    assert len([edit for edit in makes.of_masks(FIRST).edits if edit.place == "anywhere"]) > 0


def test_each_slice_of_a_scan_has_a_new_lesion_and_no_other_label(load: Load, pairs: Path) -> None:
    few = replace(LABELS, classes=(1,))
    config = load("synthesize.unlabeled=1", "synthesize.edits.sizes={tiny: 1}")
    makes = replace(asker(load(), pairs, shown=few, lesions={1: None}, scans=("a3",)), settings=config.synthesize)
    asked = list(makes.of_scans(7))
    assert sum(len(one.request.label) for one in asked) == 7
    assert all(set(np.unique(one.request.label)) == {0, 1} and one.request.label.any((1, 2)).all() for one in asked)
    assert not any(one.labeled for one in asked)
    assert all(len(one.source.positions) == len(one.request.label) for one in asked)


def test_scans_without_room_for_a_lesion_end_the_search(load: Load, pairs: Path) -> None:
    makes = asker(load("synthesize.edits.sizes={large: 1}"), pairs, lesions={1: None}, scans=("a3",))
    nowhere = replace(makes, lesions={1: 200})  # an organ that no scan has
    with pytest.raises(ConfigError, match=r"unlabeled: found no room for a lesion in 50 runs of slices of 1 scans"):
        list(nowhere.of_scans(1))


@pytest.mark.parametrize("style", ["own", "other", "drawn"])
def test_style_is_whose_it_says(load: Load, pairs: Path, style: str) -> None:
    asked = asker(load(f"synthesize.style={style}"), pairs, styled=True).of_masks(FIRST)
    known = PairStore(pairs)
    other = None if asked.style is None else known.image(asked.style.patient)[list(asked.style.positions)]
    assert (asked.request.style is None) == (style == "drawn")
    assert (asked.style is not None) == (style == "other")
    assert style != "own" or asked.request.style is asked.request.background
    assert style != "other" or (asked.style is not None and asked.style.positions == (0, 2, 3, 5))
    assert other is None or len(other) == 4


REFUSED: dict[str, tuple[tuple[str, ...], dict[str, object], str]] = {
    "style of another patient": (
        ("synthesize.style=other",), {"known": ["a1"], "styled": True}, "synthesize.style: is 'other', and there is no",
    ),
    "no scans": (("synthesize.unlabeled=0.5",), {}, "synthesize.unlabeled: is above 0, and there are no scans"),
    "an organ in the scans": (
        ("synthesize.unlabeled=0.5",), {"scans": ("a3",)}, "a scan's own 'kidney' is not known",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_for_is_refused(
    load: Load, pairs: Path, overrides: tuple[str, ...], given: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        asker(load(*overrides), pairs, **given)  # type: ignore[arg-type] # by name


def test_organ_that_no_training_patient_has_is_refused(
    load: Load, pairs: Path, take_away: Callable[[str, int], None]
) -> None:
    take_away("train", 1)
    with pytest.raises(
        ConfigError, match=r"prepare.lesions: names 'kidney', which none of the 2 training patients has"
    ):
        asker(load("synthesize.masks=new"), pairs)


def test_lesion_class_that_no_training_patient_has_is_refused(load: Load, pairs: Path) -> None:
    index = pairs / "index.csv"
    rows = [line.rsplit(",", 1) for line in index.read_text().splitlines()]
    index.write_text("\n".join(f"{row},{'0' if count.isdigit() else count}" for row, count in rows))
    hash_again(pairs)
    with pytest.raises(ConfigError, match=r"prepare.lesions: names 'tumor', which none of the 2 training patients has"):
        asker(load("synthesize.masks=new"), pairs)


@pytest.mark.parametrize("organ", [1, None])
def test_where_none_is_added_no_lesion_need_be_there(
    load: Load, pairs: Path, take_away: Callable[[str, int], None], organ: int | None
) -> None:
    take_away("train", 2)
    config = load("synthesize.masks=new", "synthesize.edits.added=0")
    asked = asker(config, pairs, lesions={2: organ}).of_masks(FIRST)
    assert np.unique(asked.request.label).tolist() == [0, 1]
    assert asked.edits == ()


LABELER = "synthesize.labeler={segmenter: light, steps: 2}"
STILL = [f"synthesize.deformation.{name}=0" for name in ("rotation", "scale", "shift", "strength")]
UNEDITED = [f"synthesize.edits.{name}=0" for name in ("removed", "rescaled", "moved", "added")]


def test_scans_of_a_labeler_are_asked_for_as_it_labels_them(load: Load, pairs: Path) -> None:
    config = load("synthesize.unlabeled=0.5", "synthesize.masks=new", LABELER, *STILL, *UNEDITED)
    labels = np.zeros(PairStore(pairs).image("a3").shape, np.uint8)
    labels[2, 4:20, 4:20], labels[2, 8:12, 8:12] = 1, 2
    (asked,) = asker(config, pairs, scans=("a3",), found={"a3": labels}).of_scans(1)
    assert asked.source.positions == (2,)
    assert not asked.labeled
    assert np.array_equal(asked.request.label[0], labels[2])


def test_what_the_labeler_is_not_sure_of_becomes_background_and_is_painted_anew(load: Load, pairs: Path) -> None:
    config = load("synthesize.unlabeled=0.5", LABELER, *STILL)
    labels = np.zeros(PairStore(pairs).image("a3").shape, np.uint8)
    labels[1, 8:12, 8:12], labels[1, 20:26, 20:26] = 2, IGNORED
    (asked,) = asker(config, pairs, shown=ANATOMY, scans=("a3",), found={"a3": labels}).of_scans(1)
    assert set(np.unique(asked.request.label)) == {0, 2}
    assert asked.request.changed is not None
    assert np.array_equal(asked.request.changed[0], labels[1] == IGNORED)


def test_slices_of_a_labeler_are_taken_where_it_found_something(load: Load, pairs: Path) -> None:
    empty = np.zeros(PairStore(pairs).image("a3").shape, np.uint8)
    some, unsure = empty.copy(), empty.copy()
    some[3, 4:20, 4:20], unsure[:, 4:20, 4:20] = 1, IGNORED
    config = load("synthesize.unlabeled=0.5", LABELER, *STILL)
    makes = asker(config, pairs, scans=("a1", "a2", "a3"), found={"a1": empty, "a2": some, "a3": unsure})
    assert {(asked.source.source, asked.source.positions) for asked in makes.of_scans(3)} == {("a2", (3,))}


def test_labels_that_are_all_taken_away_again_are_one_error(load: Load, pairs: Path) -> None:
    tumors = np.zeros(PairStore(pairs).image("a3").shape, np.uint8)
    tumors[:, 8:12, 8:12] = 2
    gone = [f"synthesize.edits.{name}=0" for name in ("rescaled", "moved", "added")] + ["synthesize.edits.removed=1"]
    config = load("synthesize.masks=new", "synthesize.unlabeled=0.5", LABELER, *STILL, *gone)
    with pytest.raises(ConfigError, match=r"unlabeled: found no room for a lesion .* or take fewer away"):
        list(asker(config, pairs, scans=("a3",), found={"a3": tumors}).of_scans(1))
