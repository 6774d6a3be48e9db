"""Write docs/trial-json.md and the JSON schema of trial.json from the model of its record: `make docs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from nephrite.report.arm_record import ArmRecord, ExternalRecord, RegionRecord
from nephrite.report.comparison_record import (
    BestSyntheticRecord,
    BlindRecord,
    ComparisonRecord,
    CurvePointRecord,
    EquivalenceRecord,
    MeasureRecord,
    NullRecord,
    Record,
)
from nephrite.report.trial_record import (
    VERSION,
    BestRunRecord,
    LookRecord,
    PlanRecord,
    QuestionRecord,
    TrialRecord,
)

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "trial-json.md"
SCHEMA = ROOT / "src" / "nephrite" / "report" / "schema" / "trial.schema.json"
SECTIONS: dict[str, type[Record]] = {
    "Top level": TrialRecord,
    "The plan": PlanRecord,
    "A look": LookRecord,
    "A further question": QuestionRecord,
    "A measure": MeasureRecord,
    "A comparison": ComparisonRecord,
    "A null": NullRecord,
    "A best synthetic set": BestSyntheticRecord,
    "An equivalence": EquivalenceRecord,
    "A point of a curve": CurvePointRecord,
    "An arm": ArmRecord,
    "An arm on the external test set": ExternalRecord,
    "A region of an arm": RegionRecord,
    "A blind baseline": BlindRecord,
    "The best run": BestRunRecord,
}
HEAD = f"""# reports/trial.json

The report as data: everything that `report.md` and its pictures say is read from this file. From Python,
`nephrite.report.trial_file.read_trial(path)` gives it as `nephrite.report.trial_record.TrialRecord`, with the names
below. Its schema is `src/nephrite/report/schema/trial.schema.json` (JSON Schema 2020-12); from Python,
`nephrite.report.trial_file.trial_schema()`. Schema and tables are written by `make docs` from that model; do not edit
by hand.

All numbers are finite; what is not defined is `null`. Dice, surface Dice, IoU and differences are shares (0 to 1),
distances are millimeters, `capstone_iou` and `predict_nothing` are percent.

**Versions.** This is version {VERSION}. Versions 2 and 3 are read, too. Their `p` is that of Wilcoxon's test over
patients, `p_adjusted` is Holm's, and their intervals are of a bootstrap and not adjusted; they lack `blind`, version 2
also `dice_by_cell`, and in its first files `arm` of a null, which are `null` then. What was written before there were
external test sets has none: `where` is `home`. Any other version is refused;
`report` writes the file again from the scores.

## What the numbers mean

**Verdict.** Fewer than 3 replicates (*cells*): `not enough runs`, whatever the numbers. Else fewer than 8 test
patients: `no evidence`, since such an interval depends on one or two patients. Else `helps` if the adjusted interval
(for the headline: its own) lies above zero, `hurts` if below, `no evidence` if it holds zero.

