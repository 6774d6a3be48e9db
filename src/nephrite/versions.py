"""Versions of a folder on a DVC remote: pushed and fetched by DVC itself, in a working place without git.

A version is what DVC writes into a pointer file: the MD5 of the folder's listing, which names the MD5 of every file
(DVC 3, "Internal directories and files"). So whoever has the hash and the remote has the data, also without Nephrite.
Keys and the address of the store come from the environment (`object_store`) and are written nowhere.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import yaml
from pydantic import Field

from nephrite.errors import DiskFullError, RemoteError, SourceError, StoreError
from nephrite.files import as_record, disk_errors, parse_json
from nephrite.object_store import ask_store, hide_keys, store_environment
from nephrite.record_fields import InnerPath
from nephrite.tracking_address import shown

WORKPLACE, POINTER = ".dvc-workplace", ".dvc"  # a folder that DVC works in, and the ending of a pointer file
CHECK_RIGHTS = "check what this key, or this user, may write there"
PUBLISH_AGAIN = "mend the store, or publish the data under another prefix"  # what a remote once had is not sent again
RESERVED = (".dvc", ".git")  # folders that DVC itself would read
LARGEST_LISTING = 2**28  # bytes: more than a million files
FULL_DISK = "No space left on device"
# Hard links: a fetched file and DVC's copy of it are one. 'verify': the remote's bytes are compared with their hash.
CONFIG = """\
[core]
    no_scm = true
    analytics = false
    check_update = false
    remote = store
[cache]
    type = "hardlink,copy"
['remote "store"']
    url = {url}
    verify = true
"""
CONFIG_S3 = "    connect_timeout = 10\n"


@dataclass(frozen=True)
class _Folder:
    """What a pointer file says of a folder; what else stands there is DVC's own."""

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]
    size: Annotated[int, Field(ge=0)]
    nfiles: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class _Pointer:
    outs: Annotated[tuple[_Folder, ...], Field(min_length=1, max_length=1)]


@dataclass(frozen=True)
class _Entry:
    """A file in a folder's listing."""

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    relpath: InnerPath


@dataclass(frozen=True)
class Version:
    """A folder as DVC names it.

    Attributes:
        hash: MD5 of the listing, 32 hexadecimal digits and '.dir'.
        size: bytes of all files.
        files: how many they are.
    """

    hash: str
    size: int
    files: int

    @classmethod
    def read(cls, pointer: Path) -> Version:
        """Read a pointer file that DVC wrote; StoreError if it is something else."""
        remedy = "run 'publish' again"
        try:
            content = yaml.safe_load(pointer.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            raise StoreError(pointer, f"cannot be read ({error})", remedy) from None
        out = as_record(content, _Pointer, pointer, remedy).outs[0]
        return cls(out.md5, out.size, out.nfiles)


def fetch_version(remote: str, version: str, target: Path) -> None:
    """Fetch a version into `target`: writable files, which lie on the disk once.

    Args:
        remote: 's3://BUCKET/PREFIX', or a folder that serves as remote.
        version: hash of the folder.
        target: existing folder; what it holds already stays. If the fetch fails, it may hold parts.

    Raises:
        RemoteError: the remote does not answer, refuses the key, lacks the version or a file of it, or holds a file
            whose bytes are not those of its hash; or the version's listing names files outside of its folder.
        DiskFullError: no space is left on the device.
    """
    check_remote(remote, version)
    _check_listing(remote, version)
    # a workplace of DVC with one pointer
    place = target / WORKPLACE  # beside the files: a hard link does not leave its file system
    with disk_errors(target), TemporaryDirectory(prefix="nephrite-dvc-") as state:
        _prepare(place, remote)
        out: dict[str, Any] = {"md5": version, "hash": "md5", "path": "content"}
        (place / f"content{POINTER}").write_text(yaml.safe_dump({"outs": [out]}), encoding="utf-8")
        # fetch, then move the files out
        with _named(remote, f"version {version} cannot be fetched whole", PUBLISH_AGAIN, target):
            _dvc(place, Path(state), "pull")
        shutil.rmtree(place / ".dvc")
        for path in (place / "content").rglob("*"):
            path.chmod(path.stat().st_mode | 0o200)
        for path in (place / "content").iterdir():
            path.rename(target / path.name)
        shutil.rmtree(place)


def push_version(data: Path, remote: str, pointer: Path) -> Version:
    """Push a folder as a version and write its pointer file.

    The folder itself is only read. DVC works on a copy in the temporary folder (TMPDIR), so that a set on a read-only
    volume can be pushed and only what the remote lacks is sent.

    Args:
        data: folder with at least one file.
        remote: 's3://BUCKET/PREFIX', or a folder that serves as remote.
        pointer: file to be written, named '<name of the folder>.dvc'.

    Raises:
        SourceError: the folder is missing, is empty, or cannot be read.
        RemoteError: the remote does not answer, refuses the key, or took not all.
        DiskFullError: no space is left for the copy.
    """
    # check before anything is copied
    if not data.is_dir() or not any(path.is_file() for path in data.rglob("*")):
        raise SourceError(data, "is no folder with files", "name a folder with data")
    check_remote(remote)
    name = pointer.name.removesuffix(POINTER)
    # a workplace of DVC, apart from the user's repository
    with TemporaryDirectory(prefix="nephrite-dvc-") as folder:
        place, state = Path(folder) / "work", Path(folder) / "state"
        _prepare(place, remote)
        _copy(data, place / name)
        with _named(remote, f"'{data}' cannot be pushed", CHECK_RIGHTS, place):
            _dvc(place, state, "add", "--", name)
            _dvc(place, state, "push")
        shutil.copyfile(place / f"{name}{POINTER}", pointer)
    return Version.read(pointer)


def _copy(data: Path, target: Path) -> None:
    try:
        shutil.copytree(data, target, copy_function=shutil.copyfile)
        for path in (target, *target.rglob("*")):
            path.chmod(path.stat().st_mode | 0o700)  # folders come with the mode of a set that may be read-only
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        if FULL_DISK in reason:
            raise DiskFullError(target.parent, "no space left for a copy of the data", "set TMPDIR") from None
        raise SourceError(source, f"cannot be read ({reason})", "mend the folder") from None


def _prepare(place: Path, remote: str) -> None:
    """A place where DVC works without git; it knows the remote, but no keys."""
    (place / ".dvc").mkdir(parents=True)
    on_s3 = remote.startswith("s3://")
    url = remote if on_s3 else str(Path(remote).absolute())
    text = CONFIG.format(url=url) + (CONFIG_S3 if on_s3 else "")
    (place / ".dvc" / "config").write_text(text, encoding="utf-8")


def _dvc(place: Path, state: Path, *arguments: str) -> None:
    """Run DVC in `place`; it keeps its state in `state` and neither reads nor writes a home folder."""
    own = {"DVC_SITE_CACHE_DIR": "site", "DVC_GLOBAL_CONFIG_DIR": "global", "DVC_SYSTEM_CONFIG_DIR": "system"}
    variables = {**store_environment(), **{name: str(state / folder) for name, folder in own.items()}}
    variables |= {"DVC_NO_ANALYTICS": "1", "GIT_PYTHON_REFRESH": "quiet"}
    variables.setdefault("USER", "nephrite")  # DVC asks for the user's name, and a pod's user may have none
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True, check=True)  # noqa: S603 - our words


