from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from nephrite.config import Config
from nephrite.registry import CHAMPION, Registry
from nephrite.segmentation.artifacts import write_card
from nephrite.stages.promote import promote
from nephrite.tracking import open_run
from tests.stages.test_promote import ARM, MODEL, Trial, card

Load = Callable[..., Config]


def promoted(config: Config, folder: Path, training: str | None) -> str:
    """Promote a run that was trained in the run `training`; the id of the run of the promotion."""
    trial = Trial(folder)
    trial.train(seed=1, dice=0.5)
    write_card(trial.paths["segmenters"] / str(ARM), replace(card(0.6), run_id=training), [])
    with open_run(config, "promote") as run:
        promote(config, run, **trial.paths)
        return str(run.id)


@pytest.mark.parametrize("known", [True, False])
def test_a_model_belongs_to_the_run_that_trained_it_if_this_store_knows_it(
    known: bool, record: str, load: Load, tmp_path: Path
) -> None:
    with open_run(load(), "train_segmenter") as run:
        training = str(run.id)
    other = promoted(load(), tmp_path, training if known else "f" * 32)
    version = Registry(MODEL).required(CHAMPION)
    client = MlflowClient(record)
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    assert model.source_run_id == (training if known else other)
    # its page has scores and the data that they are of
    scores = {metric.key: metric for metric in model.metrics or ()}
    assert scores["test_dice"].value == pytest.approx(0.535)
    assert scores["validation_score"].value == pytest.approx(0.6)
    assert (scores["test_dice"].dataset_name, scores["test_dice"].dataset_digest) == ("pairs", "digest")


def test_a_version_has_a_card(record: str, load: Load, tmp_path: Path) -> None:
    config = load("promote.intended_use=Research.", "promote.data_and_license=Made up.")
    promoted(config, tmp_path, None)
    version = Registry(MODEL).required(CHAMPION)
    shown = MlflowClient(record).get_model_version(MODEL, str(version.number)).description
    model = MlflowClient(record).get_logged_model(version.source.removeprefix("models:/"))
    assert model.tags["mlflow.note.content"] == shown
    for words in (
        "## Intended use\n\nResearch.",
        "Made up.",
        f"`{ARM}`",
        "Labels of 1 patient.",
        "| all | 8 | 0.535 |",
    ):
        assert words in shown
    assert [path.read_text() for path in tmp_path.rglob("MODEL_CARD.md")] == [shown]
