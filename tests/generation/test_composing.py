"""Slices of labeled patients and of lesion-free scans become synthetic patients with lesions of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nephrite.config import IGNORED
from nephrite.errors import ConfigError
from nephrite.generation.composing import Composer
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.kinds.lesion_painter import LesionPainter, LesionPainterSettings
from nephrite.generation.source_slices import Pass
from nephrite.store.lesion_free import LesionFree
from nephrite.store.slices import PairStore

SMALL: dict[str, Any] = {  # the kidney of the fixture is a frame of 3 pixels about its tumor
    **{"kind": "lesion_painter", "sizes": [{"radius": (1.5, 2)}], "lesions": (2, 3)},
    **{"slices": "apart", "step_of": "window", "outgrowth": 0.6, "rim": 1.0},
}
FIRST = Pass("a1", 1, (0, 1, 2, 3, 4))


def composer(pairs: Path, *, shown: Conditioning | None = None, **settings: object) -> Composer:
    kind = LesionPainter(LesionPainterSettings.model_validate({**SMALL, **settings}))
    return Composer(PairStore(pairs), kind, shown or Conditioning((1, 2)), {2: 1}, seed=3)


def free(pairs: Path, *patients: str) -> LesionFree:
    """Scans whose kidney is known and whose tumor is ignored."""
    store = PairStore(pairs)
    labels = {name: np.where(store.label(name) == 2, IGNORED, store.label(name)).astype(np.uint8) for name in patients}
    return LesionFree(labels, [*patients])


def test_labeled_slices_keep_their_labels_and_get_lesions(pairs: Path) -> None:
    asked, truth = composer(pairs).of_masks(FIRST), PairStore(pairs).label("a1")[:5]
    label = asked.request.label
    new = (label == 2) & (truth != 2)
    assert new.any()
    assert (truth[new] <= 1).all()
    assert np.array_equal(label[~new], truth[~new])
    assert asked.request.background is not None
    assert asked.labeled
    assert not asked.lesion_free
    assert any(edit.done for edit in asked.edits)


def test_the_same_pass_is_repeated_and_the_next_is_another(pairs: Path) -> None:
    makes = composer(pairs)
    first, again, second = (makes.of_masks(one) for one in (FIRST, FIRST, FIRST._replace(number=2)))
    assert np.array_equal(first.request.label, again.request.label)
    assert first.seed == again.seed != second.seed
    assert not np.array_equal(first.request.label, second.request.label)


def test_a_composed_request_has_the_tissue_of_what_was_made(pairs: Path) -> None:
    shown = Conditioning((1, 2), edges=(0.3, 0.6), smoothing=0.0)
    request = composer(pairs, shown=shown).of_masks(FIRST).request
    assert request.tissue is not None
    assert request.background is not None
    assert ((request.background > 0.6) == (request.tissue == 2)).mean() > 0.99


def test_lesion_free_scans_give_as_many_slices_as_wanted_with_a_lesion_in_each(pairs: Path) -> None:
    scans = free(pairs, "a2", "a3")
    made = list(composer(pairs).of_lesion_free(scans, 17))
    assert sum(len(asked.request.label) for asked in made) == 17
    for asked in made:
        assert (asked.request.label == 2).any((1, 2)).all()
        assert (asked.labeled, asked.lesion_free) == (False, True)
        before = scans.labels[asked.source.source][list(asked.source.positions)]
        assert np.array_equal(asked.request.label == IGNORED, before == IGNORED)
        assert (before[asked.request.label == 2] <= 1).all()
    assert {asked.source.source for asked in made} == {"a2", "a3"}


def test_nothing_wanted_is_nothing_made(pairs: Path) -> None:
    assert list(composer(pairs).of_lesion_free(free(pairs, "a2"), 0)) == []


def test_scans_without_room_are_told(pairs: Path) -> None:
    empty = LesionFree({"a2": np.zeros_like(PairStore(pairs).label("a2"))}, [])
    with pytest.raises(ConfigError, match=r"synthesize: found no room for a lesion in 50 runs of slices of 1 scans"):
        list(composer(pairs).of_lesion_free(empty, 3))
