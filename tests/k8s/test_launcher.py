"""The entry for Kubeflow's launcher, read as the launcher reads it, and the Role that lets it have the secret.

The rules are those of kubeflow/pipelines 2.17, backend/src/v2/config/s3.go (ProvideSessionInfo) and env.go, and of
objectstore/config.go (StructuredS3Params): keys of JSON in any case, a default with credentials whenever there is an
entry, the first override whose bucket is the same and whose prefix begins the path.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

Manifest = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
FILES = ("launcher.yaml", "launcher-s3.yaml")
OF_DEFAULT = {"endpoint", "region", "disablessl", "forcepathstyle", "maxretries", "credentials"}
OF_OVERRIDE = {*OF_DEFAULT, "bucketname", "keyprefix"}
OF_SECRET = {"secretname", "accesskeykey", "secretkeykey"}


def lowered(value: Any) -> Any:
    """Keys in small letters: Go's JSON takes them in any case."""
    if isinstance(value, dict):
        return {key.lower(): lowered(inner) for key, inner in value.items()}
    return [lowered(inner) for inner in value] if isinstance(value, list) else value


def session(providers: str, uri: str) -> dict[str, Any]:
    """Where and with what the launcher fetches an s3:// folder.

    Raises:
        ValueError: the launcher would refuse the entry, or would take a key that is none for nothing.
    """
    known = lowered(yaml.safe_load(providers))
    s3 = known.get("s3") or {}
    if set(known) - {"s3", "gs", "minio"} or set(s3) - {"default", "overrides"}:
        raise ValueError("a key that nothing reads")
    if not s3:
        return {"fromenv": True}
    default = s3.get("default") or {}
    if not default.get("credentials"):
        raise ValueError("invalid provider config: missing default credentials")
    parts = urlsplit(uri)
    prefix = parts.path.strip("/")
    chosen = dict(default)
    for override in s3.get("overrides") or ():
        if set(override) - OF_OVERRIDE:
            raise ValueError("a key that nothing reads")
        wanted = override.get("keyprefix", "").strip("/")
        if override["bucketname"] == parts.netloc and (not wanted or f"{prefix}/".startswith(f"{wanted}/")):
            if not override.get("credentials"):
                raise ValueError("invalid provider config: missing override credentials")
            chosen |= {key: value for key, value in override.items() if value not in ("", None)}
            break
    if set(chosen) - OF_OVERRIDE:
        raise ValueError("a key that nothing reads")
    credentials = chosen.pop("credentials")
    if set(credentials) - {"fromenv", "secretref"} or not isinstance(credentials.get("fromenv", False), bool):
        raise ValueError("a key that nothing reads")
    if credentials.get("fromenv"):
        return {**chosen, "fromenv": True}
    if set(credentials["secretref"]) != OF_SECRET:
        raise ValueError("a secret needs its name and both keys")
    return {**chosen, **credentials["secretref"], "fromenv": False}


def providers(name: str) -> str:
    content = yaml.safe_load((ROOT / "k8s" / name).read_text())
    assert (content["kind"], content["metadata"]) == ("ConfigMap", {"name": "kfp-launcher", "namespace": "nephrite"})
    return str(content["data"]["providers"])


@pytest.mark.parametrize("name", FILES)
def test_scans_are_fetched_from_our_store_with_their_own_secret(name: str, objects: list[Manifest]) -> None:
    found = session(providers(name), "s3://dvc/scans/may")
    held = {item["metadata"]["name"]: item for item in objects if item["kind"] == "Secret"}
    (service,) = [item for item in objects if (item["kind"], item["metadata"]["name"]) == ("Service", "s3")]
    # the secret has the keys, and they are those of an identity that may read the bucket and no more
    secret = {key: base64.b64decode(value).decode() for key, value in held[found["secretname"]]["data"].items()}
    assert {found["accesskeykey"], found["secretkeykey"]} == set(secret)
    identities = json.loads(base64.b64decode(held["s3"]["data"]["s3.json"]))["identities"]
    pair = {"accessKey": secret[found["accesskeykey"]], "secretKey": secret[found["secretkeykey"]]}
    (identity,) = [each for each in identities if pair in each["credentials"]]
    assert identity["actions"] == ["Read:dvc", "List:dvc"]
    # the address is the service's, without encryption, and path style, as our store wants it
    host, port = found["endpoint"].split(":")
    assert host == "s3.nephrite.svc.cluster.local"
    assert [int(port)] == [each["port"] for each in service["spec"]["ports"]]
    assert (found["disablessl"], found["forcepathstyle"]) == (True, True)


def test_artifacts_of_kubeflow_keep_the_pods_own_identity() -> None:
    found = session(providers("launcher-s3.yaml"), "s3://company-artifacts/v2/artifacts")
    assert found["fromenv"] is True
    assert "secretname" not in found
    assert "nephrite" not in found["endpoint"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("credentials:", "credential:"), ("secretKeyKey: secretkey", ""), ("s3:", "s4:"), ("endpoint:", "end_point:")],
)
def test_entry_that_the_launcher_would_not_read_is_found(old: str, new: str) -> None:
    with pytest.raises(ValueError, match=r"nothing reads|missing default|both keys"):
        session(providers("launcher.yaml").replace(old, new), "s3://dvc/scans")


def test_role_gives_that_secret_and_kubeflows_own_and_no_other(objects: list[Manifest]) -> None:
    rules = [rule for item in objects if item["kind"] == "Role" for rule in item["rules"]]
    secrets = [(rule["resourceNames"], rule["verbs"]) for rule in rules if "secrets" in rule["resources"]]
    assert secrets == [
        (["mlpipeline-minio-artifact", session(providers("launcher.yaml"), "s3://dvc/a")["secretname"]], ["get"])
    ]
