from __future__ import annotations

import pytest

from nephrite.report.arm_record import ExternalRecord, RegionRecord


def test_dice_of_a_patient_is_the_mean_over_cells() -> None:
    region = RegionRecord(dice=0.5, surface_dice=0.5, hd95=None, hd95_defined=0, scored=4)
    record = ExternalRecord(regions={"tumor": region}, dice_by_cell={"tumor": ((0.2, 0.4), (0.4, 0.8))}, native=None)
    assert record.dice_by_patient("tumor") == pytest.approx((0.3, 0.6))
