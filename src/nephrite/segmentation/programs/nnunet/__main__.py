"""The program's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The verb and its options."""
    parser = argparse.ArgumentParser(prog="nnunet")
    verbs = parser.add_subparsers(dest="verb", required=True)
    folders = {"plan": ("train",), "fit": ("train", "validation", "plan"), "predict": ("model", "scans")}
    for verb, names in folders.items():
        command = verbs.add_parser(verb)
        for name in (*names, "out"):
            command.add_argument(f"--{name}", type=Path, required=True)
        if verb != "plan":
            command.add_argument("--threads", type=int, default=1)
        if verb == "fit":
            for name in ("synthetic", "extra"):
                command.add_argument(f"--{name}", type=Path)
            for name in ("share", "extra-share"):
                command.add_argument(f"--{name}", type=float)
            command.add_argument("--augmentation", default="standard")
            command.add_argument("--steps", type=int, required=True)
            command.add_argument("--seed", type=int, required=True)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run one verb."""
    given = options(words)
    if given.verb == "plan":
        from .learning import plan

        plan(given.train, given.out)
        return
    import torch

    torch.set_num_threads(given.threads)
    if given.verb == "fit":
        from .learning import fit

        fit(given)
    else:
        from .finding import predict

        predict(given.model, given.scans, given.out)


if __name__ == "__main__":
    main()
