"""Slices of lungs with nodules from a generator that is not ours: TorchIO's labels-to-image (Billot et al. 2020).

Label maps are drawn by rules: a body wall with ribs, vessels, and nodules in the lung or at its wall. TorchIO paints
each structure with a normal distribution whose mean and spread it draws anew for each slice, then blurs and adds noise.
No scan of anybody is seen. It writes what `acquire.synthetic` reads: one slice a file, and provenance.json.

    pip install torchio==0.20.23    # Apache-2.0, in an environment of its own
    python examples/foreign/torchio_nodules.py FOLDER
"""

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
import torchio

SIZE = 128
LUNG, WALL, BONE, VESSEL, SOLID, FAINT = range(1, 7)
MEANS = {LUNG: (5, 80), WALL: (80, 200), BONE: (170, 250), VESSEL: (90, 220), SOLID: (90, 220), FAINT: (60, 120)}
SPREADS = {LUNG: (3, 12), WALL: (3, 12), BONE: (10, 40), VESSEL: (3, 15), SOLID: (3, 15), FAINT: (3, 15)}
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE].astype(float)


def blob(rng, row, column, radius, *, ratio=1.0, angle=0.0, bend=0.0):
    """An ellipse whose outline five harmonics bend."""
    down, right = ROWS - row, COLUMNS - column
    along = np.cos(angle) * right + np.sin(angle) * down
    across = (np.cos(angle) * down - np.sin(angle) * right) / ratio
    around = np.arctan2(across, along)
    waves = [rng.normal() / n * np.cos(n * around + rng.uniform(0, 2 * np.pi)) for n in range(2, 7)]
    return np.hypot(along, across) < radius * (1 + bend * sum(waves))


def draw(rng):
    """One label map."""
    labels = np.full((SIZE, SIZE), WALL, np.uint8)
    middle = SIZE / 2 + rng.uniform(-25, 25, 2)
    radius, tilt = rng.uniform(45, 80), rng.uniform(0, np.pi)
    lung = blob(rng, *middle, radius, ratio=rng.uniform(0.6, 1), angle=tilt, bend=0.08)
    labels[lung] = LUNG
    # ribs, about the lung
    for turn in rng.uniform(0, 2 * np.pi, rng.integers(2, 7)):
        away = radius * rng.uniform(0.95, 1.25)
        place = middle + away * np.array([np.sin(turn), np.cos(turn)])
        rib = blob(rng, *place, rng.uniform(5, 14), ratio=rng.uniform(0.2, 0.5), angle=turn + np.pi / 2, bend=0.05)
        labels[rib & ~lung] = BONE
    # vessels: cut across, and along their way
    inside = np.argwhere(lung)
    for row, column in rng.permutation(inside)[: rng.integers(8, 45)]:
        sizes, ratios = ((4, 14), (0.08, 0.2)) if rng.random() < 0.35 else ((0.7, 2.5), (0.7, 1))
        size, ratio = rng.uniform(*sizes), rng.uniform(*ratios)
        labels[blob(rng, row, column, size, ratio=ratio, angle=rng.uniform(0, np.pi), bend=0.1) & lung] = VESSEL
    # nodules
    for row, column in rng.permutation(inside)[: rng.choice([0, 1, 2], p=[0.15, 0.6, 0.25])]:
        size = np.exp(rng.uniform(np.log(2), np.log(13)))
        nodule = blob(rng, row, column, size, ratio=rng.uniform(0.6, 1), angle=rng.uniform(0, np.pi), bend=0.15)
        labels[nodule & lung] = FAINT if rng.random() < 0.25 else SOLID
    return labels


def paint(labels):
    """A label map painted by TorchIO, which wants labels 0, 1, 2, ... without gaps."""
    there, numbered = np.unique(labels, return_inverse=True)
    means, spreads = ([table[value] for value in there] for table in (MEANS, SPREADS))
    image = torchio.RandomLabelsToImage("labels", used_labels=range(len(there)), mean=means, std=spreads)
    soften = torchio.RandomBlur(std=(0.3, 1.0, 0.3, 1.0, 0, 0))  # in the plane alone: a slice stays one
    transform = torchio.Compose([image, soften, torchio.RandomNoise(std=(0, 8))])
    volume = torch.from_numpy(numbered.reshape(1, SIZE, SIZE, 1))
    painted = transform(torchio.Subject(labels=torchio.LabelMap(tensor=volume)))
    return painted["image_from_labels"].numpy()[0, :, :, 0].clip(0, 255)


def main():
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    torch.manual_seed(given.seed)
    for name in ("imagesTr", "labelsTr"):
        (given.folder / name).mkdir(parents=True)
    for number in range(given.count):
        labels = draw(rng)
        for folder, end, plane in (("imagesTr", "_0000", paint(labels)), ("labelsTr", "", labels)):
            image = nib.Nifti1Image(plane[:, :, None].transpose(1, 0, 2), np.diag([-1.0, -1, 1, 1]))
            nib.save(image, given.folder / folder / f"drawn_{number:04d}{end}.nii.gz")
    about = {
        "generator": "TorchIO RandomLabelsToImage on label maps drawn by rules",
        "version": torchio.__version__,
        "license": "Apache-2.0",
        "trained_on": {"patients": []},
        "masks_from": {"patients": []},
    }
    (given.folder / "provenance.json").write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
