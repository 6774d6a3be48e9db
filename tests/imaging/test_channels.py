from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.config import PercentileSettings, WindowSettings
from nephrite.errors import ConfigError, StoreError
from nephrite.imaging.channels import check_intensity, stored_channels


def test_names_of_channels_are_told_beside_the_scans(tmp_path: Path) -> None:
    assert stored_channels(tmp_path) == ()
    (tmp_path / "channels.json").write_text('{"channels": ["T2", "ADC"]}')
    assert stored_channels(tmp_path) == ("T2", "ADC")
    (tmp_path / "channels.json").write_text('{"channels": ["T2"]}')
    with pytest.raises(StoreError, match=r"channels\.json"):
        stored_channels(tmp_path)


def test_one_window_is_not_for_several_channels() -> None:
    window = WindowSettings(kind="window", center=40, width=400)
    check_intensity(Path("raw"), ["T2", "ADC"], PercentileSettings(kind="percentile"))
    check_intensity(Path("raw"), ["CT"], window)
    with pytest.raises(ConfigError, match="is one window, and raw asks for 2 channels; take 'percentile'"):
        check_intensity(Path("raw"), ["T2", "ADC"], window)
