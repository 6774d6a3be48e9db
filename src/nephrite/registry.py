"""Registered segmenters in MLflow: versions, the aliases 'champion' and 'challenger', and their record of decisions.

A version is a graph made by torch.export, which loads without pickle and without this package; or, of a segmenter that
is no graph, its whole folder, which its own program reads. The record lies beside it, in the folder `promotions/` of
the model's artifacts: one file per decision, so that nothing is overwritten.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export.passes import move_to_device_pass

from nephrite.errors import ModelNotRegisteredError, StoreError
from nephrite.evidence import sealed
from nephrite.files import read_json, sha256, write_json
from nephrite.locks import wait_turn
from nephrite.mlflow_client import connect, tracking_errors
from nephrite.mlflow_models import (
    FOLDER,
    GRAPH,
    ModelPage,
    download,
    log_model,
    mlflow_pytorch,
    save_folder,
    save_graph,
)
from nephrite.model_version import DIGEST, FOLDER_TAG, GRAPH_TAG, REGISTER_AGAIN, ModelVersion, tags_digest
from nephrite.tracking_address import shown, tracking_uri

logger = logging.getLogger(__name__)
CHAMPION, CHALLENGER = "champion", "challenger"
RECORD = "promotions"
DESCRIPTION = (
    "Segmenters trained by Nephrite: one-channel slices in [0, 1] to logits, one channel per structure; a sigmoid at "
    "or above the threshold is foreground. `champion` is the version in use, `challenger` the newest candidate; each "
    "version's decisions, with their evidence, are in its artifacts under `promotions/`. A version with the tag "
    "`folder` is no graph but a folder of files, which `nephrite predict` hands to the program that wrote them."
)


class Registry:
    """All versions of one registered model, in the registry of the tracking store.

    Args:
        name: of the registered model; it need not exist yet.

    Raises:
        TrackingUnreachableError: the registry does not answer.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._client = connect()

    def aliased(self, alias: str) -> ModelVersion | None:
        """The version that an alias points to; None if nothing has that alias, or nothing was registered yet."""
        registered = self._registered()
        number = registered.aliases.get(alias) if registered else None
        return self._version(str(number)) if number else None

    def required(self, alias: str) -> ModelVersion:
        """The version that an alias points to.

        Raises:
            ModelNotRegisteredError: the registry does not know the name, or nothing has that alias yet.
        """
        version = self.aliased(alias)
        if version is None:
            known = self._registered() is not None
            finding = f"has no {alias}" if known else f"is not in the registry at {shown(tracking_uri())}"
            raise ModelNotRegisteredError(
                f"model '{self.name}'", finding, "run 'promote', or name another 'promote.model' or 'predict.model'"
            )
        return version

    def numbered(self, number: int) -> ModelVersion:
        """The version of a number.

        Raises:
            ModelNotRegisteredError: the registry does not know the name, or the model has no such version.
        """
        with tracking_errors():
            found = self._client.search_model_versions(f"name = '{self.name}' and version_number = {number}")
        if not found:
            known = self._registered() is not None
            finding = f"has no version {number}" if known else f"is not in the registry at {shown(tracking_uri())}"
            raise ModelNotRegisteredError(f"model '{self.name}'", finding, "name another model or version")
        return self._version(str(number))

    def with_weights(self, weights: str) -> ModelVersion | None:
        """The version made from weights of this SHA-256."""
        with tracking_errors():
            found = self._client.search_model_versions(f"name = '{self.name}' and tags.weights = '{weights}'")
            return self._version(str(found[0].version)) if found else None

    def register(
        self,
        network: nn.Module,
        *,
        channels: int,
        size: int,
        run_id: str | None,
        tags: Mapping[str, str],
        page: ModelPage | None = None,
    ) -> ModelVersion:
        """Log a network as a model that loads without pickle, and make it a version.

        Args:
            network: takes [batch, 1, size, size] and returns [batch, channels, size, size].
            channels: of the output.
            size: pixels per side.
            run_id: the run that the model belongs to: that of its training, if this store knows it.
            tags: what is known of it, the SHA-256 of its weights as 'weights'; kept in the model's metadata, too.
            page: what a reader finds on its page.
        """

        def save(folder: Path) -> dict[str, str]:
            save_graph(network, folder, channels, size, tags)
            return {GRAPH_TAG: sha256(folder / GRAPH)}

        return self._keep(save, run_id, tags, page)

    def register_folder(
        self,
        root: Path,
        digest: str,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        page: ModelPage | None = None,
    ) -> ModelVersion:
        """Log the folder of a segmenter that is no graph, and make it a version.

        Args:
            root: of the segmenter.
            digest: of its card, which answers for every file.
            run_id, tags, page: see `register`.
        """

        def save(folder: Path) -> dict[str, str]:
            save_folder(root, folder, tags)
            return {FOLDER_TAG: digest}

        return self._keep(save, run_id, tags, page)

    def _keep(
        self,
        save: Callable[[Path], dict[str, str]],
        run_id: str | None,
        tags: Mapping[str, str],
        page: ModelPage | None,
    ) -> ModelVersion:
        with tracking_errors():
            model, digests = log_model(self._client, save, run_id, tags, page)
            known = {**tags, **digests}
            known[DIGEST] = tags_digest(known)
            if self._registered() is None:
                self._client.create_registered_model(self.name, description=DESCRIPTION)
            made = self._client.create_model_version(
                self.name,
                f"models:/{model}",
                run_id=run_id,
                tags=known,
                model_id=model,
                description=page.card if page else None,
            )
            return self._version(str(made.version))

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> ModelVersion:
        """Add tags to a version that is registered already; the version with them."""
        with tracking_errors():
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, str(version.number), key, value)
            return self._version(str(version.number))

    def point(self, alias: str, version: ModelVersion) -> None:
        """Let an alias point to a version; it leaves its former one."""
        with tracking_errors():
            self._client.set_registered_model_alias(self.name, alias, str(version.number))

    @contextmanager
    def one_decision(self) -> Iterator[None]:
        """Let one promotion of this machine at a time read and move the aliases of this model; others wait."""
        with wait_turn("registry", tracking_uri(), self.name):
            yield

    def append(self, version: ModelVersion, record: Mapping[str, Any]) -> None:
        """Add a decision to a version's record; 'decision' and 'reason' become a tag, too."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        with tempfile.TemporaryDirectory() as folder, tracking_errors():
            write_json(Path(folder) / RECORD / f"{moment}.json", sealed(record))
            self._client.log_model_artifacts(version.source.removeprefix("models:/"), folder)
            line = f"{record['decision']}: {record['reason']}"
            self._client.set_model_version_tag(self.name, str(version.number), f"decision.{moment}", line)

    def record(self, version: ModelVersion) -> list[Any]:
        """Every decision about a version, the oldest first; empty for one that was registered by other means."""
        model = version.source.removeprefix("models:/")
        if model == version.source:
            return []
        with tempfile.TemporaryDirectory() as folder, tracking_errors():
            if not self._client.list_logged_model_artifacts(model, RECORD):
                return []
            location = self._client.get_logged_model(model).artifact_location
            return [read_json(path) for path in sorted(download(f"{location}/{RECORD}", folder).rglob("*.json"))]

    def _registered(self) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _version(self, number: str) -> ModelVersion:
        found = self._client.get_model_version(self.name, number)
        return ModelVersion(int(found.version), str(found.source), dict(found.tags))


def load_champion(name: str) -> nn.Module:
    """Load the champion of a registered model: [batch, 1, size, size] in [0, 1] to logits per channel.

    Raises:
        ModelNotRegisteredError: the registry does not know the name, or it has no champion yet.
    """
    return load_version(Registry(name).required(CHAMPION))


def load_version(version: ModelVersion, device: str = "cpu") -> nn.Module:
    """Load one version.

    Args:
        version: of a registered model.
        device: where its inputs will be; a graph names its device in every step, so it is rewritten, not moved.

    Raises:
        StoreError: it is not as it was registered, or is a folder and no graph.
    """
    if FOLDER_TAG in version.tags:
        finding = "is the folder of a segmenter that is no graph"
        raise StoreError(_place(version), finding, "use 'nephrite predict', which starts its program")
    with tempfile.TemporaryDirectory() as folder, tracking_errors():
        path = download(version.source, folder)
        _check_graph(version, path / GRAPH)
        model: nn.Module = mlflow_pytorch().load_model(str(path))  # refuses pickled content before anything is read
        if device == "cpu":
            return model
        graph = torch.export.load(path / GRAPH)
        return move_to_device_pass(graph, device).module()


def _check_graph(version: ModelVersion, path: Path) -> None:
    """Refuse a graph that is not the one that was registered."""
    version.check_tags(_place(version))
    expected = version.tags.get(GRAPH_TAG)
    if expected and (not path.is_file() or sha256(path) != expected):
        finding = f"its graph {GRAPH} is {'changed' if path.is_file() else 'missing'}"
        raise StoreError(_place(version), finding, REGISTER_AGAIN)


def fetch_folder(version: ModelVersion, target: Path) -> Path:
    """The folder of a segmenter that was registered as one, below `target`; its card answers for its files.

    Raises:
        StoreError: its tags are not those that it was registered with.
    """
    version.check_tags(_place(version))
    with tracking_errors():
        return download(version.source, str(target)) / FOLDER


def _place(version: ModelVersion) -> str:
    return f"model version {version.number} at {shown(version.source)}"