@contextmanager
def _named(remote: str, finding: str, remedy: str, place: Path) -> Iterator[None]:
    """Turn a failure of DVC into one line."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        if FULL_DISK in error.stderr:
            raise DiskFullError(place, "no space left on the device", "free some space and run it again") from None
        raise RemoteError(remote, f"{finding} ({_reason(error.stderr)})", remedy) from None


def _reason(output: str) -> str:
    """What DVC complains about first: one short line without keys."""
    lines = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = (lines or output.splitlines() or ["no reason given"])[0]
    return "files of it are lost or changed there" if "Checkout failed" in reason else hide_keys(reason)


def check_remote(remote: str, version: str | None = None) -> None:
    """Find in seconds what DVC would retry for long: no store, no bucket, a wrong key, no such version."""
    folder = _key(version) if version else "files/md5"
    if remote.startswith("s3://"):
        bucket, _, prefix = remote.removeprefix("s3://").partition("/")
        found = _listed(remote, bucket, f"{prefix.strip('/')}/{folder}".lstrip("/"))
    else:
        found = (Path(remote) / folder).is_file()
    if version and not found:
        raise RemoteError(remote, f"does not hold version {version}", "check the hash and the remote, or publish it")


def _check_listing(remote: str, version: str) -> None:
    """Refuse a folder whose listing is not that of the hash, or would put files outside of the folder."""
    place = f"{shown(remote)}: listing of version {version}"
    if remote.startswith("s3://"):
        bucket, _, prefix = remote.removeprefix("s3://").partition("/")
        key = f"{prefix.strip('/')}/{_key(version)}".lstrip("/")
        with ask_store(remote, bucket) as client:
            content = client.get_object(Bucket=bucket, Key=key)["Body"].read(LARGEST_LISTING + 1)
    else:
        with (Path(remote) / _key(version)).open("rb") as file:
            content = file.read(LARGEST_LISTING + 1)
    # its name is the MD5 of its bytes
    if len(content) > LARGEST_LISTING:
        raise RemoteError(place, f"is larger than {LARGEST_LISTING} bytes", "publish fewer files in one version")
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != version.partition(".")[0]:
        raise RemoteError(place, "is not that of its hash", PUBLISH_AGAIN)
    try:
        entries = as_record(parse_json(content.decode()), tuple[_Entry, ...], place, PUBLISH_AGAIN)
    except (ValueError, RecursionError, StoreError) as error:
        finding = error.finding if isinstance(error, StoreError) else f"is not JSON ({error})"
        raise RemoteError(place, finding, PUBLISH_AGAIN) from None
    if any(entry.relpath.split("/")[0] in RESERVED for entry in entries):
        raise RemoteError(place, f"names a file of DVC's own, {' or '.join(RESERVED)}", PUBLISH_AGAIN)


def _key(version: str) -> str:
    """Where a remote keeps an object."""
    return f"files/md5/{version[:2]}/{version[2:]}"


def _listed(remote: str, bucket: str, key: str) -> bool:
    """Whether the bucket holds an object whose key starts so."""
    with ask_store(remote, bucket) as client:
        return bool(client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"))
