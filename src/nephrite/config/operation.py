"""'publish', 'predict', 'tracking' and 'compute': where a trial runs, and what is done with its results."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from nephrite.config.settings import Name, Positive, Remote, Settings


class PublishSettings(Settings):
    """`nephrite publish`, which makes a DVC version of a folder."""

    remote: Remote | None = Field(default=None, description="'s3://BUCKET/PREFIX', or a folder that serves as remote.")


class PredictSettings(Settings):
    """`nephrite predict`, which segments scans; what the model wants to see is registered with it, not set here."""

    model: Name | None = Field(default=None, description="Name of the registered model; null = 'promote.model'.")
    alias: Name = Field(
        default="champion",
        description="Which version: 'champion' is in use, 'challenger' the newest candidate.",
    )
    version: Positive | None = Field(
        default=None, description="Number of the version; null = the one that 'alias' points to, whichever it is then."
    )
    folder: Path | None = Field(
        default=None,
        description="Folder of a segmenter as 'train_segmenter' writes it, in place of a registered model: null, since "
        "what is in use is registered.",
    )
    overlays: int = Field(
        default=3,
        ge=0,
        le=3,
        description="Slices of each scan that are drawn with outlines beside its mask, one per structure, to see "
        "at once whether it lies where it should. Pictures of patients; 0 = none.",
    )
    dicom_seg: bool = Field(
        default=False,
        description="Write a DICOM SEG beside the mask of each DICOM series. It names the series' patient, so "
        "none is written unasked.",
    )
    batch_size: Positive = Field(
        default=16, description="Slices held in memory and segmented at a time; no effect on the masks."
    )


class TrackingSettings(Settings):
    """MLflow; the server itself is named by MLFLOW_TRACKING_URI."""

    experiment: str = Field(
        default="nephrite", min_length=1, description="MLflow experiment that holds the runs, of all trials."
    )
    patience: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="Seconds for which a server that does not answer is asked again at first contact.",
    )


class ComputeSettings(Settings):
    """Devices and precision, as Lightning names them; no effect on what is computed."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = Field(
        default="auto",
        description="'auto' takes a GPU where there is one; others are refused where they are missing.",
    )
    devices: Positive | Literal["auto"] = Field(
        default=1, description="How many, or 'auto' for all; trainings of a trial gain more from running side by side."
    )
    strategy: str = Field(default="auto", description="'auto', or 'ddp' for several devices.")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        default="auto", description="'auto' takes bf16 where the GPU has it, or the processor has matrix units (AMX)."
    )
    threads: Positive | Literal["auto"] = Field(
        default=1,
        description="Of each process, unless OMP_NUM_THREADS is set; 'auto' takes all cores, which is slow when "
        "anything else wants them: two processes of one thread each do more than one of two.",
    )
    loader_workers: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Processes that read slices; 0 reads in the training process, enough for small slices.",
    )
    checkpoint_minutes: float = Field(
        default=5,
        gt=0,
        le=24 * 60,
        description="Between two checkpoints within an epoch; one is written after each epoch, too. A training that is "
        "killed loses at most so much, a step and a validation. Writing takes seconds, so that minutes cost nothing.",
    )
