from __future__ import annotations

from typing import Any

import pytest
import torch

from nephrite.config import ComputeSettings
from nephrite.training.devices import RANKS, node_count, pick_device, process_rank, resolve_precision


def compute(**changes: Any) -> ComputeSettings:
    settings = {
        "accelerator": "cpu",
        "devices": 1,
        "strategy": "auto",
        "precision": "auto",
        "loader_workers": 0,
        "threads": 1,
    }
    return ComputeSettings.model_validate(settings | changes)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": True, "amx_bf16": False}, "32-true"),
        ({"avx2": True}, "32-true"),
    ],
)
def test_processor_decides_on_bf16(monkeypatch: pytest.MonkeyPatch, flags: dict[str, bool], precision: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_precision(compute()) == precision


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_gpu_decides_on_bf16(monkeypatch: pytest.MonkeyPatch, supported: bool, precision: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert resolve_precision(compute(accelerator="gpu")) == precision
    assert pick_device(compute(accelerator="gpu")) == "cuda"


def test_setting_overrules_the_processor() -> None:
    assert resolve_precision(compute(precision="16-mixed")) == "16-mixed"
    assert pick_device(compute()) == "cpu"


@pytest.mark.parametrize(
    ("variables", "rank"), [({}, 0), ({"LOCAL_RANK": "1"}, 1), ({"LOCAL_RANK": "1", "RANK": "5"}, 5)]
)
def test_rank_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], rank: int) -> None:
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert process_rank() == rank


def test_machines_are_counted_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUP_WORLD_SIZE", raising=False)
    assert node_count() == 1
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    assert node_count() == 3
