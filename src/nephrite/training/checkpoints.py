"""Checkpoints of trainings: where an unfinished training lies, and which of its states can be read."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nephrite.errors import StoreError, TrainingError
from nephrite.files import (
    BEFORE,
    CHECKPOINT,
    FINGERPRINT,
    KEPT_STEPS,
    PARTIAL,
    digest,
    disk_errors,
    empty_folder,
    read_json,
    whole_folder,
    write_json,
)
from nephrite.locks import hold_folder
from nephrite.training.devices import process_rank

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

DURABLE_VARIABLE = "NEPHRITE_CHECKPOINTS"
GROWING = CHECKPOINT + PARTIAL  # a checkpoint that is being written
logger = logging.getLogger(__name__)


def save_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Write a checkpoint beside the last one, and let it take that one's place when it is whole.

    The one before stays, for the case that the disk loses a part of the new one. Beside it stands how many optimizer
    steps it holds, for `nephrite trial`, which reads no checkpoint. All ranks must call this.
    """
    growing = folder / GROWING
    trainer.save_checkpoint(growing)
    if not trainer.is_global_zero:
        return
    with growing.open("rb") as file:
        os.fsync(file.fileno())
    if (folder / CHECKPOINT).exists():
        (folder / CHECKPOINT).replace(folder / BEFORE)
    growing.replace(folder / CHECKPOINT)
    write_json(folder / KEPT_STEPS, {"steps": trainer.fit_loop.epoch_loop.batch_progress.total.completed})


def whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that can be read; one that cannot is discarded with a warning."""
    for path in (folder / CHECKPOINT, folder / BEFORE):
        if not path.exists():
            continue
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception:  # torch raises many kinds, and some of them come from pickle
            logger.warning("%s: is damaged and is discarded; the training goes on from an older state", path)
            if process_rank() == 0:
                path.unlink(missing_ok=True)
            continue
        return path
    return None


@contextmanager
def resumable_folder(target: Path, kind: str, fingerprint: Mapping[str, object]) -> Iterator[Path]:
    """Yield the folder in which `target` grows; a killed training finds its checkpoint there when it starts again.

    That is a sibling of `target`; or, where NEPHRITE_CHECKPOINTS names a folder that outlives this machine (a volume
    in a cluster, where the retried pod starts on another one), a folder in there.

    Args:
        target: the folder to be written.
        kind: what it is: see `files.whole_folder`.
        fingerprint: everything that the result depends on; what an attempt with another one left is discarded. What a
            training that failed for good (TrainingError) left is discarded too.
    """
    # unfinished work lies beside the target, or on storage that outlives the machine
    mark, durable = {"digest": digest(fingerprint)}, os.environ.get(DURABLE_VARIABLE)
    partial = Path(durable) / mark["digest"] if durable else target.with_name(target.name + PARTIAL)
    if process_rank() > 0:  # the first process owns the folder; the others only work in it
        yield partial
        return
    # renamed when finished, or copied from the durable place
    if not durable:
        with whole_folder(target, kind, keep_partial=True) as folder:
            yield from _grow(folder, mark)
        return
    with disk_errors(partial):
        partial.mkdir(parents=True, exist_ok=True)
    with hold_folder(partial, target):
        yield from _grow(partial, mark)
    with whole_folder(target, kind) as folder:
        shutil.copytree(partial, folder, dirs_exist_ok=True)
    shutil.rmtree(partial)


def _grow(folder: Path, mark: Mapping[str, str]) -> Iterator[Path]:
    # work of other settings is thrown away
    if not _has_mark(folder, mark):
        empty_folder(folder)
    write_json(folder / FINGERPRINT, mark)
    try:
        yield folder
    except TrainingError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for name in (CHECKPOINT, BEFORE, GROWING, KEPT_STEPS):
        (folder / name).unlink(missing_ok=True)
    (folder / FINGERPRINT).unlink()


def _has_mark(partial: Path, mark: Mapping[str, str]) -> bool:
    with suppress(StoreError):  # one that is missing or damaged is nobody's
        return bool(read_json(partial / FINGERPRINT) == mark)
    return False
