"""nnU-Net v2 (Isensee et al. 2021, Nature Methods 18) as a segmenter, in an environment of its own.

It is the first program of the contract that `nephrite.segmentation.command` keeps: `programs/nnunet` speaks to nnU-Net,
and says what is nnU-Net's own and what is not.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from nephrite.config import Config, Intake, Positive, SegmenterSettings, refuse
from nephrite.errors import ConfigError
from nephrite.segmentation.backend import SliceShape
from nephrite.segmentation.command import CommandBackend, CommandSettings
from nephrite.segmentation.programs.nnunet import told

ENVIRONMENT = ".venv-nnunet/bin/python"


class NnunetSettings(SegmenterSettings):
    """nnU-Net v2, planned, preprocessed, trained and asked by its own code; `make env-nnunet` installs it."""

    TAKES: ClassVar[frozenset[Intake]] = frozenset(
        {"synthetic", "pseudo_labels", "ignored", "augmentation", "channels"}
    )

    kind: Literal["nnunet"] = Field(description="nnU-Net v2, by its own code, in an environment of its own.")
    python: str = Field(
        default=ENVIRONMENT, description="Python with nnU-Net; the default is what `make env-nnunet` makes."
    )
    configuration: Literal["2d", "3d_fullres"] = Field(
        default="2d", description="nnU-Net's name for what it trains; '3d_fullres' needs volumes with honest spacing."
    )
    patch: Positive | None = Field(
        default=64,
        description="Pixels per side of a 2-D patch; 64 trains on two cores in minutes. null = as nnU-Net plans it, "
        "with its own widths.",
    )
    widths: tuple[Positive, ...] = Field(
        default=(8, 16, 32, 64, 128),
        min_length=3,
        description="Features of each stage of such a patch, at least three (deep supervision); nnU-Net's own begin at "
        "32 and want a GPU.",
    )
    batch: Positive | None = Field(default=8, description="Patches of a batch; null = as nnU-Net plans it.")
    mirroring: bool = Field(
        default=True, description="Average predictions over mirrored scans, as nnU-Net does; four times the cost."
    )
    device: Literal["cpu", "cuda"] = Field(
        default="cpu",
        description="Where it runs. On 'cuda' the same seed gives other weights, so the trial needs an A/A arm.",
    )
    seeded: bool | None = Field(
        default=None,
        description="Whether one seed gives one model, which a trial tries once; null = on 'cpu', and not on 'cuda'.",
    )
    threads: Positive = Field(default=1, description="That it may use; 1, since arms run side by side.")
    limit: Positive = Field(
        default=604_800, description="Seconds for one verb; a week, since its own schedule takes days."
    )
    seconds_per_step: float = Field(
        default=0.1, gt=0, le=10**6, description="For 'nephrite plan'; 0.1 is that of the default size on one core."
    )

    @model_validator(mode="after")
    def _check_patch(self) -> NnunetSettings:
        found, halved = [], len(self.widths) - 1
        if self.patch and self.configuration != "2d":
            found.append(
                "'patch' and 'widths' are of the configuration '2d'; set 'patch' to null, so that nnU-Net plans"
            )
        if self.patch and self.patch % 2**halved:
            found.append(
                f"'patch' is {self.patch}, which cannot be halved {halved} times; take another, or fewer 'widths'"
            )
        refuse(found)
        return self

    @property
    def is_seeded(self) -> bool:
        """Unless told, on the processor alone: one process draws batches there, and sums have one order."""
        return self.device == "cpu" if self.seeded is None else self.seeded

    @property
    def sees_volumes(self) -> bool:
        """As '3d_fullres' alone; '2d' takes slices one by one."""
        return self.configuration == "3d_fullres"

    def as_command(self) -> CommandSettings:
        """The program that it is."""
        size = self.model_dump(
            mode="json", include={"configuration", "patch", "widths", "batch", "mirroring", "device"}
        )
        return CommandSettings(
            kind="command",
            command=(self.python, "-m", "nnunet"),
            takes=("synthetic", "pseudo_labels", "ignored", "augmentation", "channels"),
            probabilities=True,
            plans=True,
            seeded=self.is_seeded,
            dimensions=3 if self.sees_volumes else 2,
            threads=self.threads,
            limit=self.limit,
            seconds_per_step=self.seconds_per_step,
            environment={told.SETTINGS: json.dumps(size), "PYTHONPATH": str(Path(told.__file__).parent.parent)},
        )


class NnunetBackend(CommandBackend):
    """nnU-Net, started anew for each verb.

    Args:
        settings: an entry of 'train_segmenter.segmenters'.
    """

    def __init__(self, settings: NnunetSettings) -> None:
        super().__init__(settings.as_command())
        self.own = settings

    def check(self, config: Config, shape: SliceShape) -> None:
        """Refuse nnU-Net where it is not installed, or cannot do what an arm asks for."""
        own = self.own
        if shutil.which(own.python) is None:
            raise ConfigError(
                "python", f"{own.python} is not there", "make env-nnunet, or name a Python that has nnU-Net"
            )
        super().check(config, shape)
        arms = [arm for arm in config.trial.arms if config.train_segmenter.segmenters[arm.segmenter] == own]
        if wrong := [arm for arm in arms if config.trial.training_set(arm).augmentation == "geometric"]:
            finding = f"augments in its own way or not at all, and '{wrong[0].training_set}' asks for 'geometric'"
            raise ConfigError("nnU-Net", finding, "name the set with 'standard', which is nnU-Net's")


SETTINGS, BACKEND = NnunetSettings, NnunetBackend
