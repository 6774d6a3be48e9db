"""What MLflow keeps of a segmenter, without pickle: a graph that it can load, or a folder that it only keeps."""

from __future__ import annotations

import importlib
import shutil
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
from torch import nn

from nephrite.tracking_address import tracking_uri

GRAPH = "data/model.pt2"  # where MLflow keeps the graph inside a model
FOLDER = "segmenter"  # where the folder of a segmenter lies inside a model
REQUIREMENTS = ("torch", "numpy", "mlflow")


def save_graph(network: nn.Module, folder: Path, channels: int, size: int, tags: Mapping[str, str]) -> None:
    """Write a network as a model that MLflow loads as a graph of torch.export.

    Args:
        network: takes [batch, 1, size, size] and returns [batch, channels, size, size].
        folder: of the model; it must not exist yet.
        channels: of the output.
        size: pixels per side.
        tags: kept as the model's metadata.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    # any batch size; inputs in [0, 1]
    kind = np.dtype(np.float32)
    mlflow_pytorch().save_model(
        network.eval(),
        folder,
        serialization_format="pt2",
        signature=ModelSignature(
            inputs=Schema([TensorSpec(kind, (-1, 1, size, size))]),
            outputs=Schema([TensorSpec(kind, (-1, channels, size, size))]),
        ),
        input_example=np.zeros((2, 1, size, size), np.float32),  # from a batch of 1 the graph would take no other
        pip_requirements=[f"{name}=={metadata.version(name)}" for name in REQUIREMENTS],  # else MLflow searches for 5 s
        metadata=dict(tags),
    )


def save_folder(source: Path, folder: Path, tags: Mapping[str, str]) -> None:
    """Write the folder of a segmenter as a model without a flavor: MLflow keeps and shows it, and cannot load it.

    Args:
        source: of the segmenter.
        folder: of the model; it must not exist yet.
        tags: kept as the model's metadata.
    """
    from mlflow.models import Model

    shutil.copytree(source, folder / FOLDER)
    Model(metadata=dict(tags)).save(str(folder / "MLmodel"))


def mlflow_pytorch() -> ModuleType:
    """The module of MLflow that saves and loads networks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns about type hints of its own
        importlib.import_module("mlflow.pyfunc")
        return importlib.import_module("mlflow.pytorch")


def download(uri: str, folder: str) -> Path:
    """What lies at an address of MLflow, below a folder."""
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=tracking_uri()))
