"""Volumes of the pipeline's steps: given to their group by a job, since Kubeflow cannot ask for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster

Manifest = dict[str, Any]
SCRIPT = Path(__file__).resolve().parents[2] / "k8s" / "base" / "prepare_volumes.py"


def test_job_gives_the_steps_claim_to_the_steps_group(objects: list[Manifest], pods: list[Any]) -> None:
    (pod,) = [pod for pod in pods if pod.owner["metadata"]["name"] == "prepare-volumes"]
    cluster = load_cluster(CLUSTER_FILE)
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod.spec["volumes"]
        if len(volume) == 2 and "persistentVolumeClaim" in volume
    }
    assert cluster.checkpoints.claim in claims
    assert pod.spec["securityContext"]["fsGroup"] == pod.spec["securityContext"]["runAsGroup"] == cluster.user
    (container,) = pod.containers
    mounted = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in ("checkpoints", "data")}
    assert set(container["args"]) == mounted


def test_jobs_that_run_once_bear_the_label_by_which_they_are_removed(objects: list[Manifest]) -> None:
    jobs = [item for item in objects if item["kind"] == "Job"]
    assert len(jobs) >= 2
    assert all(job["metadata"]["labels"] == {"app.kubernetes.io/component": "once"} for job in jobs)


def run(*folders: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *folders], capture_output=True, text=True, check=False)


def test_folders_that_can_be_written_to_pass_and_stay_empty(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (0, f"{tmp_path}: can be written to\n")
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_to_is_one_line_with_the_remedy() -> None:
    result = run(Path("/proc/self"))  # nobody writes there, root neither
    assert result.returncode == 1
    assert result.stderr.startswith("/proc/self: cannot be written to by ")
    assert "let the class give new volumes to group 10001" in result.stderr
    assert result.stderr.count("\n") == 1
