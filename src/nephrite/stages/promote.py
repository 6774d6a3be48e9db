"""The best run of a report into the registry: always as challenger, as champion only on evidence."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from nephrite import __version__
from nephrite.config import Arm, Config
from nephrite.errors import StoreError, TrackingError
from nephrite.evidence import EVIDENCE, Evidence, check_files, read_sealed, sealed, tell_older
from nephrite.files import write_json
from nephrite.look_ledger import marks_of, promotion_look, take_look
from nephrite.metrics.persons import scores_of_persons
from nephrite.model_version import RECIPE, ModelVersion
from nephrite.recording import Run
from nephrite.registration import recipe_of, register_run
from nephrite.registry import CHALLENGER, CHAMPION, Registry
from nephrite.report.trial_file import AGAIN, read_trial
from nephrite.segmentation.artifacts import TrainedSegmenter, load_segmenter
from nephrite.segmentation.scoring import score_patients
from nephrite.store.slices import PairStore
from nephrite.verdict.promotion import Candidate, Decision, Rules, decide, known_candidate

logger = logging.getLogger(__name__)
TRIAL = "trial.json"
NOTHING = "nothing is registered or promoted"
FOR_DEVELOPMENT = "the report is for development (trial.judged_on: validation)"  # weights were chosen by its patients
JUDGE_AGAIN = "run 'evaluate' and 'report' again"


def promote(
    config: Config, run: Run, *, report: Path, segmenters: Path, promotion: Path, pairs: Path | None = None
) -> dict[str, float]:
    """Register the best run as challenger, and as champion if it beats the present one on the same test patients.

    The decision is written to `promotion` and appended, with its evidence, to the record of the versions concerned.
    Weights that are registered already get no second version. Before a run becomes champion, its weights are scored
    once more on the test patients of `pairs`, if that is given.

    Raises:
        StoreError: report or segmenter are missing, broken, changed, or do not belong together; or the weights do not
            have the scores that the report gives them.
        TrackingError: the registry refused something, or another promotion changed the champion meanwhile.
    """
    # candidate and champion
    evidence = read_evidence(report)
    trained, candidate = read_candidate(report / TRIAL, segmenters, evidence)
    inputs = {"segmenter": trained.card.digest, **({"report": evidence.digest} if evidence else {})}
    trial = read_trial(report / TRIAL)
    objection = FOR_DEVELOPMENT if trial.plan.judged_on == "validation" else trained.card.objection
    if objection:
        tags = {"judged_on": trial.plan.judged_on}
        return _decline(config, run, candidate, inputs, promotion, reason=f"{objection}: {NOTHING}", tags=tags)
    registry = Registry(config.promote.model)
    champion = registry.aliased(CHAMPION)
    rival: Candidate | Literal["unknown"] | None = None
    if champion:
        rival = known_candidate(registry.record(champion), champion.number) or "unknown"
    # decide by scores alone, then register
    marks = trial.look.patients if trial.look else marks_of(PairStore(pairs), trial.plan.judged_on) if pairs else ()
    wanted = promotion_look(config, candidate, rival, marks)
    taken = take_look(run, pairs, wanted, alpha=1 - config.report.confidence) if wanted else None
    left = 1 - taken.level if taken else config.report.confidence
    rules = Rules(config.promote.floor, left, taken.look.number if taken else None)
    decision = decide(candidate, rival, rules)
    root = segmenters / candidate.arm
    rescored = score_again(config, root, candidate, report, pairs) if decision.outcome == "champion" else None
    known = registry.with_weights(candidate.weights)
    version = known or register_run(config, run, registry, candidate, trained=trained, trial=trial, root=root)
    if RECIPE not in version.tags:  # registered before versions carried one
        version = registry.tag(version, {RECIPE: recipe_of(config, trained.card)})
    version.check_tags(f"model '{registry.name}' version {version.number}")
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
        "rescored": rescored,
        "software": __version__,
        "notes": taken.notes if taken else (),
        "inputs": inputs,
    }
    # aliases move last
    _apply(registry, decision, record, version, champion)
    write_json(promotion, sealed(record))
    run.artifact(promotion)
    run.tags({"model": registry.name, "model_version": str(version.number), "decision": decision.outcome})
    return _metrics(candidate, version, decision)


def _decline(
    config: Config,
    run: Run,
    candidate: Candidate,
    inputs: Mapping[str, str],
    promotion: Path,
    *,
    reason: str,
    tags: Mapping[str, str],
) -> dict[str, float]:
    """Record that nothing is promoted, and why."""
    logger.warning("promote: %s", reason)
    record = {
        "format": 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": config.promote.model,
        "version": 0,
        "decision": "not promoted",
        "reason": reason,
        "interval": None,
        "candidate": asdict(candidate),
        "champion_version": None,
        "champion": None,
        "software": __version__,
        "inputs": inputs,
    }
    write_json(promotion, sealed(record))
    run.artifact(promotion)
    run.tags({"decision": "not promoted", **tags})
    return {"champion": 0.0, f"{candidate.region}_dice": candidate.score}


def read_evidence(report: Path) -> Evidence | None:
    """The record of a report, whose files are as it says; None for a report that an older version wrote.

    Raises:
        StoreError: the record or a file was changed.
    """
    path = report / EVIDENCE
    if not path.is_file():
        tell_older(path)
        return None
    evidence = read_sealed(path, Evidence, AGAIN)
    check_files(report, evidence.files, AGAIN)
    return evidence


def read_candidate(
    path: Path, segmenters: Path, evidence: Evidence | None = None
) -> tuple[TrainedSegmenter, Candidate]:
    """The best run of trial.json, with its segmenter.

    Args:
        path: of trial.json.
        segmenters: folder of all segmenters.
        evidence: the record of the report, which names the segmenters that were scored.

    Raises:
        StoreError: one of them is missing, broken or of another version, or the segmenter was trained again after it
            was scored.
    """
    # the best run of the trial, by validation
    trial = read_trial(path)
    best = trial.best_run
    if best is None:
        finding = f"was judged on scores that were made elsewhere (provenance: {trial.provenance}): no run is known"
        raise StoreError(path, finding, "promote a trial of Nephrite's own; nothing else can be")
    arm = str(Arm(training_set=best.training_set, segmenter=best.segmenter, fraction=best.fraction, cell=best.cell))
    trained = load_segmenter(segmenters / arm)
    # its weights must be those that were scored
    card, validation = trained.card, best.validation_score
    if card.arm != arm or not math.isclose(card.validation_score, validation, abs_tol=1e-6):
        finding = f"is of {arm} with validation score {validation:.6f}, the segmenter of {card.arm} with "
        raise StoreError(path, f"{finding}{card.validation_score:.6f}", JUDGE_AGAIN)
    if evidence and evidence.inputs.get(f"segmenters/{arm}", card.digest) != card.digest:
        raise StoreError(segmenters / arm, "is not the segmenter that was scored", JUDGE_AGAIN)
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


def score_again(
    config: Config, segmenter: Path, candidate: Candidate, report: Path, pairs: Path | None
) -> dict[str, object] | None:
    """Score the candidate's weights on the test patients, and compare with what the report says of them.

    Returns:
        What the record keeps of it; None where it is switched off, or no slices are at hand.

    Raises:
        StoreError: the slices are not those that it was trained and scored on, or a score differs.
    """
    # only where it is wanted, and the slices are at hand
    if not config.promote.rescore:
        return None
    if pairs is None:
        logger.warning("promote: %s is not scored again, since no '--pairs' is given", candidate.arm)
        return None
    # read anew: scoring moves the network to its device, and what is registered is on the processor
    store, trained = PairStore(pairs).of_one_channel(), load_segmenter(segmenter)
    if trained.card.pairs != store.manifest.digest:
        finding = f"are not the slices that the segmenter of {candidate.arm} was trained and scored on"
        raise StoreError(pairs, finding, "name those with '--pairs', or train it again")
    # the same region of the same patients
    known = {name: value for name, value in config.evaluate.regions.items() if name == candidate.region}
    if not known:
        finding = f"decided by '{candidate.region}', which is not among 'evaluate.regions'"
        raise StoreError(report / TRIAL, finding, "name the params file of this trial with '--params'")
    known_again = scores_of_persons(score_patients(config, store, trained))
    scores = {each.patient: each.regions[candidate.region] for each in known_again}
    if scores.keys() != candidate.dice.keys():
        odd = ", ".join(sorted(scores.keys() ^ candidate.dice.keys())[:5])
        raise StoreError(report / TRIAL, f"its test patients are not those of {pairs}: {odd}", JUDGE_AGAIN)
    # no patient may differ
    for patient, told in candidate.dice.items():
        found, most = scores[patient], config.promote.tolerance
        if abs(found.dice - told) > most:
            finding = f"says Dice {told:.4f} of '{patient}', and the weights of {candidate.arm} score {found.dice:.4f}"
            raise StoreError(report / TRIAL, f"{finding} (promote.tolerance {most:g})", JUDGE_AGAIN)
        if not math.isclose(found.truth_volume, candidate.truth_volumes[patient], rel_tol=1e-6, abs_tol=1e-6):
            raise StoreError(report / TRIAL, f"was judged by other label maps of '{patient}'", JUDGE_AGAIN)
    largest = max(abs(scores[patient].dice - told) for patient, told in candidate.dice.items())
    return {"pairs": store.manifest.digest, "largest_difference": largest, "tolerance": config.promote.tolerance}


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
