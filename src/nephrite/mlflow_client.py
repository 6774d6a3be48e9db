"""The way to MLflow: a client of a store that answers, what it refuses as one line, and its names and queries."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from nephrite.errors import TrackingError, TrackingUnreachableError
from nephrite.files import PARTIAL
from nephrite.tracking_address import (
    REMEDY,
    check_address,
    keep_files_here,
    one_at_a_time,
    short_patience,
    shown,
    sqlite_file,
    tracking_uri,
    unreachable,
)

if TYPE_CHECKING:
    from mlflow.entities import Run as RunEntity
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)
LONGEST_DIGEST = 36  # of a data set, by MLflow


def prepare_mlflow() -> None:
    """Set what MLflow reads when it is imported: no telemetry, no pickled models, no log messages."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"


def connect() -> MlflowClient:
    """A client of a store that has just answered.

    Raises:
        TrackingUnreachableError: it did not, within seconds.
    """
    # quick checks before the slow import
    prepare_mlflow()
    uri = tracking_uri()
    check_address(uri)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    with one_at_a_time(uri), short_patience():  # two processes must not make the tables of one database
        try:
            _make_tables(uri)
            client = MlflowClient(uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)
            client.search_experiments(max_results=1)
            keep_files_here(uri)
        except (MlflowException, SQLAlchemyError) as error:  # the latter where tables are made or changed
            raise unreachable(uri, _reason(str(error))) from None
    return client


def _make_tables(uri: str) -> None:
    """Make a new database beside its place: MLflow refuses, for good, one whose making was killed half-way."""
    if not uri.startswith("sqlite"):
        return
    place = sqlite_file(uri)
    if place.exists() and place.stat().st_size:
        return
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # what a kill left, a journal too
    for left in place.parent.glob(f"{place.name}{PARTIAL}*"):
        left.unlink()
    partial = place.with_name(place.name + PARTIAL)
    store = SqlAlchemyStore(f"sqlite:///{partial}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)  # type: ignore[no-untyped-call] # without types
    store.engine.dispose()
    partial.replace(place)


def _may_pass(error: BaseException) -> bool:
    """Whether a server may answer later: not to a wrong password."""
    return isinstance(error, TrackingUnreachableError) and not re.search(r"error code 40[13]\b", str(error))


def first_contact(patience: float) -> MlflowClient:
    """Connect; a server may be starting again, a file on this machine is not."""
    if tracking_uri().startswith(("sqlite", "file")) or patience == 0:
        return connect()

    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome:
            logger.warning("%s; asking again for %g seconds", state.outcome.exception(), patience)

    asked = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_delay(patience),
        wait=wait_exponential(max=5),
        before_sleep=say,
        reraise=True,
    )
    return asked(connect)


@contextmanager
def tracking_errors() -> Iterator[None]:
    """Turn what MLflow raises into one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrackingError(shown(tracking_uri()), f"MLflow refused ({shown(str(error))})", REMEDY) from error


def find_runs(client: MlflowClient, experiment: str, tags: Mapping[str, str], *conditions: str) -> list[RunEntity]:
    """Runs that carry all of these tags and meet the conditions, the oldest first; a server gives them by the page."""
    query = " and ".join([*(f"tags.`{key}` = '{value}'" for key, value in tags.items()), *conditions])
    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    found: list[RunEntity] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], query, order_by=order, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def known_run(client: MlflowClient, run_id: str | None) -> str | None:
    """The id of a run if this store has it: a model may have been trained where another one recorded."""
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        return str(client.get_run(run_id).info.run_id) if run_id else None
    return None


def as_key(key: str) -> str:
    """MLflow refuses '+' and other signs in names."""
    return re.sub(r"[^\w./ :-]", "-", key)


def _reason(text: str) -> str:
    """The innermost error of a failed request, out of those that MLflow chains, e.g. 'Connection refused'."""
    return text.rsplit(": ", 1)[-1].partition(" (")[0].rstrip('.)"') if "failed with exception" in text else text
