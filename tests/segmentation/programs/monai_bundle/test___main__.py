from __future__ import annotations

from pathlib import Path

import pytest

from nephrite.segmentation.programs.monai_bundle.__main__ import options


def test_the_words_of_the_contract_are_understood() -> None:
    words = "bundle fit --train t --synthetic s --share 0.25 --validation v --steps 6 --seed 1 --threads 2 --out m"
    given = options(words.split())
    assert (given.bundle, given.synthetic, given.share) == (Path("bundle"), Path("s"), 0.25)
    assert (given.extra, given.extra_share, given.augmentation) == (None, 0.0, "none")
    assert options(["bundle", "predict", "--model", "m", "--scans", "s", "--out", "o"]).scans == Path("s")


def test_a_geometric_augmentation_is_not_what_a_bundle_has(capsys: pytest.CaptureFixture[str]) -> None:
    words = "bundle fit --train t --validation v --steps 6 --seed 1 --out m --augmentation geometric"
    with pytest.raises(SystemExit):
        options(words.split())
    assert "invalid choice: 'geometric'" in capsys.readouterr().err
