"""MLflow fails while a training runs: the training is kept, and its record is sent later."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mlflow.tracking import MlflowClient

from tests.faults.harness import Outcome, environment, moments, nephrite, settings, start

ARM = "real/light/1.0/0"


def outages(count: int, work: Path) -> Iterator[Outcome]:
    """Cut the way to a real MLflow server at random moments of a training, until it has ended."""
    for arguments in (["acquire", "--raw", "raw"], ["prepare", "--raw", "raw", "--pairs", "pairs"]):
        done = nephrite([*arguments, *settings()], work)
        if done.code:
            yield Outcome("outages", arguments[0], done.output[-300:])
            return
    train = ["train-segmenter", "--pairs", "pairs", "--set", f"arm={ARM}", *settings("tracking.patience=1")]
    with _server(work) as port, _Proxy(port) as proxy:
        address = {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{proxy.port}",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
        }
        undisturbed = nephrite([*train, "--segmenter", "undisturbed"], work, **address)
        yield Outcome("outages", "none", undisturbed.output[-300:] if undisturbed.code else "")
        # a closed door before anything has run
        proxy.shut = True
        refused = nephrite([*train, "--segmenter", "refused"], work, **address)
        proxy.shut = False
        fault = "" if refused.code == 2 and "TrackingUnreachableError" in refused.output else refused.output[-300:]
        yield Outcome("outages", "before the start", fault)
        # in the middle
        for number, moment in enumerate(moments(count, undisturbed.seconds, 300)):
            process, _ = start([*train, "--segmenter", f"s{number}"], work, **address)
            time.sleep(moment)
            proxy.shut = True
            output, _ = process.communicate(timeout=200)
            proxy.shut = False
            fault = "" if process.returncode in (0, 2) and "Traceback" not in output else output[-300:]
            if not fault and process.returncode == 0:
                sent = nephrite(["upload"], work, **address)
                fault = sent.output[-300:] if sent.code else _check(address["MLFLOW_TRACKING_URI"], work)
            elif not fault and (work / f"s{number}").exists():
                fault = f"a finished training, and still {output[-200:]}"
            yield Outcome("outages", f"after {moment:.1f} s", fault)


def _check(address: str, work: Path) -> str:
    """The last finished run has its card and metrics; nothing is left to be sent."""
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("nephrite")
    assert experiment
    query = "tags.`nephrite.stage` = 'train_segmenter'"
    run = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time DESC"])[0]
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    if run.info.status != "FINISHED" or "validation_score" not in run.data.metrics or not kept:
        return f"the record is not whole: {run.info.status}, {sorted(run.data.metrics)}, {sorted(kept)}"
    return "a spool is left" if list(work.glob("*.record")) else ""


@contextmanager
def _server(work: Path) -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{work}/server.db", "--artifacts-destination", str(work / "kept")]
    with subprocess.Popen(
        command, env=environment(), cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        for _ in range(300):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.2)
        yield port
        server.terminate()


class _Proxy:
    """Passes bytes on until it is shut; then it cuts every connection."""

    def __init__(self, target: int) -> None:
        self.target, self.shut = target, False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])

    def __enter__(self) -> _Proxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            if self.shut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                if self.shut:
                    break
                sink.sendall(part)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
