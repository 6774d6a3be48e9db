"""Write docs/images/*.png, the screenshots of the documentation: `make screenshots`.

A small trial of drawn patients runs in a folder of its own (minutes), and is then looked at in a real browser. An
argument names a folder in which this script has left a trial before.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from nephrite.phantom.phantom import write_patient

ROOT = Path(__file__).resolve().parent.parent
IMAGES, SETTINGS = ROOT / "docs" / "images", ROOT / "params.yaml"
SMALLER = (  # than the demo
    "acquire.phantom.matrix=128",
    "train_gan.drawn.method={kind: phantom_patients, matrix: 128}",
    "train_gan.pix2pix.epochs=12",
    "screen.steps=100",
    "train_segmenter.epochs=2",
)
SIZE, WIDE = (1280, 800), (1600, 800)  # pixels; wide: MLflow's page
COLORS, LARGEST = 256, 200_000  # of the palette: with fewer, outlines of two arms look the same; bytes of a picture
INSPECTED, ODD = (0, 3, 5), 3  # drawn patients for the inspection, and the one whose scan is damaged
NEPHRITE = [sys.executable, "-m", "nephrite"]
STUDY = ("--painter", "pix2pix/0.14/0", "--reader", "anna", "--slices", "10")
PATIENCE = 30_000  # ms


def main() -> None:
    """Run the trial if none is named, and take the pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(sys.argv[1]) if sys.argv[1:] else Path(scratch)
        trial = place / "results" / SETTINGS.stem
        if not (trial / "promotion").is_dir():
            settings = [word for each in SMALLER for word in ("--set", each)]
            command = [*NEPHRITE, "trial", "--params", str(SETTINGS), *settings]
            subprocess.run(command, cwd=place, check=True, env=_surroundings())
        path = next(
            found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))
        )
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
            show_report(browser, trial / "reports" / "report.html")
            show_inspection(browser, Path(scratch))
            with served(place, "ui") as address:
                show_mlflow(browser, address, trial_run(place))
            study = ["--params", str(SETTINGS), "--folder", str(trial), *STUDY, "--out", str(Path(scratch) / "study")]
            with served(place, "reader-study", *study) as address:
                show_reader_study(browser, address)
            browser.close()


def show_report(browser: Browser, file: Path) -> None:
    """The report with the slices of the first patient open."""
    page = opened(browser, file.as_uri())
    page.locator("#patients ~ table").first.get_by_role("button", name="case_").first.click()
    page.locator("svg.slice image").wait_for()
    page.locator("#patients").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#patients').scrollIntoView()")
    save(page, "report")


def show_inspection(browser: Browser, scratch: Path) -> None:
    """What `nephrite inspect` writes of scans, one of which has slices that repeat."""
    raw = scratch / "my-scans"
    for number in INSPECTED:
        write_patient(raw, 7, number)
    path = raw / f"case_{ODD:05d}" / "imaging.nii.gz"
    scan = nib.nifti1.load(path)
    voxels = np.asarray(scan.dataobj).copy()
    middle = len(voxels) // 2
    voxels[middle : middle + 5] = voxels[middle]
    nib.nifti1.save(nib.nifti1.Nifti1Image(voxels, scan.affine, scan.header), path)
    words = ["inspect", str(raw), "--class", "1=kidney", "--class", "2=tumor", "--out", "inspection.html"]
    subprocess.run([*NEPHRITE, *words], cwd=scratch, check=False, env=_surroundings())  # 1: something is refused
    save(opened(browser, (scratch / "inspection.html").as_uri()), "inspection")


def show_mlflow(browser: Browser, address: str, trial: str) -> None:
    """MLflow's page: the arms as a table, the trial's run, the registered model."""
    root, experiment = address.partition("/#")[0], address.partition("/runs")[0]
    page = opened(browser, root, WIDE)
    page.goto(address)
    page.get_by_text("evaluate real").first.wait_for()
    tidy(page)
    save(page, "mlflow-arms")
    page.goto(f"{experiment}/runs/{trial}")
    page.get_by_text("Below this run").first.wait_for()
    save(page, "mlflow-trial")
    page.goto(f"{root}/#/models/nephrite-segmenter/versions/1")
    page.get_by_text("Intended use").first.wait_for()
    save(page, "mlflow-model")


def show_reader_study(browser: Browser, address: str) -> None:
    """The page on which a reader judges a slice."""
    page = opened(browser, address)
    page.locator("#frame[aria-busy=false]").wait_for()
    save(page, "reader-study")


def tidy(page: Page) -> None:
    """Close what MLflow opens by itself: its assistant, and the note on a shared view."""
    page.get_by_role("button", name="Exit shared view").locator("xpath=following-sibling::button").click()
    page.locator('[data-component-id="mlflow.assistant.chat_panel.close"]').click()


def trial_run(place: Path) -> str:
    """Id of the run of the whole trial."""
    with sqlite3.connect(place / "mlflow.db") as record:
        found: tuple[str] = record.execute("select run_uuid from runs where name like 'phantom: %'").fetchone()
    return found[0]


@contextmanager
def served(place: Path, *command: str) -> Iterator[str]:
    """The address that a command prints first, while its server runs and answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*NEPHRITE, *command, "--port", str(port)]
    with subprocess.Popen(
        words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_surroundings()
    ) as server:
        try:
            assert server.stdout
            address = server.stdout.readline().strip()
            deadline = time.monotonic() + 4 * PATIENCE / 1000
            while time.monotonic() < deadline and not _answers(port):
                time.sleep(0.5)
            yield address
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def opened(browser: Browser, address: str, size: tuple[int, int] = SIZE) -> Page:
    """A window of some size on an address."""
    page = browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    return page


def save(page: Page, name: str) -> None:
    """Keep what a window shows, in few colors."""
    page.wait_for_timeout(1000)  # what is still fading in
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = IMAGES / f"{name}.png"
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than {LARGEST}: take fewer colors")


def _surroundings() -> dict[str, str]:
    """The environment, in which runs are recorded in the working folder."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")}


if __name__ == "__main__":
    main()
