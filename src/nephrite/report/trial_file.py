"""reports/trial.json as a file: read, brought to the present version, and its JSON schema."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nephrite.config import NULL
from nephrite.errors import StoreError
from nephrite.files import LONGEST_SHOWN, first_problem, read_json
from nephrite.report.trial_record import VERSION, TrialRecord

AGAIN = "run 'report' again"


def read_trial(path: Path) -> TrialRecord:
    """Read trial.json of this version, or of versions 2 and 3; what they lacked is null.

    Raises:
        StoreError: the file is missing or broken, or has another version.
    """
    content = read_json(path, AGAIN)
    version = content.get("version") if isinstance(content, dict) else None
    if version not in (2, 3, VERSION):
        raise StoreError(path, f"has version {str(version)[:LONGEST_SHOWN]}, not {VERSION} (or 2, 3)", AGAIN)
    # older versions are brought up to date, then checked as a whole
    try:
        if version == 2:
            _bring_from_version_2(content)
        if version != VERSION:
            _bring_from_version_3(content)
        _fill_later_fields(content)
        return TrialRecord.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise StoreError(path, first_problem(error), AGAIN) from None
    except (AttributeError, KeyError, TypeError) as error:
        raise StoreError(path, f"is no trial of version {version} ({error!r})", AGAIN) from None


def trial_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of trial.json, as written from `TrialRecord` by `make docs`."""
    text = resources.files("nephrite.report").joinpath("schema", "trial.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _bring_from_version_2(content: dict[str, Any]) -> None:
    """Fill, in place, what version 2 lacked: tables, which sets are copies, and in its first files null arms."""
    for row in _rows(content):
        if row["null"]:
            row["null"].setdefault("arm", None)
    for arm in content["arms"]:
        arm["dice_by_cell"] = None
    sets = (arm["training_set"] for arm in content["arms"])
    content["plan"]["copies"] = {name: name.removesuffix(NULL) for name in sets if name.endswith(NULL)}


def _bring_from_version_3(content: dict[str, Any]) -> None:
    """Rename, in place, what version 3 told of p and intervals; it knew no families, no overlap and no blind masks."""
    for row in _rows(content):
        row["sampled"], row["p_adjusted"] = row.pop("resampled"), row.pop("p_holm")
        row["family"], row["adjusted_low"], row["adjusted_high"] = None, row["low"], row["high"]
        row["measure"] = None
    content |= {"blind": None, "look": None, "questions": [], "version": VERSION}
    content["plan"] |= {"overlap": {}, "judged_on": "test", "metric": "dice", "questions": []}


def _fill_later_fields(content: dict[str, Any]) -> None:
    """Fill, in place, what files of any version lack: they are older than native or given scores, or external sets."""
    for found in content["equivalence"] or ():
        found.setdefault("exponent", None)
    content.setdefault("external", [])
    if content["look"]:
        content["look"].setdefault("external", [])
    content.setdefault("provenance", "recorded")
    content.setdefault("unverifiable", [])
    for arm in content["arms"]:
        arm.setdefault("external", None)
        for scored in (arm, arm["external"]):
            if scored:
                scored.setdefault("native", None)
    asked = [question["measure"] for question in content["plan"]["questions"]]
    asked += [row["measure"] for row in (*_rows(content), *content["questions"], *(content["blind"] or ()))]
    for part in (content["plan"], *filter(None, asked)):
        part.setdefault("where", "home")


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    """All comparisons of a trial."""
    lists = [content[name] for name in ("answers", "answer_by_segmenter", "comparisons", "rivals")]
    lists += [[content["answer"]], *(best["comparisons"] for best in content["best_synthetic"])]
    return [row for rows in lists for row in rows if row]
