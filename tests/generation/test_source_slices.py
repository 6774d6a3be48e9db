from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError
from nephrite.generation.source_slices import RUN, Pass, Share, choose_passes, count_slices, scan_runs
from nephrite.store.slices import PairStore
from tests.conftest import hash_again

Load = Callable[..., Config]
ALL = ["a1", "a2", "a3"]


def slices(passes: list[Pass]) -> Counter[tuple[str, int]]:
    return Counter((one.source, position) for one in passes for position in one.positions)


@pytest.mark.parametrize("wanted", [5, 18, 27, 43])
def test_no_slice_comes_again_before_all_others_came(pairs: Path, wanted: int) -> None:
    counts = slices(choose_passes(PairStore(pairs), ALL, wanted, labeled_only=False, seed=1))
    assert sum(counts.values()) == wanted
    assert {patient for patient, _ in counts} <= {*ALL}
    assert max(counts.values()) == math.ceil(wanted / 18)
    assert wanted < 18 or min(counts.values()) == wanted // 18


def test_a_pass_has_a_slice_once_in_ascending_order(pairs: Path) -> None:
    passes = choose_passes(PairStore(pairs), ALL, 43, labeled_only=False, seed=1)
    assert all(sorted({*one.positions}) == list(one.positions) for one in passes)
    assert len({one[:2] for one in passes}) == len(passes)


def test_choice_follows_from_the_seed(pairs: Path) -> None:
    first, again, other = (choose_passes(PairStore(pairs), ALL, 9, labeled_only=False, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_only_the_known_patients_are_painted(pairs: Path) -> None:
    counts = slices(choose_passes(PairStore(pairs), ["a2"], 6, labeled_only=False, seed=1))
    assert counts == {("a2", position): 1 for position in range(6)}


def test_labeled_only_leaves_empty_masks_out(pairs: Path) -> None:
    passes = choose_passes(PairStore(pairs), ALL, 18, labeled_only=True, seed=1)
    assert max(position for one in passes for position in one.positions) == 4  # the last slice of each is empty


def test_labeled_only_without_labeled_slices_is_refused(pairs: Path) -> None:
    index = pairs / "index.csv"
    rows = [line.split(",") for line in index.read_text().splitlines()]
    index.write_text("\n".join(",".join([*row[:3], *("0" if x.isdigit() else x for x in row[3:])]) for row in rows))
    hash_again(pairs)
    with pytest.raises(ConfigError, match=r"synthesize.labeled_only: true leaves no slice of the 3 training patients"):
        choose_passes(PairStore(pairs), ALL, 6, labeled_only=True, seed=1)


def test_share_of_scans_is_taken_from_the_ratio_of_the_known_patients(pairs: Path) -> None:
    assert count_slices(PairStore(pairs), ["a1", "a2"], 1.5, 0.25) == Share(masks=14, scans=4)


def test_ratio_that_rounds_to_nothing_is_refused(pairs: Path) -> None:
    with pytest.raises(ConfigError, match=r"synthesize.ratio: 0.01 of 18 training slices rounds to none"):
        count_slices(PairStore(pairs), ALL, 0.01, 0.0)


def test_runs_of_scans_take_each_scan_in_turn(pairs: Path) -> None:
    runs = list(islice(scan_runs(PairStore(pairs), ["a1", "a3"], seed=1), 6))
    assert Counter(one.source for one in runs) == {"a1": 3, "a3": 3}
    assert len({one[:2] for one in runs}) == 6
    assert all(one.positions == tuple(range(min(6, RUN))) for one in runs)
