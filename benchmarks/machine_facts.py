"""What the figures depend on: cores, instructions for bf16, load, and the network that is trained."""

from __future__ import annotations

import os

import torch
from phantom_data import bench_config

from nephrite.training.devices import resolve_precision

FLAGS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")


def describe_machine() -> str:
    """One line; no names."""
    flags = torch.cpu.get_capabilities()
    fast = ", ".join(flag for flag in FLAGS if flags.get(flag)) or "no AVX2"
    return (
        f"{os.cpu_count()} cores ({flags.get('architecture', 'unknown')}: {fast}), torch {torch.__version__} with "
        f"{torch.get_num_threads()} threads, precision '{resolve_precision(bench_config(96).compute)}', "
        f"{os.getloadavg()[0]:.1f} processes wanted to run at the end."
    )
