"""A model behind HTTP: the command of `make serve`, and the client of examples/serve."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests

from nephrite.phantom.phantom import write_patient
from tests.stages.test_predict import SIZE, expected, register

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "examples" / "serve" / "segment_by_http.py"
pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def address(record: str) -> Iterator[str]:
    """Where the registered champion answers."""
    register()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # as `make serve` starts it
    (line,) = re.findall(r"mlflow (models serve .*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    text = line.replace("$(MODEL)", "models:/nephrite-segmenter@champion").replace("$(SERVE_PORT)", str(port))
    words = [str(Path(sys.executable).with_name("mlflow")), *shlex.split(text)]
    with Path("server.txt").open("w") as told, subprocess.Popen(words, stdout=told, stderr=told) as server:
        until = time.monotonic() + 300
        while time.monotonic() < until and server.poll() is None:
            try:
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=1).ok:
                    break
            except requests.RequestException:
                time.sleep(0.3)
        else:
            pytest.fail(Path("server.txt").read_text())
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def test_a_served_model_gives_the_label_map_of_a_scan(address: str, tmp_path: Path) -> None:
    write_patient(tmp_path / "raw", 19, 0, matrix=SIZE)
    (scan,) = (tmp_path / "raw").rglob("imaging.nii.gz")
    done = subprocess.run(
        [sys.executable, CLIENT, scan, "mask.nii.gz", address], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    image, mask = nib.Nifti1Image.from_filename(scan), nib.Nifti1Image.from_filename("mask.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), expected(image))
    assert np.allclose(mask.affine, image.affine)
