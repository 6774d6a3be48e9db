"""Devices and precision, and which of several processes this one is."""

from __future__ import annotations

import os
from typing import Literal

import torch

from nephrite.config import ComputeSettings
from nephrite.errors import ConfigError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
AMX = "amx_bf16"  # matrix units; AVX512-BF16 alone leaves convolutions slower than float32, by 1.35 in one measurement
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # in the order in which Lightning asks


def process_rank() -> int:
    """0 in the first process of a training; above 0 in those that Lightning, torchrun or Slurm started beside it."""
    return next((int(os.environ[name]) for name in RANKS if os.environ.get(name)), 0)


def node_count() -> int:
    """Machines that share a training: what torchrun says, 1 without it."""
    return int(os.environ.get("GROUP_WORLD_SIZE") or 1)


def resolve_precision(compute: ComputeSettings) -> Precision:
    """The precision of the settings; 'auto' is bf16 where the GPU has it, or the processor has matrix units for it.

    Elsewhere bf16 would be emulated, or done by vector instructions: both are slower than float32.
    """
    if compute.precision != "auto":
        return compute.precision
    if compute.accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if compute.accelerator in ("auto", "cpu") and not torch.backends.mps.is_available():
        return "bf16-mixed" if torch.cpu.get_capabilities().get(AMX) else "32-true"
    return "32-true"


def check_accelerator(compute: ComputeSettings) -> None:
    """Refuse settings that ask for a device which this machine lacks.

    Raises:
        ConfigError: names the setting.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there["gpu"] = any(there.values())
    if not there.get(compute.accelerator, True):
        finding = f"is '{compute.accelerator}', and torch finds none here"
        raise ConfigError("compute.accelerator", finding, "mend driver or container, or take 'auto' or 'cpu'")


def pick_device(compute: ComputeSettings) -> str:
    """Where a trained network is used: the GPU where the settings allow it and there is one, else the processor.

    Raises:
        ConfigError: the settings ask for a device which this machine lacks.
    """
    check_accelerator(compute)
    return "cuda" if compute.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"
