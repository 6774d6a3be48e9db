"""The best run of a report into the registry: always as challenger, as champion only on evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from nephrite import __version__
from nephrite.commit import code_state
from nephrite.config import Arm, Config
from nephrite.errors import StoreError, TrackingError
from nephrite.files import write_json
from nephrite.imaging.recipe import Recipe
from nephrite.lineage import trial_id
from nephrite.recording import Run
from nephrite.registry import CHALLENGER, CHAMPION, RECIPE, ModelVersion, Registry
from nephrite.report.trial_file import read_trial
from nephrite.segmentation.artifacts import SegmenterCard, TrainedSegmenter, load_segmenter
from nephrite.verdict.promotion import Candidate, Decision, Rules, decide


def promote(config: Config, run: Run, *, report: Path, segmenters: Path, promotion: Path) -> dict[str, float]:
    """Register the best run as challenger, and as champion if it beats the present one on the same test patients.

    The decision is written to `promotion` and appended, with its evidence, to the record of the versions concerned.
    Weights that are registered already get no second version.

    Raises:
        StoreError: report or segmenter are missing, broken, or do not belong together.
        TrackingError: the registry refused something, or another promotion changed the champion meanwhile.
    """
    # candidate and champion
    trained, candidate = read_candidate(report / "trial.json", segmenters)
    registry = Registry(config.promote.model)
    champion = registry.aliased(CHAMPION)
    rival: Candidate | Literal["unknown"] | None = None
    if champion:
        rival = known_candidate(registry, champion) or "unknown"
    # decide by scores alone, then register
    rules = Rules(config.promote.floor, config.report.confidence, config.report.resamples, config.trial.seed)
    decision = decide(candidate, rival, rules)
    version = registry.with_weights(candidate.weights) or _register(config, run, registry, trained, candidate)
    if RECIPE not in version.tags:  # registered before versions carried one
        registry.tag(version, {RECIPE: _recipe(trained.card)})
    # record of the decision, with everything that it rests on
    record = {
        "format": 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": registry.name,
        "version": version.number,
        "decision": decision.outcome,
        "reason": decision.reason,
        "interval": asdict(decision.interval) if decision.interval else None,
        "candidate": asdict(candidate),
        "champion_version": champion.number if champion else None,
        "champion": asdict(rival) if isinstance(rival, Candidate) else None,
        "rules": asdict(rules),
        "software": __version__,
    }
    # aliases move last
    _apply(registry, decision, record, version, champion)
    write_json(promotion, record)
    run.artifact(promotion)
    run.tags({"model": registry.name, "model_version": str(version.number), "decision": decision.outcome})
    return _metrics(candidate, version, decision)


def read_candidate(path: Path, segmenters: Path) -> tuple[TrainedSegmenter, Candidate]:
    """The best run of trial.json, with its segmenter.

    Raises:
        StoreError: one of them is missing, broken or of another version, or the segmenter was trained again after it
            was scored.
    """
    # the best run of the trial, by validation
    trial = read_trial(path)
    best = trial.best_run
    arm = str(Arm(training_set=best.training_set, segmenter=best.segmenter, fraction=best.fraction, cell=best.cell))
    trained = load_segmenter(segmenters / arm)
    # its weights must be those that were scored
    card, validation = trained.card, best.validation_score
    if card.arm != arm or not math.isclose(card.validation_score, validation, abs_tol=1e-6):
        finding = f"is of {arm} with validation score {validation:.6f}, the segmenter of {card.arm} with "
        raise StoreError(path, f"{finding}{card.validation_score:.6f}", "run 'evaluate' and 'report' again")
    candidate = Candidate(
        arm=arm,
        weights=trained.trained.backend.identity(segmenters / arm),
        region=trial.plan.region,
        dice=dict(best.dice_by_patient),
        truth_volumes=dict(best.truth_volume_by_patient),
        validation_score=validation,
        run_id=card.run_id,
    )
    return trained, candidate


def known_candidate(registry: Registry, version: ModelVersion) -> Candidate | None:
    """What a version's record says of its scores, the latest entry; None for one that was registered by other means."""
    found = [entry["candidate"] for entry in registry.record(version) if entry["version"] == version.number]
    if not found:
        return None
    try:
        return TypeAdapter(Candidate).validate_python(found[-1])
    except ValidationError:
        return None


def _register(
    config: Config, run: Run, registry: Registry, trained: TrainedSegmenter, candidate: Candidate
) -> ModelVersion:
    # a graph that runs without this package
    card = trained.card
    exported = trained.trained.backend.exported(trained.trained, card.in_plane.size)
    if exported is None:
        finding = f"is of kind '{card.settings.kind}', which is no graph that the registry could keep"
        raise StoreError(f"segmenter {card.arm}", finding, "leave 'promote' out, or use the segmenter's own program")
    # what a reader must know to use it
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
        RECIPE: _recipe(card),
        "commit": code_state().commit or "",
        "nephrite": card.version,
    }
    network, size = exported
    return registry.register(network, channels=len(card.channels), size=size, run_id=run.id, tags=tags)


def _recipe(card: SegmenterCard) -> str:
    """What `predict` must know of a segmenter, as text."""
    return Recipe(card.classes, card.channels, card.intensity, card.in_plane, card.threshold).to_text()


def _apply(
    registry: Registry,
    decision: Decision,
    record: Mapping[str, Any],
    version: ModelVersion,
    champion: ModelVersion | None,
) -> None:
    """The evidence first, then the aliases: what is in use always has its record."""
    with registry.one_decision():
        # the decision holds for the champion that it was made against
        found = registry.aliased(CHAMPION)
        if (found and found.number) != (champion and champion.number):
            finding = f"has another champion since this decision began (version {found.number if found else 'none'})"
            raise TrackingError(f"model '{registry.name}'", finding, "run 'promote' again")
        registry.append(version, record)
        registry.point(CHALLENGER, version)
        if decision.outcome == "champion":
            if champion:
                registry.append(champion, {**record, "decision": f"replaced by version {version.number}"})
            registry.point(CHAMPION, version)


def _metrics(candidate: Candidate, version: ModelVersion, decision: Decision) -> dict[str, float]:
    metrics = {
        "model_version": float(version.number),
        "champion": float(decision.outcome != "challenger"),
        f"{candidate.region}_dice": candidate.score,
    }
    if decision.interval:
        bounds = asdict(decision.interval).items()
        metrics |= {f"difference_{name}": value for name, value in bounds if value is not None}
    return metrics
