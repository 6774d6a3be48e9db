"""Models that were registered, loaded back with pickle refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import torch
from torch import nn

from nephrite.config import Config
from nephrite.errors import ModelNotRegisteredError, StoreError, TrackingError
from nephrite.model_version import ModelVersion
from nephrite.registry import CHALLENGER, CHAMPION, Registry, load_champion, load_version
from nephrite.segmentation.backend import backend_of
from nephrite.segmentation.in_process.family import InProcess
from nephrite.segmentation.in_process.networks import Segmenter
from nephrite.tracking import open_run

Load = Callable[..., Config]
SIZE = 32
TAGS = {"weights": "abc", "arm": "real/light/1.0/0"}


def tiny(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2))


def built(config: Config, name: str) -> Segmenter:
    """With random weights, or pretrained ones."""
    backend = backend_of(config.train_segmenter.segmenters[name])
    assert isinstance(backend, InProcess)
    return backend.build(2)


def register(registry: Registry, network: nn.Module | None = None, weights: str = "abc") -> ModelVersion:
    """Make a version that belongs to no run."""
    return registry.register(network or tiny(), channels=2, size=SIZE, run_id=None, tags=TAGS | {"weights": weights})


@pytest.mark.parametrize("name", ["tiny", "light", pytest.param("fpn", marks=pytest.mark.slow)])
def test_loaded_champion_predicts_the_same_on_any_batch(record: str, load: Load, name: str) -> None:
    network = (tiny() if name == "tiny" else built(load(), name)).eval()
    registry = Registry("model")
    registry.point(CHAMPION, register(registry, network))
    loaded = load_champion("model")
    for batch in (1, 5):
        image = torch.rand(batch, 1, SIZE, SIZE)
        torch.testing.assert_close(loaded(image), network(image), atol=1e-5, rtol=0)


def test_signature_names_shapes_and_types(record: str) -> None:
    from mlflow.models import get_model_info

    signature = get_model_info(register(Registry("model")).source).signature
    assert [(spec.type.name, spec.shape) for spec in signature.inputs] == [("float32", (-1, 1, SIZE, SIZE))]
    assert [(spec.type.name, spec.shape) for spec in signature.outputs] == [("float32", (-1, 2, SIZE, SIZE))]


def test_model_that_was_pickled_is_refused(record: str, tmp_path: Path) -> None:
    register(Registry("model"))  # imports MLflow's part for torch, whose own warnings are kept away there
    import mlflow.pytorch

    mlflow.pytorch.save_model(tiny(), tmp_path / "pickled", serialization_format="pickle", pip_requirements=["torch"])
    with pytest.raises(TrackingError, match="pickle"):
        load_version(ModelVersion(1, str(tmp_path / "pickled"), {}))


def test_model_belongs_to_the_run_that_made_it(record: str, load: Load) -> None:
    with open_run(load(), "promote") as run:
        version = Registry("model").register(tiny(), channels=2, size=SIZE, run_id=run.id, tags=TAGS)
    from mlflow.tracking import MlflowClient

    outputs = MlflowClient(record).get_run(str(run.id)).outputs
    assert outputs
    assert [f"models:/{output.model_id}" for output in outputs.model_outputs] == [version.source]


def test_graph_is_rewritten_for_another_device(record: str, load: Load) -> None:
    network = built(load(), "light")
    version = register(Registry("model"), network.eval())
    moved = load_version(version, "meta")  # a device that computes shapes only, and refuses what lies elsewhere
    assert moved(torch.zeros(3, 1, SIZE, SIZE, device="meta")).shape == (3, 2, SIZE, SIZE)


def test_missing_alias_is_named(record: str) -> None:
    registry = Registry("model")
    registry.point(CHAMPION, register(registry))
    assert registry.required(CHAMPION).number == 1
    with pytest.raises(ModelNotRegisteredError, match="model 'model': has no challenger"):
        registry.required(CHALLENGER)


def test_tags_are_added_to_a_version(record: str) -> None:
    registry = Registry("model")
    registry.tag(register(registry), {"recipe": "{}"})
    found = registry.with_weights("abc")
    assert found
    assert {name: found.tags.get(name) for name in (*TAGS, "recipe")} == {**TAGS, "recipe": "{}"}


def test_version_is_found_by_its_weights(record: str) -> None:
    registry = Registry("model")
    first, second = register(registry, weights="one"), register(registry, weights="two")
    assert registry.with_weights("one") == first
    assert registry.with_weights("two") == second
    assert registry.with_weights("three") is None


def test_alias_moves_to_another_version(record: str) -> None:
    registry = Registry("model")
    first, second = register(registry), register(registry)
    registry.point(CHALLENGER, first)
    registry.point(CHALLENGER, second)
    assert registry.aliased(CHALLENGER) == second


def test_record_grows_and_keeps_what_it_held(record: str) -> None:
    registry = Registry("model")
    version = register(registry)
    for reason in ("first", "second"):
        registry.append(version, {"decision": "challenger", "reason": reason})
    assert [entry["reason"] for entry in registry.record(version)] == ["first", "second"]


def test_new_version_has_an_empty_record(record: str) -> None:
    registry = Registry("model")
    assert registry.record(register(registry)) == []


def test_unknown_name_is_not_registered(record: str) -> None:
    with pytest.raises(
        ModelNotRegisteredError, match=r"model 'nobody': is not in the registry at sqlite:.*run 'promote'"
    ):
        load_champion("nobody")


def test_name_without_champion_is_said_to_have_none(record: str) -> None:
    register(Registry("model"))
    with pytest.raises(ModelNotRegisteredError, match="model 'model': has no champion"):
        load_champion("model")


@pytest.fixture
def server(record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real MLflow server over HTTP that keeps the artifacts itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", record]
    command = [sys.executable, "-m", "mlflow", "server", *options, "--artifacts-destination", str(tmp_path / "kept")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(command, env=os.environ | quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(url: str) -> None:
    for _ in range(120):
        with suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.5)
    raise AssertionError(f"{url} does not answer")


@pytest.mark.servers
def test_server_keeps_run_model_and_record(server: str, load: Load, tmp_path: Path) -> None:
    registry, network = Registry("model"), tiny().eval()
    with open_run(load(), "promote") as run:
        run.metrics({"score": 0.5}, step=1)
        version = registry.register(network, channels=2, size=SIZE, run_id=run.id, tags=TAGS)
    registry.append(version, {"decision": "champion", "reason": "the first"})
    registry.point(CHAMPION, version)
    assert [entry["reason"] for entry in registry.record(version)] == ["the first"]
    assert list((tmp_path / "kept").rglob("settings.yaml"))
    image = torch.rand(3, 1, SIZE, SIZE)
    torch.testing.assert_close(load_champion("model")(image), network(image), atol=1e-5, rtol=0)


@pytest.mark.parametrize("tag", ["recipe", "weights", "threshold", "graph", "digest"])
def test_a_version_with_an_edited_tag_is_refused(record: str, tag: str) -> None:
    registry = Registry("model")
    version = registry.tag(register(registry), {tag: "edited"})
    with pytest.raises(
        StoreError, match=r"its tags 'weights', 'graph', 'recipe'.* are not those that it was registered"
    ):
        load_version(version)


def test_a_graph_that_was_changed_is_refused(record: str, tmp_path: Path) -> None:
    version = register(Registry("model"))
    (graph,) = tmp_path.rglob("model.pt2")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"its graph data/model\.pt2 is changed; delete this version, and run 'promote'"
    ):
        load_version(version)


def test_a_version_of_before_digests_is_loaded_with_a_warning(record: str, caplog: pytest.LogCaptureFixture) -> None:
    version = register(Registry("model"))
    kept = {name: text for name, text in version.tags.items() if name not in ("graph", "digest")}
    assert load_version(replace(version, tags=kept))
    assert "was registered without digests" in caplog.text
