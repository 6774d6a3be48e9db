"""A program that keeps the contract of docs/bring-your-own.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nephrite.config import Config

IMAGE = "registry.example/mine@sha256:" + "5" * 64

# What follows keeps the contract: it remembers what it was given, and finds what was bright in training.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
import nibabel, numpy

verb, *words = sys.argv[1:]
given = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2]))
out = Path(given["out"])

def plan():
    (out / "plan.txt").write_text(str(len(list(Path(given["train"], "imagesTr").iterdir()))))

def fit():
    folders = [Path(given[name]) for name in ("train", "synthetic", "extra") if name in given]
    cases = sum(len(list((folder / "labelsTr").iterdir())) for folder in folders)
    steps = int(given["steps"])
    with open(out / "progress.jsonl", "w") as file:
        for step in range(1, steps + 1):
            row = {"step": step, "validation_dice": step / steps / 2, "train_loss": 1 / step}
            file.write(json.dumps(row) + "\\n")
    about = {name: Path(value, "dataset.json") for name, value in given.items()}
    seen = {name: json.loads(path.read_text()) for name, path in about.items() if path.is_file()}
    plan = Path(given["plan"], "plan.txt").read_text() if "plan" in given else None
    record = {"steps": steps, "seed": int(given["seed"]), "cases": cases, "version": "toy 1"}
    (out / "model.json").write_text(json.dumps({**record, "given": given, "seen": seen, "plan": plan}))

def predict():
    for path in Path(given["scans"], "imagesTs").iterdir():
        scan = nibabel.load(path)
        name = path.name.removesuffix("_0000.nii.gz")
        image = scan.get_fdata()
        found = numpy.where(image > 40, 2, numpy.where(image > -20, 1, 0)).astype("uint8")
        nibabel.save(nibabel.Nifti1Image(found, scan.affine), out / f"{name}.nii.gz")
        if "probabilities" in sys.argv[0]:
            for channel, value in (("kidney", 1), ("tumor", 2)):
                probability = (0.9 * (found == value)).astype("float32")
                nibabel.save(nibabel.Nifti1Image(probability, scan.affine), out / f"{name}_prob_{channel}.nii.gz")
"""
START = "\n{'plan': plan, 'fit': fit, 'predict': predict}[verb]()\n"


def toy_trial(load: Callable[..., Config], folder: Path, image: str | None, *overrides: str) -> Config:
    """Settings of a trial with the program, of this machine or of an image."""
    path = folder / "toy.py"
    path.write_text(PROGRAM + START)
    known = {"kind": "command", "command": [sys.executable, str(path)], "plans": True, "own_image": image}
    known["takes"] = ["synthetic", "pseudo_labels", "ignored"]
    return load(
        *(f"train_segmenter.segmenters.mine={json.dumps(known)}", "trial.segmenters=[mine]", "arm=real/mine/1.0/0"),
        *("trial.cells=[0]", "trial.reference=real", "trial.training_sets.real=[real]", "screen.filter=all"),
        "trial.training_sets.synthetic=[{name: real+synthetic, synthesizer: pix2pix, way: mix, share: 0.25}]",
        *("trial.primary=kidney_and_tumor", *overrides),
    )


def in_its_image(order: Path, done: Path, place: Path) -> Path:
    """What a pod does: the order is fetched to some place, the script is run by a shell."""
    fetched = place / "fetched"
    shutil.copytree(order, fetched)
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run(["sh", str(fetched / "run.sh"), str(fetched), str(done)], env=environment, check=True)
    shutil.rmtree(fetched)
    return done
