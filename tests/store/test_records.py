from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nephrite.store.slices import PairStore


def test_the_remedy_names_the_stage_that_wrote_the_store(pairs: Path) -> None:
    manifest = PairStore(pairs).manifest
    assert manifest.remedy == "run 'prepare' again"
    painted = replace(manifest, kind="synthetic", inputs={"synthesizer": "0" * 64})
    assert painted.remedy == "run 'synthesize' again"
    assert replace(painted, inputs={"painted": "0" * 64}).remedy == "run 'screen' again"


@pytest.mark.parametrize("name", ["index.csv", "split.json", "patients/c1/label.npy", "patients/a1/meta.json"])
def test_a_manifest_answers_for_every_file(pairs: Path, name: str) -> None:
    assert name in PairStore(pairs).manifest.files
    assert len(PairStore(pairs).manifest.files) == 2 + 7 * 3
