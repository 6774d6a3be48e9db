"""The 2021 capstone's way to train, as a student would write it: one DICOM and one PNG read per item, float32.

Kept as favorable as can be: the files have the network's size already, so nothing is resized; the processes that read
are as many as suit it best on this machine; augmentation is torchvision's, on tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from nephrite.store.slices import PairStore

CENTER, WIDTH = 0, 400


class SliceFiles(Dataset[tuple[Tensor, Tensor]]):
    """Slices in files; an item is one image [1, height, width] in [0, 1] and two masks [2, height, width].

    Args:
        folder: holds `<n>.dcm` and `<n>.png`.
        augment: whether slices are rotated, scaled and shifted.
    """

    def __init__(self, folder: Path, *, augment: bool) -> None:
        self.images = sorted(folder.glob("*.dcm"))
        self.augment = augment

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Read one slice."""
        scan = pydicom.dcmread(self.images[index])
        hounsfield = scan.pixel_array * float(scan.RescaleSlope) + float(scan.RescaleIntercept)
        low, high = CENTER - WIDTH / 2, CENTER + WIDTH / 2
        windowed = np.clip(hounsfield, low, high)
        scaled = (windowed - windowed.min()) / (windowed.max() - windowed.min() + 1e-6)
        label = np.array(Image.open(self.images[index].with_suffix(".png")))
        image = torch.from_numpy(scaled.astype(np.float32))[None]
        masks = torch.from_numpy(np.stack([label == 1, label == 2]).astype(np.float32))
        return moved(image, masks) if self.augment else (image, masks)


def moved(image: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation +-45 degrees, scale +-15 %, shift +-10 %, drawn anew for each slice."""
    side = image.shape[-1]
    angle, scale, down, right = ((torch.rand(4) * 2 - 1) * torch.tensor([45.0, 0.15, 0.1, 0.1])).tolist()
    move = {"angle": angle, "translate": [round(right * side), round(down * side)], "scale": 1 + scale, "shear": [0.0]}
    return (
        transforms.affine(image, interpolation=InterpolationMode.BILINEAR, **move),
        transforms.affine(masks, interpolation=InterpolationMode.NEAREST, **move),
    )


class CapstoneLoop:
    """A plain PyTorch loop in float32: Dice loss, Adam, batches shuffled by a DataLoader."""

    def __init__(self, network: nn.Module, files: SliceFiles, *, batch_size: int, workers: int) -> None:
        self.network = network.train()
        self.optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
        self.loader = DataLoader(
            files,
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.batches = self.endless()

    def endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Epoch after epoch."""
        while True:
            yield from self.loader

    def train(self, steps: int) -> None:
        """Go on for some steps."""
        for _ in range(steps):
            image, masks = next(self.batches)
            self.optimizer.zero_grad()
            loss = soft_dice_loss(self.network(image), masks)
            loss.backward()
            self.optimizer.step()
            loss.item()  # for the printed mean of the epoch


def soft_dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """One minus Dice of the sigmoid outputs."""
    probability = logits.sigmoid()
    overlap = (probability * masks).sum(dim=(0, 2, 3))
    size = probability.sum(dim=(0, 2, 3)) + masks.sum(dim=(0, 2, 3))
    return 1 - ((2 * overlap + 1) / (size + 1)).mean()


def write_files(store: PairStore, folder: Path) -> Path:
    """Write a store's training slices as DICOM and PNG, at the store's size."""
    folder.mkdir(parents=True)
    for number, (patient, position) in enumerate(store.slices("train")):
        write_dicom(folder / f"{number:05d}.dcm", store.image(patient)[position])
        Image.fromarray(store.label(patient)[position]).save(folder / f"{number:05d}.png")
    return folder


def write_dicom(path: Path, hounsfield: np.ndarray) -> None:
    """Write one CT slice (row, column), uncompressed, with the usual intercept of -1024."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    scan = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    scan.SOPClassUID, scan.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    scan.RescaleSlope, scan.RescaleIntercept = 1, -1024
    scan.set_pixel_data((hounsfield.astype(np.int32) + 1024).clip(0).astype(np.uint16), "MONOCHROME2", 16)
    scan.save_as(path, enforce_file_format=True)
