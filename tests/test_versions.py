from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from nephrite import object_store
from nephrite.errors import DiskFullError, RemoteError, SourceError, StoreError
from nephrite.versions import Version, fetch_version, push_version

ABSENT = "0123456789abcdef0123456789abcdef.dir"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with two files, one of them in a folder of its own."""
    folder = tmp_path / "raw"
    (folder / "case_00000").mkdir(parents=True)
    (folder / "case_00000" / "imaging.nii.gz").write_bytes(os.urandom(100_000))
    (folder / "notes.txt").write_text("fine\n")
    return folder


@pytest.fixture
def remote(tmp_path: Path) -> str:
    """A folder that serves as remote."""
    return str(tmp_path / "remote")


@pytest.fixture
def pushed(data: Path, remote: str, tmp_path: Path) -> Version:
    """The version of `data` on `remote`."""
    return push_version(data, remote, tmp_path / "raw.dvc")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder


@pytest.fixture
def bucket(s3: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A remote on a real S3 server, whose key is in the environment."""
    for name, value in {**s3.keys, "AWS_ENDPOINT_URL": s3.address}.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3.bucket}/versions"


def contents(folder: Path) -> dict[str, bytes]:
    """All files under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def on_remote(remote: str, content: bytes) -> Path:
    """Where a remote keeps a file with this content."""
    return Path(remote) / "files" / "md5" / md5(content)[:2] / md5(content)[2:]


def test_version_is_the_hash_that_dvc_documents(data: Path, pushed: Version) -> None:
    listing = [{"md5": md5(content), "relpath": name} for name, content in sorted(contents(data).items())]
    assert pushed == Version(f"{md5(json.dumps(listing).encode())}.dir", 100_005, 2)


def test_fetched_version_is_the_pushed_one_and_nothing_else(
    data: Path, remote: str, pushed: Version, target: Path
) -> None:
    fetch_version(remote, pushed.hash, target)
    assert contents(target) == contents(data)
    assert {path.name for path in target.iterdir()} == {"case_00000", "notes.txt"}


def test_fetched_files_are_writable_and_lie_on_disk_once(remote: str, pushed: Version, target: Path) -> None:
    fetch_version(remote, pushed.hash, target)
    state = (target / "notes.txt").stat()
    assert (state.st_mode & 0o200, state.st_nlink) == (0o200, 1)


def test_pushed_folder_is_only_read(data: Path, remote: str, tmp_path: Path) -> None:
    for path in (*data.rglob("*"), data):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: (path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_nlink) for path in data.rglob("*")}
    push_version(data, remote, tmp_path / "raw.dvc")
    assert before == {path: (path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_nlink) for path in before}


def test_pointer_is_all_that_dvc_needs_to_pull(data: Path, remote: str, pushed: Version, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    (place / ".dvc").mkdir(parents=True)
    shutil.copy(tmp_path / "raw.dvc", place)
    for command in (["config", "core.no_scm", "true"], ["remote", "add", "-d", "store", remote], ["pull"]):
        variables = {**os.environ, "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
        subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=place, env=variables, check=True, capture_output=True
        )
    assert contents(place / "raw") == contents(data)


def test_remote_is_complete_and_holds_no_waste(remote: str, data: Path, pushed: Version) -> None:
    assert len(contents(Path(remote))) == pushed.files + 1


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_folder_without_files_is_no_version(name: str, remote: str, tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(SourceError, match=rf"{name}: is no folder with files"):
        push_version(tmp_path / name, remote, tmp_path / "raw.dvc")
    assert not Path(remote).exists()


def test_absent_version_is_named(remote: str, pushed: Version, target: Path) -> None:
    with pytest.raises(RemoteError, match=rf"remote: does not hold version {ABSENT}; check the hash"):
        fetch_version(remote, ABSENT, target)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, r"failed to transfer '\w+' - .*No such file"),
        (lambda path: (path.chmod(0o644), path.write_bytes(b"other")), "files of it are lost or changed there"),
    ],
    ids=["lost", "changed"],
)
def test_version_with_a_lost_or_changed_file_is_refused(
    damage: Any, reason: str, remote: str, pushed: Version, target: Path
) -> None:
    damage(on_remote(remote, b"fine\n"))
    with pytest.raises(RemoteError, match=rf"version {pushed.hash} cannot be fetched whole \({reason}") as caught:
        fetch_version(remote, pushed.hash, target)
    assert "\n" not in str(caught.value)
    assert not (target / "notes.txt").exists()


def test_remote_that_takes_nothing_is_one_line(data: Path, remote: str, tmp_path: Path) -> None:
    Path(remote).write_text("a file where the remote should be")
    with pytest.raises(RemoteError, match=r"raw' cannot be pushed \("):
        push_version(data, remote, tmp_path / "raw.dvc")
    assert not (tmp_path / "raw.dvc").exists()


def test_full_disk_is_named(
    data: Path, remote: str, pushed: Version, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "dvc", stderr="ERROR: [Errno 28] No space left on device")

    monkeypatch.setattr(subprocess, "run", full)
    with pytest.raises(DiskFullError, match=r"fetched: no space left"):
        fetch_version(remote, pushed.hash, target)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which nobody accepts what arrives."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(1)
        yield int(opened.getsockname()[1])


def test_store_that_says_nothing_is_given_up_in_seconds(
    silent_port: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:hidden@127.0.0.1:{silent_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hidden")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setattr(object_store, "ANSWER_PATIENCE", 0.5)
    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"s3://bucket: does not answer .*; check AWS_ENDPOINT_URL") as caught:
        fetch_version("s3://bucket", ABSENT, target)
    assert time.monotonic() - start < 5
    assert "hidden" not in str(caught.value)


@pytest.mark.servers
@pytest.mark.slow
def test_version_on_s3_comes_back_byte_by_byte(bucket: str, data: Path, target: Path, tmp_path: Path) -> None:
    version = push_version(data, bucket, tmp_path / "raw.dvc")
    fetch_version(bucket, version.hash, target)
    assert contents(target) == contents(data)
    assert yaml.safe_load((tmp_path / "raw.dvc").read_text())["outs"][0]["path"] == "raw"


@pytest.mark.servers
@pytest.mark.slow
def test_version_on_s3_comes_and_goes_by_our_own_variables_whatever_the_usual_ones_say(
    bucket: str, data: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(f"NEPHRITE_{name}", os.environ[name])
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    version = push_version(data, bucket, tmp_path / "raw.dvc")
    fetch_version(bucket, version.hash, target)
    assert contents(target) == contents(data)


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("AWS_SECRET_ACCESS_KEY=wrong", r"refuses the key \(SignatureDoesNotMatch\); check AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID=nobody", r"refuses the key \(InvalidAccessKeyId\); check AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL=http://127.0.0.1:9", r"does not answer \(Could not connect .*; check AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL=nonsense", r"does not answer \(Invalid endpoint: nonsense\); check AWS_ENDPOINT_URL"),
        ("AWS_DEFAULT_REGION=us-east-1", rf"does not hold version {ABSENT}"),
    ],
)
def test_refusals_of_s3_are_one_line_and_leave_nothing(
    variable: str, message: str, bucket: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*variable.split("=", 1))
    with pytest.raises(RemoteError, match=message) as caught:
        fetch_version(bucket, ABSENT, target)
    assert "\n" not in str(caught.value)
    assert not list(target.iterdir())


@pytest.mark.servers
@pytest.mark.slow
def test_bucket_that_does_not_exist_is_named(bucket: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"s3://elsewhere/x: the store has no bucket 'elsewhere'; make it"):
        push_version(data, "s3://elsewhere/x", tmp_path / "raw.dvc")


@pytest.mark.servers
@pytest.mark.slow
def test_version_that_lost_a_file_on_s3_is_refused(
    s3: Any, bucket: str, data: Path, target: Path, tmp_path: Path
) -> None:
    (data / "lost.txt").write_bytes(lost := os.urandom(50))
    version = push_version(data, bucket, tmp_path / "raw.dvc")
    client = boto3.session.Session().client("s3")
    client.delete_object(Bucket=s3.bucket, Key=f"versions/files/md5/{md5(lost)[:2]}/{md5(lost)[2:]}")
    client.close()
    with pytest.raises(RemoteError, match=rf"version {version.hash} cannot be fetched whole"):
        fetch_version(bucket, version.hash, target)


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ({"md5": "0" * 32, "relpath": "../../outside"}, r"0\.relpath: is no name of a folder"),
        ({"md5": "0" * 32, "relpath": "/etc/passwd"}, r"0\.relpath: is no name of a folder"),
        ({"md5": "../../../../etc/passwd", "relpath": "a"}, r"0\.md5: String should match pattern"),
        ({"md5": "0" * 32, "relpath": ".git/hooks/post-checkout"}, r"names a file of DVC's own"),
        ({"md5": "0" * 32}, r"0\.relpath: Field required"),
        ({"md5": "0" * 32, "relpath": "a\nb"}, r"0\.relpath: holds a line break"),
        (None, r"0: Input should be a dictionary"),
    ],
)
def test_a_listing_that_leads_out_of_its_folder_is_refused(
    entry: object, finding: str, remote: str, target: Path
) -> None:
    listing = json.dumps([entry]).encode()
    place = on_remote(remote, listing).with_name(f"{md5(listing)[2:]}.dir")
    place.parent.mkdir(parents=True)
    place.write_bytes(listing)
    with pytest.raises(RemoteError, match=rf"remote: listing of version {md5(listing)}\.dir: {finding}") as caught:
        fetch_version(remote, f"{md5(listing)}.dir", target)
    assert "\n" not in str(caught.value)
    assert [*target.iterdir()] == []


def test_a_listing_that_was_changed_is_refused(remote: str, pushed: Version, target: Path) -> None:
    place = Path(remote) / "files" / "md5" / pushed.hash[:2] / pushed.hash[2:]
    place.chmod(0o644)
    place.write_text(place.read_text().replace("notes.txt", "other.txt"))
    with pytest.raises(RemoteError, match=r"listing of version \w+\.dir: is not that of its hash"):
        fetch_version(remote, pushed.hash, target)


@pytest.mark.parametrize("text", ["", "outs: []", "outs: [{md5: x}]", "- 3", "{", "outs: 3"])
def test_a_pointer_that_dvc_did_not_write_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "raw.dvc").write_text(text)
    with pytest.raises(StoreError, match=r"raw\.dvc: .*; run 'publish' again"):
        Version.read(tmp_path / "raw.dvc")
