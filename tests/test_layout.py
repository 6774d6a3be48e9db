from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nephrite.config import Config, GeneratorRun
from nephrite.layout import Layout


def test_every_arm_and_painter_has_a_place_of_its_own(load: Callable[..., Config]) -> None:
    config = load("trial.cells=[0, 1]", "trial.label_fractions=[0.5, 1.0]")
    layout = Layout(Path("trial"))
    arms = [place(arm) for arm in config.trial.arms for place in (layout.segmenter, layout.score)]
    kinds = (layout.synthesizer, layout.painted, layout.synthetic)
    painters = [place(painter) for painter in config.trial.painters for place in kinds]
    assert len({*arms, *painters}) == 2 * len(config.trial.arms) + 3 * len(config.trial.painters)


def test_places_are_those_that_dvc_writes_to(root: Path) -> None:
    text, layout = (root / "dvc.yaml").read_text(encoding="utf-8"), Layout(Path())
    for place in (layout.raw, layout.pairs, layout.report, layout.scores, layout.segmenters):
        assert str(place) in text
    painter = GeneratorRun(synthesizer="pix2pix", fraction=1.0, cell=0)
    named = str(painter).replace("pix2pix/1.0/0", "${item.synthesizer}/${item.fraction}/${item.cell}")
    assert f"{layout.synthesizer(painter).parents[2]}/{named}" in text
