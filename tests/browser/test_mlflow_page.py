"""MLflow's page in a real browser: `nephrite ui` opens on the arms and their Dice; a verdict names its trial."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as PlaywrightError

from nephrite.metrics.means import mean_scores
from nephrite.metrics.scores import read_scores
from nephrite.stages.report import report
from nephrite.tracking import open_run
from tests.conftest import free_ports
from tests.shown_trial import stage_paths, write_shown_trial

pytestmark = [pytest.mark.servers, pytest.mark.slow]
PATIENCE = 120_000  # ms: a server on a busy machine starts slowly


@pytest.fixture(scope="module")
def address(empty_record: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `nephrite ui` shows a recorded trial, as it prints it; the server runs meanwhile."""
    place = tmp_path_factory.mktemp("recorded")
    uri = f"sqlite:///{shutil.copyfile(empty_record, place / 'mlflow.db')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        # scores and report of a trial, each recorded as its stage does
        layout, config = write_shown_trial(place / "trial")
        for arm in config.trial.arms:
            ours = config.model_copy(update={"arm": arm})
            with open_run(ours, "evaluate") as run:
                scores = read_scores(layout.score(arm))
                run.metrics(mean_scores(ours, scores), step=0)
                run.tags({"segmenter_digest": scores.inputs["segmenter"]})
        with open_run(config, "report") as run:
            run.metrics(report(config, run, **stage_paths(layout)), step=0)
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "nephrite", "ui", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    with (place / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        assert server.stdout
        yield server.stdout.readline().strip()
        server.terminate()
        server.wait()
        server.stdout.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A window on the address, once the server answers."""
    context = browser.new_context(viewport={"width": 1600, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    root = address.partition("/#")[0]
    for _ in range(PATIENCE // 500):
        try:
            page.goto(root)
            break
        except PlaywrightError:  # refused: it does not listen yet
            page.wait_for_timeout(500)
    yield page
    context.close()


def test_the_address_opens_on_the_arms_with_their_dice_the_best_first(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_text("evaluate real+geometric/light/1.0/0").first).to_be_visible(timeout=PATIENCE)
    names = page.get_by_text(re.compile(r"^evaluate real"))
    assert names.count() >= 12  # 4 training sets in 3 cells
    for column in ("dice", "training_set", "replicate"):
        expect(page.get_by_role("columnheader", name=column).first).to_be_visible(timeout=PATIENCE)


def test_a_trial_is_named_by_its_verdict_and_its_note_says_what_it_rests_on(page: Page, address: str) -> None:
    page.goto(address.partition("?")[0])
    trial = page.get_by_role("link", name=re.compile(": (helps|hurts|no evidence|not enough runs)$")).first
    expect(trial).to_be_visible(timeout=PATIENCE)
    trial.click()
    expect(page.get_by_text(re.compile("^(Synthetic data|No evidence)")).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("difference", exact=True).first).to_be_visible(timeout=PATIENCE)
