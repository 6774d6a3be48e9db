"""The object store of data versions: whose keys are used, and a quick question to it.

Keys and address come from the environment: NEPHRITE_AWS_ACCESS_KEY_ID, NEPHRITE_AWS_ENDPOINT_URL and so on, or the
usual AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ... In a pod of Kubeflow another program, its launcher, reads the usual ones
too, and would use our keys for its own store; so a cluster sets the former, and boto3 and DVC alone are given them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from nephrite.errors import RemoteError
from nephrite.tracking_address import shown

OWN = "NEPHRITE_"
ID, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
ADDRESS, REGION = "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"
CONNECT_PATIENCE, ANSWER_PATIENCE, ATTEMPTS = 4, 5, 2  # of a question: a store that is not there is known in 10 seconds
CHECK_KEY = f"check {ID} and {SECRET} (in a cluster: {OWN}{ID}, ...), and what this key may do there"
CHECK_STORE = f"check {ADDRESS} (in a cluster: {OWN}{ADDRESS}) and whether the store runs"


def own_settings() -> dict[str, str]:
    """Keys and address that are set under our own names, by the usual names; empty where none is."""
    names = {name: OWN + name for name in (ID, SECRET, TOKEN, ADDRESS, REGION)}
    return {name: os.environ[ours] for name, ours in names.items() if os.environ.get(ours)}


def store_environment() -> dict[str, str]:
    """This process' environment for a program that knows the usual names; with own settings, none but those."""
    own = own_settings()
    if not own:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | own


def hide_keys(text: str) -> str:
    """The text without keys, and without passwords in addresses."""
    for name in (ID, SECRET, TOKEN):
        for each in (name, OWN + name):
            text = text.replace(os.environ.get(each) or "\0", "***")
    return shown(text)


@contextmanager
def ask_store(remote: str, bucket: str) -> Iterator[Any]:
    """A client for one quick request; what the store answers becomes one line.

    Args:
        remote: what errors name.
        bucket: that is asked for.

    Raises:
        RemoteError: no key is set, the store does not answer, or it refuses.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    # no retries for minutes
    limits = {"connect_timeout": CONNECT_PATIENCE, "read_timeout": ANSWER_PATIENCE}
    patience = Config(**limits, retries={"total_max_attempts": ATTEMPTS})
    # what is not given here, boto3 takes from the usual variables
    own = own_settings()
    keys = {name.lower(): own.get(name) for name in (ID, SECRET, TOKEN)}
    try:
        session = boto3.session.Session(**keys, region_name=own.get(REGION))
        with closing(session.client("s3", config=patience, endpoint_url=own.get(ADDRESS))) as client:
            yield client
    except NoCredentialsError:
        raise RemoteError(remote, "needs a key, and none is set", CHECK_KEY) from None
    except ClientError as error:
        raise _refusal(remote, bucket, error.response.get("Error", {})) from None
    except (BotoCoreError, ValueError) as error:  # ValueError: an address that is none
        raise RemoteError(remote, f"does not answer ({hide_keys(str(error))})", CHECK_STORE) from None


def _refusal(remote: str, bucket: str, answer: dict[str, str]) -> RemoteError:
    code, message = answer.get("Code", "no code"), answer.get("Message", "")
    if code == "NoSuchBucket":
        return RemoteError(remote, f"the store has no bucket '{bucket}'", "make it, or mend the remote's name")
    if code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"):
        return RemoteError(remote, f"refuses the key ({code})", CHECK_KEY)
    return RemoteError(remote, f"refuses to answer ({code}: {hide_keys(message)})", CHECK_STORE)
