from __future__ import annotations

from pathlib import Path

from nephrite.segmentation.programs.nnunet.__main__ import options


def test_each_verb_asks_for_what_the_contract_gives() -> None:
    words = "fit --train t --validation v --plan p --steps 9 --seed 3 --threads 2 --out o --synthetic s --share 0.5"
    given = options(words.split())
    assert (given.steps, given.seed, given.threads, given.share, given.extra) == (9, 3, 2, 0.5, None)
    assert given.synthetic == Path("s")
