from __future__ import annotations

import numpy as np
import pytest

from nephrite.verdict.families import Table, adjust, correlations
from nephrite.verdict.statistics import paired_interval, paired_p


def _family(count: int, cells: int = 4, patients: int = 15, shared: float = 0.5, seed: int = 0) -> list[Table]:
    """Comparisons with one reference, whose own noise is a share of every difference's."""
    generator = np.random.default_rng(seed)
    size = (cells, patients)
    reference = generator.standard_normal(size)
    gains = generator.uniform(-0.3, 0.3, count)
    tables = [
        gain + np.sqrt(1 - shared) * generator.standard_normal(size) + np.sqrt(shared) * reference for gain in gains
    ]
    return [Table(table, tuple(range(cells)), paired_p(table)) for table in tables]


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_adjusted_p_is_small_exactly_where_the_adjusted_interval_excludes_zero(confidence: float) -> None:
    seen = set[bool]()
    for seed in range(40):
        family = _family(6, seed=seed)
        found = adjust(family, confidence=confidence, draws=1000, seed=seed)
        for table, p in zip(family, found.p, strict=True):
            interval = paired_interval(table.differences, confidence=found.confidence)
            assert interval.low is not None
            assert interval.high is not None
            excludes = interval.low > 0 or interval.high < 0
            assert (p < 1 - confidence) == excludes
            seen.add(excludes)
    assert seen == {True, False}


def test_adjusting_costs_no_more_than_bonferroni_and_the_less_the_more_comparisons_go_together() -> None:
    apart, together = (
        adjust(_family(8, shared=share, cells=8, patients=40), confidence=0.95, draws=20_000, seed=1)
        for share in (0.0, 0.95)
    )
    assert 0.05 / 8 * 0.9 < 1 - apart.confidence < 0.05 / 8 * 1.25
    assert 1 - together.confidence > 2 * (1 - apart.confidence)


def test_equal_comparisons_count_once() -> None:
    (table,) = _family(1)
    found = adjust([table] * 5, confidence=0.95, draws=20_000, seed=0)
    assert found.confidence == pytest.approx(0.95, abs=0.003)
    assert found.p == pytest.approx((table.p,) * 5, abs=0.02)


def test_a_single_comparison_stays_what_it_is() -> None:
    family = _family(1)
    found = adjust(family, confidence=0.95, draws=100, seed=0)
    assert (found.p, found.confidence) == ((family[0].p,), 0.95)
    assert adjust([], confidence=0.95, draws=100, seed=0).p == ()


def test_more_comparisons_are_adjusted_more_and_keep_their_order() -> None:
    family = _family(12)
    few, many = (adjust(family[:count], confidence=0.95, draws=5000, seed=0) for count in (3, 12))
    assert many.confidence > few.confidence > 0.95
    assert all(one <= other for one, other in zip(few.p, many.p[:3], strict=True))
    by_p = sorted(zip((table.p for table in family), many.p, strict=True))
    assert [p for _, p in by_p] == sorted(many.p)


def test_an_adjusted_p_is_never_below_the_p_itself() -> None:
    family = _family(4)
    tiny = Table(family[0].differences, family[0].cells, 1e-9)
    assert adjust([tiny, *family], confidence=0.95, draws=100, seed=0).p[0] == 1e-9


def test_correlations_are_those_of_the_shared_arm() -> None:
    tables = _family(2, cells=30, patients=300, shared=0.7)
    assert correlations(tables)[0, 1] == pytest.approx(0.7, abs=0.1)


def test_comparisons_of_other_cells_go_together_by_their_patients_alone() -> None:
    table = _family(1)[0].differences
    same, other = (
        (Table(table, (0, 1, 2, 3), 0.5), Table(table, cells, 0.5)) for cells in ((0, 1, 2, 3), (4, 5, 6, 7))
    )
    assert correlations(same)[0, 1] == pytest.approx(1)
    assert 0 < correlations(other)[0, 1] < 0.99


def test_a_comparison_without_any_spread_goes_with_none() -> None:
    flat = Table(np.full((3, 15), 0.2), (0, 1, 2), 0.0)
    found = adjust([flat, flat, *_family(1)], confidence=0.95, draws=500, seed=0)
    assert found.p[0] == 0
    assert correlations([flat, *_family(1)])[0].tolist() == [1, 0]


def test_draws_can_be_replayed() -> None:
    first, again, other = (adjust(_family(5), confidence=0.95, draws=300, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_comparisons_of_other_patients_go_together_by_their_cells_alone() -> None:
    table, cells = _family(1, cells=6, patients=10)[0].differences, tuple(range(6))
    names = tuple(f"p{number}" for number in range(10))
    whole = Table(table, cells, 0.5, names)
    turned = Table(table[:, ::-1].copy(), cells, 0.5, names[::-1])
    others = Table(table, cells, 0.5, tuple(f"e{number}" for number in range(10)))
    part = Table(table[:, :4], cells, 0.5, names[:4])
    found = correlations([whole, turned, others, part])
    assert found[0, 1] == pytest.approx(1)
    assert 0 < found[0, 2] < 0.99
    from_cells = ((table.mean(axis=1) - table.mean()) / 6) ** 2
    from_patients = ((table.mean(axis=0) - table.mean()) / 10) ** 2
    assert found[0, 2] == pytest.approx(from_cells.sum() / (from_cells.sum() + from_patients.sum()))
    assert found[0, 3] < 1
