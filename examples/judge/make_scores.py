"""Write scores.csv, the example of `nephrite judge`: `python examples/judge/make_scores.py`.

The scores are simulated, and no scan or network stands behind them. Spreads are those of small lesion trials: patients
0.12, runs 0.012, single scores 0.05. The arm 'fakes' truly gains 0.04 Dice over 'real'; 'real_again' is 'real' from
another initialization, so its true gain is 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nephrite.files import write_table

GAINS = {"real": 0.0, "real_again": 0.0, "fakes": 0.04}
PATIENTS, REPLICATES = 16, 5
HEAD = ("patient", "arm", "replicate", "region", "metric", "value")
Row = tuple[str, str, str, str, str, str]


def simulated(seed: int = 17) -> list[Row]:
    """Dice of every patient in every arm and replicate."""
    generator = np.random.default_rng(seed)
    ease = generator.normal(0.72, 0.12, PATIENTS)
    rows: list[Row] = []
    for arm, gain in GAINS.items():
        for replicate in range(REPLICATES):
            run = gain + generator.normal(0, 0.012)
            dice = np.clip(ease + run + generator.normal(0, 0.05, PATIENTS), 0, 0.98)
            rows += [
                (f"case_{number:02d}", arm, str(replicate), "tumor", "dice", f"{value:.3f}")
                for number, value in enumerate(dice)
            ]
    return rows


if __name__ == "__main__":
    write_table(Path(__file__).with_name("scores.csv"), HEAD, simulated())
