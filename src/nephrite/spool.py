"""A record that goes on where MLflow does not: what could not be sent is kept beside the output, and sent later.

A training must not be lost because the server of the record failed at its end. From the first call that fails on,
calls and copies of files go into `<output>.record`; the next stage, or `nephrite upload`, sends them in their order.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nephrite.errors import StoreError, TrackingError
from nephrite.files import disk_errors, read_record, write_json
from nephrite.recording import ArmRow, Run

SUFFIX = ".record"
CALLED = {"settings", "metrics", "artifact", "tags", "dataset", "judged", "end"}
HEAD, CALLS, FILES = "run", "calls", "files"  # without .json: folders of scores are searched for it
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Head:
    """Which run the calls belong to.

    Args:
        run_id: of the run in MLflow.
        parent: id of the trial's run; None for a run that belongs to none.
        stage: name of the stage.
        sent: how many of the calls have been sent.
    """

    run_id: str
    parent: str | None
    stage: str
    sent: int = 0


@dataclass(frozen=True)
class Call:
    """One call of the record: the method's name and its arguments; paths of files are relative to the spool."""

    name: str
    arguments: dict[str, Any]


class LastingRun:
    """A run whose calls are kept where MLflow does not take them.

    Args:
        run: the record in MLflow.
        head: of the spool.
        place: folder of the spool; None lets errors pass, where nobody would find it.
    """

    def __init__(self, run: Run, head: Head, place: Path | None) -> None:
        self._run, self._head, self._place, self._kept = run, head, place, 0

    @property
    def id(self) -> str | None:
        """The run's id."""
        return self._run.id

    @property
    def keeps(self) -> bool:
        """Whether calls are kept already."""
        return self._kept > 0

    def settings(self, values: Mapping[str, object]) -> None:
        """Record settings."""
        self._call("settings", values=json.loads(json.dumps(values, default=str)))

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Record metrics."""
        self._call("metrics", values={key: float(value) for key, value in values.items()}, step=step)

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file or a folder."""
        self._call("artifact", path=path, folder=folder)

    def tags(self, values: Mapping[str, str]) -> None:
        """Record short facts."""
        self._call("tags", values=dict(values))

    def dataset(self, path: Path, *, name: str, digest: str) -> None:
        """Record an input data set."""
        self._call("dataset", path=path, name=name, digest=digest)

    def judged(self, title: str, note: str, arms: Sequence[ArmRow]) -> None:
        """Show a verdict and its arms."""
        self._call("judged", title=title, note=note, arms=arms)

    def end(self, status: str, *, reason: str = "") -> None:
        """Close the run."""
        self._call("end", status=status, reason=reason)

    def _call(self, method: str, /, **arguments: Any) -> None:
        if not self._kept:
            try:
                getattr(self._run, method)(**arguments)
            except TrackingError as error:
                if self._place is None:
                    raise
                later = "is kept, and sent by the next stage or by: nephrite upload"
                logger.warning("%s; the record %s (%s)", error, later, self._place)
            else:
                return
        self._keep(method, arguments)

    def _keep(self, name: str, arguments: dict[str, Any]) -> None:
        assert self._place is not None
        with disk_errors(self._place):
            # a new spool replaces one of an earlier attempt
            if not self._kept:
                shutil.rmtree(self._place, ignore_errors=True)
                self._place.mkdir(parents=True)
                write_json(self._place / HEAD, asdict(self._head))
            # a file may change or go before it is sent
            if name == "artifact":
                copy = self._place / FILES / str(self._kept) / arguments["path"].name
                copy.parent.mkdir(parents=True)
                (shutil.copytree if arguments["path"].is_dir() else shutil.copyfile)(arguments["path"], copy)
                arguments = {**arguments, "path": copy.relative_to(self._place)}
            with (self._place / CALLS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(Call(name, arguments)), default=str) + "\n")
        self._kept += 1


def spool_of(output: Path) -> Path:
    """Where the record of an output is kept until it is sent."""
    return output.with_name(output.name + SUFFIX)


def find_spools(folder: Path, *, deep: bool = True) -> list[Path]:
    """All spools in a folder, and below it if `deep`."""
    find = folder.rglob if deep else folder.glob
    return sorted(path.parent for path in find(f"*{SUFFIX}/{HEAD}"))


def send(spool: Path, open_again: Callable[[Head], Run]) -> int:
    """Send a spool, from the first call that has not been sent, and remove it.

    Args:
        spool: its folder.
        open_again: gives the run of a head.

    Returns:
        how many calls were sent.

    Raises:
        TrackingError: MLflow does not answer or refuses; what was not sent stays.
        StoreError: the spool is damaged.
    """
    head = read_record(spool / HEAD, Head, "remove the folder: its run in MLflow stays incomplete")
    run, calls = open_again(head), list(_read(spool))
    for number, call in enumerate(calls[head.sent :], head.sent):
        arguments = dict(call.arguments)
        if "path" in arguments:
            arguments["path"] = spool / arguments["path"] if call.name == "artifact" else Path(arguments["path"])
        getattr(run, call.name)(**arguments)
        write_json(spool / HEAD, asdict(Head(head.run_id, head.parent, head.stage, number + 1)))
    shutil.rmtree(spool)
    return len(calls) - head.sent


def _read(spool: Path) -> Iterator[Call]:
    """The calls; a last line that a kill has cut is left out."""
    lines = (spool / CALLS).read_text(encoding="utf-8").splitlines(keepends=True) if (spool / CALLS).exists() else []
    for line in lines:
        if not line.endswith("\n"):
            return
        try:
            call = Call(**json.loads(line))
        except (ValueError, TypeError):
            raise StoreError(spool / CALLS, "holds a line that is no call", "remove the folder") from None
        if call.name not in CALLED:
            raise StoreError(spool / CALLS, f"holds the call '{call.name}', which no record has", "remove the folder")
        yield call
