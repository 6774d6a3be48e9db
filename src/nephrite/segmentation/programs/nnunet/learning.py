"""The verbs 'plan' and 'fit'."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .cases import DATASET, cases_of, chances, nnunet_folders, write_dataset, write_json
from .told import CARD, WEIGHTS, told_settings
from .trainer import arm_trainer

PLANS, FINGERPRINT = "nnUNetPlans", "dataset_fingerprint.json"


def plan(train: Path, out: Path) -> None:
    """Make fingerprint and plans from real cases."""
    with nnunet_folders(drawing=1) as root:
        from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
        from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset

        write_dataset(root, [train])
        extract_fingerprint_dataset(1, num_processes=1, verbose=False)
        ExperimentPlanner(1, suppress_transpose=True).plan_experiment()
        made = root / "preprocessed" / DATASET
        plans = json.loads((made / f"{PLANS}.json").read_text(encoding="utf-8"))
        write_json(out / f"{PLANS}.json", sized(plans, told_settings()))
        shutil.copy(made / FINGERPRINT, out / FINGERPRINT)


def fit(options: argparse.Namespace) -> None:
    """Train one arm, and write its model and model.json."""
    started, settings, out = time.monotonic(), told_settings(), options.out
    given = {"train": options.train, "synthetic": options.synthetic, "extra": options.extra}
    cases = {name: cases_of(folder) for name, folder in given.items() if folder}
    learned, chosen = [case for names in cases.values() for case in names], cases_of(options.validation)
    with nnunet_folders() as root:
        from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess_dataset

        # cases, plans and the one fold
        folders = [folder for folder in (*given.values(), options.validation) if folder]
        dataset, values = write_dataset(root, folders)
        made = root / "preprocessed" / DATASET
        made.mkdir(parents=True)
        shutil.copy(options.plan / FINGERPRINT, made / FINGERPRINT)
        plans = json.loads((options.plan / f"{PLANS}.json").read_text(encoding="utf-8"))
        write_json(made / f"{PLANS}.json", plans)
        write_json(made / "dataset.json", dataset)
        write_json(made / "splits_final.json", [{"train": learned, "val": chosen}])
        preprocess_dataset(1, PLANS, (settings["configuration"],), [1])
        # train
        shares = {"synthetic": options.share or 0.0, "extra": options.extra_share or 0.0}
        trainer = arm_trainer(plans, dataset, settings, steps=options.steps, augmentation=options.augmentation)
        _seed(options.seed)
        trainer.train(chances(cases, shares), out / "progress.jsonl")
        _keep(out, trainer, plans, dataset, values, settings)
    record = {"steps": trainer.steps_taken, "seed": options.seed, "cases": len(learned)}
    write_json(
        out / "model.json",
        {**record, "seconds": time.monotonic() - started, "version": f"nnunetv2 {version('nnunetv2')}"},
    )


def _keep(
    out: Path,
    trainer: Any,
    plans: dict[str, Any],
    dataset: dict[str, Any],
    values: Sequence[int],
    settings: dict[str, Any],
) -> None:
    """Write what predictions need."""
    from safetensors.torch import save_file

    weights = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in trainer.network.state_dict().items()
    }
    save_file(weights, out / WEIGHTS)
    axes = trainer.inference_allowed_mirroring_axes
    card = {
        "configuration": settings["configuration"],
        "mirrored": None if axes is None else list(axes),
        "values": list(values),
        "regions": "regions_class_order" in dataset,
    }
    write_json(out / CARD, card)
    write_json(out / "plans.json", plans)
    write_json(out / "dataset.json", dataset)


def sized(plans: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Plans with patch, widths and batch of the settings, where they say any."""
    name = settings["configuration"]
    if name not in plans["configurations"]:
        sys.exit(f"error: nnU-Net plans no '{name}' for these cases, only {sorted(plans['configurations'])}")
    found = plans["configurations"][name]
    if settings["batch"]:
        found["batch_size"] = settings["batch"]
    if settings["patch"]:
        dimensions, stages = len(found["patch_size"]), len(settings["widths"])
        found["patch_size"] = [settings["patch"]] * dimensions
        found["architecture"]["arch_kwargs"] |= {
            "n_stages": stages,
            "features_per_stage": settings["widths"],
            "kernel_sizes": [[3] * dimensions] * stages,
            "strides": [[1] * dimensions] + [[2] * dimensions] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
        }
    return plans


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what nnU-Net draws from
    torch.manual_seed(seed)
