"""Whether a run replaces the champion: decided on its test scores, patient by patient. Does not use the registry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from nephrite.config import Name
from nephrite.errors import StoreError
from nephrite.evidence import check_seal
from nephrite.files import as_record
from nephrite.record_fields import Count, Line, NotNegative, PatientId, Share
from nephrite.verdict.statistics import MINIMUM_PATIENTS, Interval, paired_interval

Outcome = Literal["champion", "challenger", "unchanged", "not promoted"]


@dataclass(frozen=True)
class Candidate:
    """A run with its scores on test, as kept in every record of its version.

    Attributes:
        arm: training set, segmenter and cell.
        weights: SHA-256 of the weights file.
        region: whose per-patient 3-D Dice decides.
        dice: test patient to Dice.
        truth_volumes: test patient to milliliters of the region in the reader's label map.
        validation_score: by which the run was chosen.
        run_id: of its training, None where nothing was recorded.
    """

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    arm: Line
    weights: Line
    region: Name
    dice: Annotated[dict[PatientId, Share], Field(min_length=1)]
    truth_volumes: dict[PatientId, NotNegative]
    validation_score: Share
    run_id: Line | None

    @property
    def score(self) -> float:
        """Mean Dice over the test patients."""
        return math.fsum(self.dice.values()) / len(self.dice)

    def same_test(self, other: Candidate) -> bool:
        """Whether both were scored on the same patients and label maps: ids alone may be reused by another data set."""
        return self.truth_volumes.keys() == other.truth_volumes.keys() and all(
            math.isclose(volume, other.truth_volumes[patient], rel_tol=1e-6, abs_tol=1e-6)
            for patient, volume in self.truth_volumes.items()
        )


def _same_patients(candidate: Candidate) -> Candidate:
    if candidate.dice.keys() != candidate.truth_volumes.keys():
        raise ValueError("'dice' and 'truth_volumes' name different patients")
    return candidate


@dataclass(frozen=True)
class PastDecision:
    """What is read of a decision that `promote` once recorded: which version it was about, and its scores."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)  # further fields are for readers

    version: Count
    candidate: Annotated[Candidate, AfterValidator(_same_patients)]


def known_candidate(record: Sequence[Any], version: int) -> Candidate | None:
    """What the record of a version says of its scores, the latest entry; None for one registered by other means.

    Args:
        record: every decision about the version, the oldest first.
        version: its number.

    Raises:
        StoreError: an entry is broken, or was changed after it was written.
    """
    found = None
    for entry in record:
        place, remedy = f"record of model version {version}", "mend it, or move the alias 'champion' by hand"
        past = as_record(entry, PastDecision, place, remedy)
        if "digest" in entry:
            check_seal(entry, place, remedy)
        elif "inputs" in entry:
            raise StoreError(place, "was changed after it was written: it lacks its 'digest'", remedy)
        if past.version == version:
            found = past.candidate
    return found


@dataclass(frozen=True)
class Rules:
    """Rules declared beforehand.

    Attributes:
        floor: for a first champion.
        confidence: of the paired interval, after the price of the look.
        look: its number among all looks at these test patients; None where none is counted.
    """

    floor: float
    confidence: float
    look: int | None = None


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate, why, and the paired interval where there was one."""

    outcome: Outcome
    reason: str
    interval: Interval | None = None


def is_compared(candidate: Candidate, champion: Candidate | Literal["unknown"] | None) -> bool:
    """Whether a decision rests on the scores of both: then it is a look at their test patients."""
    return (
        isinstance(champion, Candidate)
        and champion.weights != candidate.weights
        and champion.region == candidate.region
        and champion.same_test(candidate)
    )


def decide(candidate: Candidate, champion: Candidate | Literal["unknown"] | None, rules: Rules) -> Decision:
    """Champion, challenger, or unchanged.

    A first champion must reach the floor. A later one needs, on the same test patients, a paired interval against the
    present champion that lies above zero.

    Args:
        candidate: the run that asks.
        champion: the run in use; "unknown" if nothing is known of its scores, None if there is none.
        rules: the floor, and the confidence of the interval.
    """
    # no champion: the floor decides
    if champion is None:
        return _against_floor(rules.floor, candidate)
    # scores that cannot be compared decide nothing
    if champion == "unknown":
        return Decision("challenger", "the champion has no record of its scores; move the alias by hand")
    if champion.weights == candidate.weights:
        return Decision("unchanged", "these weights are the champion's")
    if champion.region != candidate.region:
        return Decision("challenger", f"the champion was scored on {champion.region}, this run on {candidate.region}")
    if not champion.same_test(candidate):
        shared = len(champion.dice.keys() & candidate.dice.keys())
        counts = f"{len(champion.dice)} patients, this run on {len(candidate.dice)}, {shared} ids are shared"
        return Decision(
            "challenger", f"the champion was scored on other test patients ({counts}); never promoted without a hand"
        )
    return _against_champion(candidate, champion, rules)


def _against_floor(floor: float, candidate: Candidate) -> Decision:
    compared = f"mean {candidate.region} Dice {candidate.score:.3f}"
    if candidate.score >= floor:
        return Decision("champion", f"there was no champion, and {compared} reaches the floor {floor:g}")
    return Decision("challenger", f"there is no champion, but {compared} is below the floor {floor:g}")


def _against_champion(candidate: Candidate, champion: Candidate, rules: Rules) -> Decision:
    patients = sorted(candidate.dice)
    differences = np.array([[candidate.dice[patient] - champion.dice[patient] for patient in patients]])
    interval = paired_interval(differences, confidence=rules.confidence)
    if interval.low is None or interval.high is None or len(patients) < MINIMUM_PATIENTS:
        reason = f"{len(patients)} test patients are fewer than the {MINIMUM_PATIENTS} that an interval needs"
        return Decision("challenger", reason, interval)
    shown = f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}] over {len(patients)} test patients"
    at = f", at a confidence of {100 * rules.confidence:.4g}% (look {rules.look})" if rules.look else ""
    if interval.low > 0:
        return Decision("champion", f"better than the champion by {shown}{at}", interval)
    return Decision("challenger", f"the difference to the champion, {shown}, is not above zero{at}", interval)
