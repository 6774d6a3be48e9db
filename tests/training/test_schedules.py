from __future__ import annotations

import pytest

from nephrite.training.schedules import polynomial_factor


def test_rate_falls_from_1_to_nearly_0_a_little_later_than_a_line() -> None:
    factors = [polynomial_factor(step, 100) for step in range(100)]
    assert factors[0] == 1
    assert factors == sorted(factors, reverse=True)
    assert factors[50] == pytest.approx(0.5**0.9)
    assert 0 < factors[-1] < 0.02
