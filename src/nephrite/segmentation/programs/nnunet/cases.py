"""Cases as nnU-Net's raw dataset, in a scratch folder: labels that it can count, and how often each case is drawn."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATASET, ENDING, IGNORED = "Dataset001_arm", ".nii.gz", 255


@contextmanager
def nnunet_folders(*, drawing: int = 0) -> Iterator[Path]:
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


def write_dataset(root: Path, folders: Sequence[Path]) -> tuple[dict[str, Any], list[int]]:
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
        for name in cases_of(folder):
            for image in channels_of(folder / "imagesTr", name):
                (raw / "imagesTr" / image.name).symlink_to(image.resolve())
            label = SimpleITK.ReadImage(str(folder / "labelsTr" / f"{name}{ENDING}"))
            write_volume(raw / "labelsTr" / f"{name}{ENDING}", table[SimpleITK.GetArrayFromImage(label)], label)
            count += 1
    own = {name: mapped(value, table) for name, value in labels.items()}
    own |= {} if ignored is None else {"ignore": len(values) + 1}
    dataset = {"channel_names": told[0]["channel_names"], "labels": own, "numTraining": count, "file_ending": ENDING}
    if "regions_class_order" in told[0]:
        dataset["regions_class_order"] = [int(table[value]) for value in told[0]["regions_class_order"]]
    write_json(raw / "dataset.json", dataset)
    return dataset, values


def _several(value: int | Sequence[int]) -> Sequence[int]:
    return [value] if isinstance(value, int) else value


def mapped(value: int | Sequence[int], table: Any) -> int | list[int]:
    """A label value, or those of a region, as nnU-Net counts them."""
    return int(table[value]) if isinstance(value, int) else [int(table[one]) for one in value]


def cases_of(folder: Path) -> list[str]:
    """Ids of the cases of a folder."""
    images = sorted((folder / "imagesTr").glob(f"*_0000{ENDING}"))
    return [image.name.removesuffix(f"_0000{ENDING}") for image in images]


def channels_of(folder: Path, name: str) -> list[Path]:
    """The files of a scan, one for each channel."""
    dataset = json.loads((folder.parent / "dataset.json").read_text(encoding="utf-8"))
    return [folder / f"{name}_{number:04d}{ENDING}" for number in range(len(dataset["channel_names"]))]


def chances(cases: Mapping[str, Sequence[str]], shares: Mapping[str, float]) -> dict[str, float]:
    """How often each case is drawn: a folder has its share, real cases the rest; cases of one folder have the same."""
    rest = 1 - sum(shares[name] for name in cases if name in shares)
    chances: dict[str, float] = {}
    for name, names in cases.items():
        chances |= dict.fromkeys(names, shares.get(name, rest) / len(names))
    total = sum(chances.values())
    return {name: chance / total for name, chance in chances.items()}


def write_volume(path: Path, voxels: Any, like: Any) -> None:
    """Write a volume on the grid of another image."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(voxels)
    image.CopyInformation(like)
    SimpleITK.WriteImage(image, str(path), True)


def write_json(path: Path, content: Any) -> None:
    """Write a small file that a person may read."""
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
