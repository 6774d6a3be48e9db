"""That k8s/ and the rest of the project say the same: names, settings, commands; and that git holds no secret."""

from __future__ import annotations

import base64
import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nephrite.cli import group
from nephrite_kubeflow.cluster import CLUSTER_FILE
from nephrite_kubeflow.components import IMAGE
from nephrite_kubeflow.server import TOKEN_FILE

Manifest = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def named(objects: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


@pytest.mark.parametrize("name", [CLUSTER_FILE.name, "gpu.yaml"])
def test_pipeline_s_secret_and_claim_are_made_here(named: dict[tuple[str, str], Manifest], name: str) -> None:
    cluster = yaml.safe_load((CLUSTER_FILE.parent / name).read_text())
    secret = named["Secret", cluster["secret"]["name"]]
    assert sorted(secret["data"]) == sorted(cluster["secret"]["keys"])
    assert ("PersistentVolumeClaim", cluster["checkpoints"]["claim"]) in named
    assert ("ServiceAccount", "nephrite-runner") in named


def test_addresses_in_the_secret_are_services_here(named: dict[tuple[str, str], Manifest]) -> None:
    secret = named["Secret", "nephrite-env"]["data"]
    for key in ("MLFLOW_TRACKING_URI", "NEPHRITE_AWS_ENDPOINT_URL"):
        match = re.fullmatch(
            r"http://(\w+)\.nephrite\.svc\.cluster\.local:(\d+)", base64.b64decode(secret[key]).decode()
        )
        assert match is not None
        ports = named["Service", match[1]]["spec"]["ports"]
        assert int(match[2]) in [port["port"] for port in ports]


def test_mlflow_accepts_its_service_s_names_with_and_without_port(named: dict[tuple[str, str], Manifest]) -> None:
    arguments = named["Deployment", "mlflow"]["spec"]["template"]["spec"]["containers"][0]["args"]
    (hosts,) = [text.removeprefix("--allowed-hosts=").split(",") for text in arguments if "--allowed-hosts" in text]
    services = [f"mlflow{rest}" for rest in ("", ".nephrite", ".nephrite.svc", ".nephrite.svc.cluster.local")]
    assert set(hosts) >= {f"{name}{port}" for name in services for port in ("", ":5000")}
    assert "*" not in "".join(hosts)


def test_mlflow_s_databases_are_made_and_dumped(named: dict[tuple[str, str], Manifest]) -> None:
    settings = configparser.ConfigParser()
    settings.read_string(named["ConfigMap", "mlflow-auth"]["data"]["basic_auth.ini"])
    driver, database = re.fullmatch(r"(.+)://postgres:5432/(\w+)", settings["mlflow"]["database_uri"]).groups()  # type: ignore[union-attr] # a failure is what the test is for
    assert driver == "postgresql+psycopg2"
    assert f"CREATE DATABASE {database};" in named["ConfigMap", "postgres-start"]["data"]["auth_database.sql"]
    assert re.search(rf"for database in .*\b{database}\b", named["ConfigMap", "backup"]["data"]["backup.sh"])
    assert "admin_password" not in settings["mlflow"]


def test_script_of_the_backup_is_bash() -> None:
    subprocess.run(["bash", "-n", ROOT / "k8s/base/backup.sh"], check=True)


def test_image_of_the_local_stack_is_the_pipeline_s(manifests: Path) -> None:
    (image,) = yaml.safe_load((manifests / "overlays/local/kustomization.yaml").read_text())["images"]
    assert f"{image['newName']}:{image['newTag']}" == IMAGE


@pytest.mark.parametrize("name", ["gan", "segmenter"])
def test_trainings_are_commands_that_the_program_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # as in the image, configs/ lies in the working directory
    job = yaml.safe_load((ROOT / "k8s/training" / name / "job.yaml").read_text())
    result = CliRunner().invoke(group, [*job["spec"]["trainer"]["args"], "--dry-run"])
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["compute"]["devices"] == job["spec"]["trainer"]["numProcPerNode"]


def test_data_of_the_trainings_is_made_where_they_look_and_by_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    trainings = [yaml.safe_load((ROOT / f"k8s/training/{name}/job.yaml").read_text()) for name in ("gan", "segmenter")]
    wanted = [set(job["spec"]["trainer"]["args"]) for job in trainings]
    pod = yaml.safe_load((ROOT / "k8s/training/data/job.yaml").read_text())["spec"]["template"]["spec"]
    (acquire,), (prepare,) = pod["initContainers"], pod["containers"]
    assert all({"--params=configs/kits19.yaml", "--pairs=/data/prepared"} < args for args in wanted)
    assert {"--params=configs/kits19.yaml", "--pairs=/data/prepared"} < set(prepare["args"])
    for container in (acquire, prepare):
        result = CliRunner().invoke(group, [*container["command"][1:], *container["args"], "--dry-run"])
        assert result.exit_code == 0, result.output


def test_token_of_a_pod_lies_where_it_is_looked_for() -> None:
    mounted = yaml.safe_load((ROOT / "k8s/pod-default.yaml").read_text())["spec"]
    (place,) = [mount["mountPath"] for mount in mounted["volumeMounts"]]
    (source,) = mounted["volumes"][0]["projected"]["sources"]
    assert f"{place}/{source['serviceAccountToken']['path']}" == str(TOKEN_FILE)
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"


def test_served_model_is_the_promoted_one() -> None:
    deployment = next(yaml.safe_load_all((ROOT / "k8s/serving/base/champion.yaml").read_text()))
    pod = deployment["spec"]["template"]["spec"]
    (fetch,), (serve,) = pod["initContainers"], pod["containers"]
    assert f"--artifact-uri=models:/{PARAMS['promote']['model']}@champion" in fetch["args"]
    assert "--dst-path=/model/champion" in fetch["args"]
    assert "--model-uri=/model/champion" in serve["args"]


def test_serving_container_has_no_password_and_cannot_change_the_model() -> None:
    deployment = next(yaml.safe_load_all((ROOT / "k8s/serving/base/champion.yaml").read_text()))
    pod = deployment["spec"]["template"]["spec"]
    (fetch,), (serve,) = pod["initContainers"], pod["containers"]
    assert fetch["envFrom"] == [{"secretRef": {"name": "serving"}}]
    assert "secret" not in str(serve).lower()
    assert {"name": "model", "mountPath": "/model", "readOnly": True} in serve["volumeMounts"]


def test_buckets_are_those_the_store_s_user_may_use(named: dict[tuple[str, str], Manifest]) -> None:
    buckets = named["Job", "make-buckets"]["spec"]["template"]["spec"]["containers"][0]["args"]
    identities = yaml.safe_load(base64.b64decode(named["Secret", "s3"]["data"]["s3.json"]))["identities"]
    (actions,) = [each["actions"] for each in identities if each["name"] == "nephrite"]
    verbs = ("Read", "Write", "List", "Tagging")
    assert sorted(actions) == sorted(f"{verb}:{bucket}" for bucket in buckets for verb in verbs)


def test_no_secret_lies_among_the_manifests() -> None:
    examples = list((ROOT / "k8s/base/secrets").glob("*.example"))
    assert len(examples) == 7
    secret_lines = [
        line
        for example in examples
        for line in example.read_text().splitlines()
        if re.search(r"PASSWORD=|SECRET_ACCESS_KEY=|SECRET_KEY=|secretkey=|secretKey", line)
    ]
    assert len(secret_lines) == 11
    assert all("CHANGE-ME" in line for line in secret_lines)
    kinds = [
        item["kind"]
        for path in (ROOT / "k8s").rglob("*.yaml")
        for item in yaml.safe_load_all(path.read_text())
        if "kind" in item
    ]
    assert "Secret" not in kinds


@pytest.mark.parametrize("name", ["nephrite.env", "mlflow.env", "postgres.env", "store.env", "scans.env", "s3.json"])
def test_git_ignores_what_make_secrets_writes(name: str, tmp_path: Path) -> None:
    target = tmp_path / "base" / "secrets" / name
    target.parent.mkdir(parents=True)
    (tmp_path / ".gitignore").write_text((ROOT / "k8s/.gitignore").read_text())
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    asked = [
        subprocess.run(["git", "-C", tmp_path, "check-ignore", "-q", path], check=False).returncode
        for path in (target, f"{target}.example")
    ]
    assert asked == [0, 1]