**Interval and p.** Cells and patients are both a sample: two-way random effects, tested as in reader studies (Hillis
2007) with Student's t. `p` and interval are of the same model, so `p` is below 1 - `confidence` exactly where the
interval excludes zero. [The trial](trial.md#the-mathematics) has the formula, its sources, and how often the interval
holds the truth in simulated trials (`pytest tests/trial`).

What the interval does not cover: other segmenters (those of the trial are averaged, not sampled), and other hospitals
than those whose patients were scored.

**Another hospital.** `external` names the patients of an external test set. Their scores stand in `external` of each
arm; all else in an arm is of the trial's own patients. `plan.where` says whom the headline is about, `where` of a
measure the same of any other question. A comparison without a measure is by the plan's.
Cells that share training patients (`overlap` of the plan) get a longer interval, up to an overlap of 1: then all cells
have the same training patients, and the trial speaks for these alone.

**Development.** A report with `plan.judged_on: validation` is for choosing recipes: its patients chose the weights of
every arm, so its scores are optimistic. Its headline begins with `Development`. It is no look, and never promoted.

**Looks.** The k-th look at a set of test patients is judged at alpha / (k (k + 1)); `plan.confidence` is what that
leaves of the declared one in `look`. [The trial](trial.md#looks) says what counts as a look.

**Null.** An A/A comparison: the difference when nothing changed but chance. Where the trial has an A/A arm (*null
arm*) of `against` (`arm` names it), `mean`, `low` and `high` are those of null arm minus arm, paired by cell and test
patient as any comparison; `typical` (root mean square) and `largest` are over the mean differences of its `pairs` of
runs, one per cell, which are the `trial_pairs` too. Without one (`arm` is `null`) they are those of a trial of the
arm against itself in other cells: cell 0 minus cell 1, cell 2 minus cell 3 and so on, paired by test patient, each
pair taken as a cell (`trial_pairs` of them, in the order of the cells; an odd last cell is left out). The interval
should hold zero. Since there are half as many pairs as cells, it is longer than that of a comparison; with 2 or 3
cells there is one pair, the interval covers patients only, and may lie off zero by the chance of one run. At label
fractions below 1 other cells also know other patients, which the arms of one cell never do. Then `typical` and
`largest` are differences of mean scores over all `pairs` of cells.

**Families.** `answer`, an entry of `answers`, is the headline and judged alone. The question at other label fractions
and for single segmenters is one family, all other comparisons are another; each is adjusted as a whole by the
distribution of its smallest p (max-T; Westfall and Young 1993). `p_adjusted` is below 1 - `confidence` exactly where
`adjusted_low` and `adjusted_high` exclude zero, and `verdict` follows these. A comparison that stands in several lists
is the same in all of them. Where a plan has several fractions, the headline is that at `plan.fraction`.

**Empty regions.** Both the prediction and the truth empty: Dice 1, surface Dice 1, HD95 0. Exactly one empty: Dice 0,
surface Dice 0, HD95 not defined and left out of its mean. So HD95 does not penalize an arm that misses a tumor
altogether: read it with `hd95_defined`. A region that a patient has in the scan, and of which nothing is left on the
grid, counts as missed whatever was found: Dice 0, surface Dice 0, HD95 not defined; its volume is that in the scan.

## To analyze a trial again

`dice_by_cell` holds the Dice of every cell and test patient, so mean and interval of a comparison can be computed
from the file alone, or those of another region or by another method:

<!-- not run: needs a report; tests/report/test_trial_file.py runs it -->
```python
from pathlib import Path

from nephrite.report.trial_file import read_trial
from nephrite.verdict.statistics import paired_interval

trial = read_trial(Path("reports/trial.json"))
plan, row = trial.plan, trial.comparisons[0]
table = trial.differences(row)  # rows: row.cells, columns: trial.headline_patients
interval = paired_interval(table, confidence=plan.confidence, overlap=plan.overlap.get(row.fraction, 0.0))
```
"""


class _WithoutTitles(GenerateJsonSchema):
    """A field's title would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_text() -> str:
    """The JSON schema as it is shipped in the package."""
    found = TrialRecord.model_json_schema(mode="serialization", schema_generator=_WithoutTitles)
    found = {"$schema": GenerateJsonSchema.schema_dialect, **found, "title": "Nephrite trial"}
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """The whole page as Markdown."""
    kinds = json.loads(schema_text())
    properties = {model: kinds["$defs"].get(model.__name__, kinds)["properties"] for model in SECTIONS.values()}
    return HEAD + "".join(_section(title, model, properties[model]) for title, model in SECTIONS.items())


def _section(title: str, model: type[Record], properties: dict[str, Any]) -> str:
    about = "" if model is TrialRecord else f"{' '.join((model.__doc__ or '').split())}\n\n"
    rows = "".join(_row(name, field, properties[name]) for name, field in model.model_fields.items())
    return f"\n## {title}\n\n{about}| key | value | meaning |\n|---|---|---|\n{rows}"


def _row(name: str, field: FieldInfo, schema: dict[str, Any]) -> str:
    return f"| `{name}` | {_kind(schema)} | {field.description} |\n"


def _kind(schema: dict[str, Any]) -> str:
    """A JSON type in words, with a link where it is an object of its own."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        items = schema.get("prefixItems")
        return f"list of ({', '.join(map(_kind, items))})" if items else f"list of {_inner(schema['items'])}"
    if schema["type"] == "object":
        return f"map of text to {_inner(schema['additionalProperties'])}"
    names = {"integer": "whole number", "string": "text", "boolean": "true or false"}
    return ", ".join([names.get(schema["type"], schema["type"]), *_limits(schema)])


def _inner(schema: dict[str, Any]) -> str:
    """What a list or map holds, in brackets where it is more than a name."""
    kind = _kind(schema)
    return f"({kind})" if ", " in kind or " or " in kind else kind


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    yield from (f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema)


def _link(model: str) -> str:
    title = next(title for title, known in SECTIONS.items() if known.__name__ == model)
    words = title.lower()
    return f"[{words.removeprefix('a ').removeprefix('an ').removeprefix('the ')}](#{words.replace(' ', '-')})"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
