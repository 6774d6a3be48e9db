"""nnU-Net v2 (Isensee et al. 2021, Nature Methods 18) as a program that keeps the contract of docs/bring-your-own.md.

    python nnunet_program.py plan    --train DIR --out PLAN
    python nnunet_program.py fit     --train DIR [--synthetic DIR --share S] [--extra DIR --extra-share S]
                                     [--augmentation NAME] --validation DIR --plan PLAN --steps N --seed K --threads T
                                     --out MODEL
    python nnunet_program.py predict --model MODEL --scans DIR --threads T --out DIR

It runs in an environment of its own (`make env-nnunet`) and imports nothing of nephrite. Fingerprint, plans,
preprocessing, network, augmentation, loss, schedule and sliding windows are nnU-Net's. What differs, and why:

* Plans are made from the real cases of a replicate (cell) and given to all of its arms: synthetic cases would change
  how CT is normalized.
* Slices stay slices. nnU-Net cuts along the axis of the widest spacing, which is another one where slices lie closer
  than the pixels of a coarse grid.
* Cases are drawn so that synthetic ones make up their share: nnU-Net draws each case as often as any other.
* One process draws batches: with one in the background, the same seed gives other weights.
* Weights are kept as safetensors, not as nnU-Net's checkpoint, which is a pickle.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = "NEPHRITE_NNUNET"  # JSON: configuration, patch, widths, batch, mirroring, device
DATASET, PLANS, FINGERPRINT = "Dataset001_arm", "nnUNetPlans", "dataset_fingerprint.json"
ENDING, IGNORED = ".nii.gz", 255
LONGEST_EPOCH, MOST_EPOCHS = 250, 50  # iterations: nnU-Net's own; at least so many epochs, after which the rate falls
WEIGHTS, CARD = "weights.safetensors", "arm.json"


def plan(train: Path, out: Path) -> None:
    """Make fingerprint and plans from real cases."""
    with _nnunet_folders(drawing=1) as root:
        from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
        from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset

        _write_dataset(root, [train])
        extract_fingerprint_dataset(1, num_processes=1, verbose=False)
        ExperimentPlanner(1, suppress_transpose=True).plan_experiment()
        made = root / "preprocessed" / DATASET
        plans = json.loads((made / f"{PLANS}.json").read_text(encoding="utf-8"))
        _write_json(out / f"{PLANS}.json", _sized(plans, _settings()))
        shutil.copy(made / FINGERPRINT, out / FINGERPRINT)


def fit(options: argparse.Namespace) -> None:
    """Train one arm, and write its model and model.json."""
    started, settings, out = time.monotonic(), _settings(), options.out
    given = {"train": options.train, "synthetic": options.synthetic, "extra": options.extra}
    cases = {name: _cases(folder) for name, folder in given.items() if folder}
    learned, chosen = [case for names in cases.values() for case in names], _cases(options.validation)
    with _nnunet_folders() as root:
        from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess_dataset

        # cases, plans and the one fold
        folders = [folder for folder in (*given.values(), options.validation) if folder]
        dataset, values = _write_dataset(root, folders)
        made = root / "preprocessed" / DATASET
        made.mkdir(parents=True)
        shutil.copy(options.plan / FINGERPRINT, made / FINGERPRINT)
        plans = json.loads((options.plan / f"{PLANS}.json").read_text(encoding="utf-8"))
        _write_json(made / f"{PLANS}.json", plans)
        _write_json(made / "dataset.json", dataset)
        _write_json(made / "splits_final.json", [{"train": learned, "val": chosen}])
        preprocess_dataset(1, PLANS, (settings["configuration"],), [1])
        # train
        shares = {"synthetic": options.share or 0.0, "extra": options.extra_share or 0.0}
        trainer = _trainer(plans, dataset, settings, steps=options.steps, augmentation=options.augmentation)
        _seed(options.seed)
        trainer.train(_chances(cases, shares), out / "progress.jsonl")
        _keep(out, trainer, plans, dataset, values, settings)
    record = {"steps": trainer.steps_taken, "seed": options.seed, "cases": len(learned)}
    _write_json(out / "model.json", {**record, "seconds": time.monotonic() - started, "version": _version()})


def predict(model: Path, scans: Path, out: Path) -> None:
    """Find the classes in each scan, with probabilities of the channels."""
    card = json.loads((model / CARD).read_text(encoding="utf-8"))
    wanted: Mapping[str, Sequence[int]] = json.loads((scans / "dataset.json").read_text(encoding="utf-8"))["nephrite"][
        "channels"
    ]
    with _nnunet_folders():
        import numpy as np
        import SimpleITK
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

        predictor, reader = _predictor(model, card, _settings()), SimpleITKIO()
        theirs = np.array([0, *card["values"]], np.uint8)  # nnU-Net's label to the arm's
        for image in sorted((scans / "imagesTs").glob(f"*_0000{ENDING}")):
            name = image.name.removesuffix(f"_0000{ENDING}")
            voxels, facts = reader.read_images([str(image)])
            labels, probabilities = predictor.predict_single_npy_array(voxels, facts, None, None, True)
            like = SimpleITK.ReadImage(str(image))
            _write_volume(out / f"{name}{ENDING}", theirs[labels.astype(np.uint8)], like)
            for number, (channel, values) in enumerate(wanted.items()):
                heads = [number] if card["regions"] else [1 + card["values"].index(value) for value in values]
                found = probabilities[heads].sum(axis=0).clip(0, 1).astype(np.float32)
                _write_volume(out / f"{name}_prob_{channel}{ENDING}", found, like)


def _trainer(
    plans: dict[str, Any], dataset: dict[str, Any], settings: dict[str, Any], *, steps: int, augmentation: str
) -> Any:
    """nnU-Net's trainer, with our number of steps, draws of cases and progress."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class ArmTrainer(nnUNetTrainer):  # type: ignore[misc]
        """One arm: as many steps as asked for, in epochs that let the rate fall smoothly."""

        def start(self) -> None:
            self.num_iterations_per_epoch = max(1, min(LONGEST_EPOCH, steps // MOST_EPOCHS))
            self.num_epochs = -(-steps // self.num_iterations_per_epoch)
            self.steps_taken = 0
            self.initialize()

        def train(self, chances: Mapping[str, float], progress: Path) -> None:
            self.start()
            self.dataloader_train, self.dataloader_val = self.get_dataloaders()
            loader = self.dataloader_train.data_loader
            loader.sampling_probabilities = [chances[name] for name in loader.indices]
            self.set_deep_supervision_enabled(self.enable_deep_supervision)
            with progress.open("w", encoding="utf-8") as rows:
                for epoch in range(self.num_epochs):
                    self.network.train()
                    self.lr_scheduler.step(epoch)
                    count = min(self.num_iterations_per_epoch, steps - self.steps_taken)
                    losses = [float(self.train_step(next(self.dataloader_train))["loss"]) for _ in range(count)]
                    self.steps_taken += count
                    rows.write(json.dumps({"step": self.steps_taken, "train_loss": sum(losses) / count}) + "\n")
                    rows.flush()

        def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
            if augmentation != "none":
                return nnUNetTrainer.get_training_transforms(*args, **kwargs)
            wanted = ("is_cascaded", "foreground_labels", "regions", "ignore_label")
            return nnUNetTrainer.get_validation_transforms(args[2], **{name: kwargs[name] for name in wanted})

        def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:  # noqa: N802 - as nnU-Net has it
            rotation, dummy, size, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
            if augmentation != "none":
                return rotation, dummy, size, axes
            self.inference_allowed_mirroring_axes = None
            return (0, 0), False, self.configuration_manager.patch_size, None

    return ArmTrainer(plans, settings["configuration"], 0, dataset, torch.device(settings["device"]))


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
    _write_json(out / CARD, card)
    _write_json(out / "plans.json", plans)
    _write_json(out / "dataset.json", dataset)


def _predictor(model: Path, card: dict[str, Any], settings: dict[str, Any]) -> Any:
    """nnU-Net's predictor with the arm's weights."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from safetensors.torch import load_file

    plans, dataset = (json.loads((model / name).read_text(encoding="utf-8")) for name in ("plans.json", "dataset.json"))
    manager = PlansManager(plans)
    configuration = manager.get_configuration(card["configuration"])
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        determine_num_input_channels(manager, configuration, dataset),
        manager.get_label_manager(dataset).num_segmentation_heads,
        deep_supervision=False,
    )
    weights = load_file(model / WEIGHTS)
    network.load_state_dict(weights)
    device = torch.device(settings["device"])
    predictor = nnUNetPredictor(
        use_mirroring=settings["mirroring"],
        perform_everything_on_device=device.type == "cuda",
        device=device,
        allow_tqdm=False,
    )
    predictor.manual_initialization(network, manager, configuration, [weights], dataset, "", card["mirrored"])
    return predictor


def _sized(plans: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
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


def _write_dataset(root: Path, folders: Sequence[Path]) -> tuple[dict[str, Any], list[int]]:
    """All cases of some folders as one raw dataset; its dataset.json, and the arm's label value of each of its labels.

    nnU-Net wants labels 1, 2, 3, ... and the ignore label after them.
    """
    import numpy as np
    import SimpleITK

    raw = root / "raw" / DATASET
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    told = [json.loads((folder / "dataset.json").read_text(encoding="utf-8")) for folder in folders]
    labels = {name: value for content in told for name, value in content["labels"].items()}
    ignored = labels.pop("ignore", None)
    values = sorted({one for value in labels.values() for one in _several(value)} - {0})
    table = np.zeros(256, np.uint8)
    table[values] = range(1, len(values) + 1)
    table[IGNORED] = len(values) + 1
    count = 0
    for folder in folders:
        for name in _cases(folder):
            image = f"{name}_0000{ENDING}"
            (raw / "imagesTr" / image).symlink_to((folder / "imagesTr" / image).resolve())
            label = SimpleITK.ReadImage(str(folder / "labelsTr" / f"{name}{ENDING}"))
            _write_volume(raw / "labelsTr" / f"{name}{ENDING}", table[SimpleITK.GetArrayFromImage(label)], label)
            count += 1
    own = {name: _mapped(value, table) for name, value in labels.items()}
    own |= {} if ignored is None else {"ignore": len(values) + 1}
    dataset = {"channel_names": told[0]["channel_names"], "labels": own, "numTraining": count, "file_ending": ENDING}
    if "regions_class_order" in told[0]:
        dataset["regions_class_order"] = [int(table[value]) for value in told[0]["regions_class_order"]]
    _write_json(raw / "dataset.json", dataset)
    return dataset, values


def _several(value: int | Sequence[int]) -> Sequence[int]:
    return [value] if isinstance(value, int) else value


def _mapped(value: int | Sequence[int], table: Any) -> int | list[int]:
    return int(table[value]) if isinstance(value, int) else [int(table[one]) for one in value]


def _cases(folder: Path) -> list[str]:
    images = sorted((folder / "imagesTr").glob(f"*_0000{ENDING}"))
    return [image.name.removesuffix(f"_0000{ENDING}") for image in images]


def _chances(cases: Mapping[str, Sequence[str]], shares: Mapping[str, float]) -> dict[str, float]:
    """How often each case is drawn: a folder has its share, real cases the rest; cases of one folder have the same."""
    rest = 1 - sum(shares[name] for name in cases if name in shares)
    chances: dict[str, float] = {}
    for name, names in cases.items():
        chances |= dict.fromkeys(names, shares.get(name, rest) / len(names))
    total = sum(chances.values())
    return {name: chance / total for name, chance in chances.items()}


def _write_volume(path: Path, voxels: Any, like: Any) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(voxels)
    image.CopyInformation(like)
    SimpleITK.WriteImage(image, str(path), True)


@contextmanager
def _nnunet_folders(*, drawing: int = 0) -> Iterator[Path]:
    """A scratch folder whose parts nnU-Net takes for its own; set before its first import.

    Args:
        drawing: processes that draw batches; planning refuses none.
    """
    with tempfile.TemporaryDirectory(prefix="nnunet-") as folder:
        root = Path(folder)
        for name in ("raw", "preprocessed", "results"):
            (root / name).mkdir()
            os.environ[f"nnUNet_{name}"] = str(root / name)
        os.environ |= {"nnUNet_n_proc_DA": str(drawing), "nnUNet_def_n_proc": "1", "nnUNet_compile": "f"}
        yield root


def _seed(seed: int) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what nnU-Net draws from
    torch.manual_seed(seed)


def _settings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(os.environ[SETTINGS])
    return found


def _version() -> str:
    from importlib.metadata import version

    return f"nnunetv2 {version('nnunetv2')}"


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    folders = {"plan": ("train",), "fit": ("train", "validation", "plan"), "predict": ("model", "scans")}
    for verb, names in folders.items():
        command = verbs.add_parser(verb)
        for name in (*names, "out"):
            command.add_argument(f"--{name}", type=Path, required=True)
        if verb != "plan":
            command.add_argument("--threads", type=int, default=1)
        if verb == "fit":
            for name in ("synthetic", "extra"):
                command.add_argument(f"--{name}", type=Path)
            for name in ("share", "extra-share"):
                command.add_argument(f"--{name}", type=float)
            command.add_argument("--augmentation", default="standard")
            command.add_argument("--steps", type=int, required=True)
            command.add_argument("--seed", type=int, required=True)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run one verb."""
    options = _options(words)
    if options.verb == "plan":
        plan(options.train, options.out)
        return
    import torch

    torch.set_num_threads(options.threads)
    if options.verb == "fit":
        fit(options)
    else:
        predict(options.model, options.scans, options.out)


if __name__ == "__main__":
    main()
