"""How the best run of a trial becomes a version of a registered model: its tags, its recipe, its page."""

from __future__ import annotations

from pathlib import Path

from nephrite.commit import code_state
from nephrite.config import Config
from nephrite.imaging.recipe import Recipe
from nephrite.lineage import trial_id
from nephrite.mlflow_client import connect, known_run
from nephrite.mlflow_models import ModelPage
from nephrite.model_version import RECIPE, ModelVersion
from nephrite.recording import Run
from nephrite.registry import Registry
from nephrite.report.model_card import Made, model_card
from nephrite.report.trial_record import TrialRecord
from nephrite.segmentation.artifacts import SegmenterCard, TrainedSegmenter
from nephrite.verdict.promotion import Candidate


def register_run(
    config: Config,
    run: Run,
    registry: Registry,
    candidate: Candidate,
    *,
    trained: TrainedSegmenter,
    trial: TrialRecord,
    root: Path,
) -> ModelVersion:
    """Make a version of a trial's best run, below the run that trained it, with a card that says what it is.

    Args:
        config: settings.
        run: of the promotion; the version belongs to it where the run of the training is not known here.
        registry: of the model's name.
        candidate: the run with its scores.
        trained: its segmenter.
        trial: the report that chose it.
        root: folder of the segmenter.
    """
    card = trained.card
    tags = {
        "weights": candidate.weights,
        "arm": candidate.arm,
        "trial_id": trial_id(config),
        "training_run": candidate.run_id or "",
        "classes": ", ".join(f"{value} {name}" for value, name in card.classes.items()),
        "channels": ", ".join(card.channels),
        "intensity": ", ".join(f"{key} {value}" for key, value in card.intensity.model_dump().items()),
        "in_plane": ", ".join(f"{key} {value}" for key, value in card.in_plane.model_dump().items()),
        "threshold": str(card.threshold),
        RECIPE: recipe_of(config, card),
        "commit": code_state().commit or "",
        "nephrite": card.version,
    }
    # a graph that runs without this package; else the folder, for its own program
    kept_in = known_run(connect(), card.run_id) or run.id
    page = ModelPage(_card(config, trial, card), _scores(candidate), card.pairs)
    graph = trained.trained.backend.exported(trained.trained, card.in_plane.size)
    if graph is None:
        return registry.register_folder(root, card.digest, run_id=kept_in, tags=tags, page=page)
    shape = {"channels": len(card.channels), "size": graph.size}
    return registry.register(graph.network, **shape, run_id=kept_in, tags=tags, page=page)


def recipe_of(config: Config, card: SegmenterCard) -> str:
    """What `predict` must know of a segmenter, as text."""
    seen = (card.classes, card.channels, card.intensity, card.in_plane, card.threshold)
    return Recipe(*seen, card.window, config.evaluate.mirroring, card.volumes).to_text()


def _scores(candidate: Candidate) -> dict[str, float]:
    """What the version's page shows: means over the test patients, and what it was chosen by."""
    return {"test_dice": candidate.score, "validation_score": candidate.validation_score}


def _card(config: Config, trial: TrialRecord, card: SegmenterCard) -> str:
    """The model card."""
    made = Made(
        name=config.promote.model,
        arm=card.arm,
        classes=card.classes,
        channels=card.channels,
        labels=len({*card.training_patients, *card.choosing_patients}),
        masked=len(card.masked_patients),
        synthesizer=card.synthesizer,
        window=card.intensity.model_dump(),
        grid=card.in_plane.model_dump(),
        intended_use=config.promote.intended_use,
        data=config.promote.data_and_license,
    )
    return model_card(trial, made)
