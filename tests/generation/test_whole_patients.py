"""A kind that paints whole label maps is shown whole patients, and its volumes are cut to the slices asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from nephrite.config import Config, GeneratorSettings
from nephrite.generation.conditioning import Conditioning
from nephrite.generation.kind import VolumeKind
from nephrite.generation.requests import prepare_asker
from nephrite.generation.source_slices import Pass
from nephrite.generation.whole_patients import fit_whole, paint_whole
from nephrite.programs.case_folders import Case, Mask
from nephrite.store.slices import PairStore


class ToySettings(GeneratorSettings):
    kind: Literal["toy"] = "toy"


class Toy(VolumeKind[ToySettings]):
    """Remembers whom it was given, and paints the number of each slice."""

    def fit(self, cases: Iterable[Case], classes: Mapping[int, str], model: Path, seed: int) -> None:
        (model / "names").write_text(" ".join(case.name for case in cases))

    def paint_volumes(
        self, model: Path, masks: Iterable[Mask], classes: Mapping[int, str], seed: int
    ) -> Iterator[np.ndarray]:
        self.masks = list(masks)
        for mask in self.masks:
            numbers = np.arange(len(mask.label), dtype=np.float32) / 10
            yield np.broadcast_to(numbers[:, None, None], mask.label.shape)


def test_it_learns_from_the_labeled_patients_alone(pairs: Path, tmp_path: Path) -> None:
    kind = Toy(ToySettings())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "older").touch()
    samples = fit_whole(kind, PairStore(pairs), ["a1", "a3"], tmp_path, seed=1)
    assert {path.name: path.read_text() for path in (tmp_path / "model").iterdir()} == {"names": "a1 a3"}
    (mask,) = kind.masks
    assert mask.label.shape == (6, 32, 32)
    assert [float(sample.fake.mean()) for sample in samples] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("masks", ["as_they_are", "new"])
def test_slices_are_cut_from_whole_patients(
    load: Callable[..., Config], pairs: Path, tmp_path: Path, masks: str
) -> None:
    config = load(f"synthesize.masks={masks}")
    store, kind = PairStore(pairs), Toy(ToySettings())
    asker = prepare_asker(
        store,
        ["a1", "a2"],
        [],
        conditioning=Conditioning((1, 2)),
        lesions={2: 1},
        settings=config.synthesize,
        styled=False,
        seed=1,
    )
    passes = [Pass("a2", 1, (1, 4)), Pass("a2", 2, (0,))]
    (first, painted), (second, other) = paint_whole(kind, tmp_path, asker, passes, seed=1)
    assert (first.source, second.source) == tuple(passes)
    assert [*painted[:, 0, 0], *other[:, 0, 0]] == pytest.approx([0.1, 0.4, 0.0])
    whole = kind.masks[0]
    assert (whole.name, whole.spacing, whole.window) == ("synthetic-a2", (4.0, 2.0, 2.0), (-200.0, 200.0))
    assert np.array_equal(first.request.label, whole.label[[1, 4]])
    assert np.array_equal(whole.label, store.label("a2")) == (masks == "as_they_are")
    assert kind.masks[0].name != kind.masks[1].name
