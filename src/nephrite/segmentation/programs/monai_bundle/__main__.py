"""The program's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The bundle, the verb and its options."""
    parser = argparse.ArgumentParser(prog="monai_bundle")
    parser.add_argument("bundle", type=Path)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, names in {"fit": ("train", "validation"), "predict": ("model", "scans")}.items():
        command = verbs.add_parser(verb)
        for name in (*names, "out"):
            command.add_argument(f"--{name}", type=Path, required=True)
        command.add_argument("--threads", type=int, default=1)
        if verb == "fit":
            for name in ("synthetic", "extra"):
                command.add_argument(f"--{name}", type=Path)
            for name in ("share", "extra-share"):
                command.add_argument(f"--{name}", type=float, default=0.0)
            command.add_argument("--augmentation", choices=("none", "standard"), default="none")
            command.add_argument("--steps", type=int, required=True)
            command.add_argument("--seed", type=int, required=True)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run one verb."""
    given = options(words)
    # MONAI takes seconds to import: a wrong word is told before
    import torch

    from nephrite.segmentation.programs.monai_bundle.bundle import read_bundle
    from nephrite.segmentation.programs.monai_bundle.finding import predict
    from nephrite.segmentation.programs.monai_bundle.learning import fit

    torch.set_num_threads(given.threads)
    if given.verb == "fit":
        fit(read_bundle(given.bundle), given)
    else:
        predict(given.model, given.scans, given.out)


if __name__ == "__main__":
    main()
