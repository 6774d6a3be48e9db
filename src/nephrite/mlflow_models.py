"""What MLflow keeps of a segmenter, without pickle: a graph that it can load, or a folder that it only keeps."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import nn

from nephrite.mlflow_client import LONGEST_DIGEST, as_key
from nephrite.recording import NOTE
from nephrite.tracking_address import tracking_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

GRAPH = "data/model.pt2"  # where MLflow keeps the graph inside a model
FOLDER = "segmenter"  # where the folder of a segmenter lies inside a model
CARD = "MODEL_CARD.md"
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


class ModelPage(NamedTuple):
    """What a reader finds on the page of a model.

    Attributes:
        card: Markdown; see `report.model_card`.
        metrics: scores of these weights.
        data: digest of the slices that they are scores on.
    """

    card: str
    metrics: Mapping[str, float]
    data: str


def log_model(
    client: MlflowClient,
    save: Callable[[Path], dict[str, str]],
    run_id: str | None,
    tags: Mapping[str, str],
    page: ModelPage | None,
) -> tuple[str, dict[str, str]]:
    """Keep a model in the artifact store, below the run that trained it.

    Args:
        client: of the store.
        save: writes the model's folder, and gives digests of it.
        run_id: the run that it belongs to; None for none.
        tags: of the model.
        page: what its page shows.

    Returns:
        its id in MLflow, and the digests.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    # beside the run that it belongs to, if there is one
    run = client.get_run(run_id) if run_id else None
    experiment = run.info.experiment_id if run else "0"
    note = {NOTE: page.card} if page else {}
    model: str = client.create_logged_model(experiment, "segmenter", run_id, {**tags, **note}).model_id
    # weights first: only a whole model is marked ready
    with tempfile.TemporaryDirectory() as folder:
        digests = save(Path(folder) / "model")
        if page:
            (Path(folder) / "model" / CARD).write_text(page.card, encoding="utf-8")
        client.log_model_artifacts(model, str(Path(folder) / "model"))
    client.finalize_logged_model(model, "READY")
    if run_id:
        client.log_outputs(run_id, [LoggedModelOutput(model, step=0)])
    # its scores, on what they were measured
    if run_id and page:
        now, data = int(time.time() * 1000), page.data[:LONGEST_DIGEST]
        of_model = {"model_id": model, "dataset_name": "pairs", "dataset_digest": data, "run_id": run_id}
        scores = [Metric(as_key(key), value, now, 0, **of_model) for key, value in page.metrics.items()]
        client.log_batch(run_id, metrics=scores)
    return model, digests


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
