"""Cluster files: what is read, and what is refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.errors import ClusterError


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """A copy of the default cluster file, to be spoilt."""
    path = tmp_path / "own.yaml"
    path.write_text(CLUSTER_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_step_takes_the_default_for_what_it_does_not_say() -> None:
    cluster = load_cluster(CLUSTER_FILE)
    assert cluster.steps["acquire"].scratch == "60Gi"
    assert cluster.steps["acquire"].cpu == cluster.steps["report"].cpu


@pytest.mark.parametrize(("name", "gpu"), [("cluster.yaml", False), ("gpu.yaml", True)])
def test_cluster_file_says_whether_training_has_gpus(name: str, gpu: bool) -> None:
    assert load_cluster(CLUSTER_FILE.with_name(name)).has_gpu is gpu


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("parallelism: 2", "paralelism: 2", "parallelism: Field required"),
        ("limit: 8Gi", "limit: 8 GB", "steps.train_gan.memory.limit: '8 GB' is no"),
        ("request: 4Gi, limit: 8Gi", "request: 9Gi, limit: 8Gi", "request 9Gi is above limit 8Gi"),
        ("limit: 8Gi", "limit: 0Gi", "'0Gi' is not above zero"),
        ("  evaluate:", "  evalute:", "steps.evalute: is no step; choose from acquire, prepare"),
        ("user: 10001", "user: 0", "user: Input should be greater than or equal to 1"),
        ("  acquire: {scratch: 60Gi}", "  acquire: {accelerator: {type: gpu, count: 1}}", "accelerator.type"),
        (
            "  acquire: {scratch: 60Gi}",
            "  acquire: {tolerations: [{key: spot, operator: Equal}]}",
            "'Equal' needs a value",
        ),
        ("secret:", "secret: [", "is not readable YAML"),
        ("factor: 2,", "factor: 1.5,", "retries.factor: Input should be a valid integer"),
        ("window_days: 7", "longest_seconds: 7", "retries.window_days: Field required"),
        (
            "wait_seconds: 30",
            "wait_seconds: 604800",
            "the waits take 1814400 seconds, and window_days ends after 604800",
        ),
        ("  acquire: {scratch: 60Gi}", "  screen: {}\n  acquire: {scratch: 60Gi}", "'screen' stands in line"),
        ("count: 2, wait", "count: 2, count: 3, wait", "'count' stands in line 23 and again in line 23"),
        ("workspace: null", "workspace: {size: 200 GB}", "workspace.size: String should match"),
        ("workspace: null", "workspace: {}", "workspace.size: Field required"),
        ("workspace: null", "workspace: {size: 1Gi, access_modes: []}", "workspace.access_modes: Tuple should have"),
        ("workspace: null", "workspace: {size: 1Gi, access_modes: [ReadWriteOnce]}", "lacks 'ReadWriteMany'"),
    ],
)
def test_wrong_cluster_file_is_refused_with_key_and_rule(write: Path, old: str, new: str, told: str) -> None:
    text = write.read_text(encoding="utf-8")
    assert old in text
    write.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ClusterError) as error:
        load_cluster(write)
    assert told in str(error.value)
    assert str(error.value).startswith(str(write))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("parallelism", "mode"), [(1, "ReadWriteOnce"), (8, "ReadWriteMany")])
def test_workspace_of_one_node_is_accepted_without_parallel_arms(write: Path, parallelism: int, mode: str) -> None:
    text = write.read_text(encoding="utf-8").replace("parallelism: 2", f"parallelism: {parallelism}")
    wanted = f"workspace: {{size: 1.5Ti, access_modes: [{mode}]}}"
    write.write_text(text.replace("workspace: null", wanted), encoding="utf-8")
    workspace = load_cluster(write).workspace
    assert workspace is not None
    assert (workspace.size, workspace.storage_class, workspace.access_modes) == ("1.5Ti", None, (mode,))


@pytest.mark.parametrize("name", ["cluster.yaml", "gpu.yaml"])
def test_large_data_are_artifacts_unless_told_otherwise(name: str) -> None:
    assert load_cluster(CLUSTER_FILE.with_name(name)).workspace is None


@pytest.mark.parametrize(("content", "told"), [(None, "is missing"), ("[]", "no sections"), ("a: 1", "'default' and")])
def test_missing_or_empty_cluster_file_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "own.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ClusterError, match=told):
        load_cluster(path)
