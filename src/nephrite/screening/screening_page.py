"""The screening as screening.json, a row for each painted slice, and a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from nephrite.screening.acceptance import ENOUGH, FOREGROUND, Measures, Screening, size_order
from nephrite.screening.fidelity import Fidelity
from nephrite.words import markdown_table

FORMAT = 1
STRICT = 0.2  # share of real slices above which a test is reported as strict
IDENTICAL = 0.999  # overlap from which a mask counts as a training mask as it is


def screening_facts(screening: Screening, fidelity: tuple[int, Mapping[str, Fidelity | None]]) -> dict[str, Any]:
    """The content of screening.json; what could not be measured is null, and has its sentence in `limits`.

    Args:
        screening: of all painted slices.
        fidelity: from `compare_features`.
    """
    painted, accepted, flags = len(screening.painted), int(screening.accepted.sum()), screening.failed
    return {
        "format": FORMAT,
        "settings": screening.settings.model_dump(mode="json"),
        "painted": painted,
        "accepted": accepted,
        "accepted_share": accepted / painted,
        "rejected": {
            name: {
                "slices": int(failed.sum()),
                "share": float(failed.mean()),
                "share_of_validation_slices": screening.honest[name],
            }
            for name, failed in flags.items()
        },
        "sizes": _sizes(screening),
        "agreement": {
            name: _agreement(getattr(screening, name), screening.channels)
            for name in ("painted", "validation", "training")
        },
        "intensity": _intensity(screening),
        "memorization": _memorization(screening),
        "fidelity": {
            "slices": fidelity[0],
            **{name: asdict(found) if found else None for name, found in fidelity[1].items()},
        },
        "novelty": _novelty(screening.mask_overlap),
        "continuity": screening.continuity.facts,
        "limits": _limits(screening, *fidelity),
    }


def headline_figures(facts: Mapping[str, Any]) -> dict[str, float]:
    """The main figures for comparing runs, from the content of screening.json; figures that are null are left out."""
    fidelity = facts["fidelity"]
    figures = {
        "painted": facts["painted"],
        "accepted": facts["accepted"],
        "accepted_share": facts["accepted_share"],
        **{f"fail_{name}": row["share"] for name, row in facts["rejected"].items()},
        **{f"agreement_{name}": row[FOREGROUND]["median"] for name, row in facts["agreement"].items()},
        "memorized_share": facts["memorization"]["share"],
        "repeated_share": facts["memorization"]["repeated_share"],
        "honest_share": facts["memorization"]["honest_share"],
        **{f"kid_{name}": row["kid"]["mean"] for name, row in fidelity.items() if isinstance(row, Mapping)},
        "mask_overlap": facts["novelty"]["median"],
        "continuity_ratio": facts["continuity"]["ratio"],
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def screening_rows(screening: Screening) -> list[dict[str, object]]:
    """One row for each painted slice: whether it was accepted, why not, and its figures."""
    return [
        {
            "accepted": int(screening.accepted[row]),
            "failed": " ".join(screening.reasons(row)),
            "size": screening.sizes[row],
            "agreement": _text(screening.painted.dice[row, 0]),
            "found_share": _text(screening.painted.found_share[row]),
            "similarity": _text(screening.memorization.similarity[row]),
            "nearest_patient": screening.memorization.nearest[row].patient,
            "nearest_slice": screening.memorization.nearest[row].position,
            "mask_overlap": _text(screening.mask_overlap[row]),
            **{
                f"agreement_{name}": _text(screening.painted.dice[row, 1 + n])
                for n, name in enumerate(screening.channels)
            },
        }
        for row in range(len(screening.painted))
    ]


def screening_markdown(facts: Mapping[str, Any], pictures: Sequence[tuple[str, str]]) -> str:
    """The page, from the content of screening.json.

    Args:
        facts: see `screening_facts`.
        pictures: what each shows, and its file's name.
    """
    head = (
        f"{facts['accepted']} of {facts['painted']} painted slices are accepted ({facts['accepted_share']:.0%}). "
        "The tests were shown real validation slices too: a test that rejects many of those says little."
    )
    parts = [
        f"# Synthetic slices of {facts['painter']}",
        head,
        "\n".join(f"- {limit}" for limit in facts["limits"]),
        "## What each test rejects",
        _rejected_table(facts),
        "## Accepted by size of the lesion",
        markdown_table(
            ["size", "painted", "accepted"], [[r["size"], r["painted"], r["accepted"]] for r in facts["sizes"]]
        ),
        "## Faithfulness: Dice between the mask asked for and the mask found",
        _agreement_table(facts["agreement"]),
        "## Intensity of each class against the training slices",
        _intensity_table(facts["intensity"]),
        "## Memorization: similarity to the nearest training slice",
        _memorization_text(facts["memorization"]),
        "## Fidelity: distances from the training slices, in the segmenter's features",
        _fidelity_table(facts["fidelity"]),
        "## Novelty of masks: Dice with the nearest training mask",
        _novelty_table(facts["novelty"]),
        "## Continuity: mean difference of neighboring slices, within the body",
        _continuity_text(facts["continuity"]),
        *[f"## {shows}\n\n![{shows}]({name})" for shows, name in pictures],
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sizes(screening: Screening) -> list[dict[str, Any]]:
    sizes = np.array(screening.sizes)
    return [
        {
            "size": name,
            "painted": int((sizes == name).sum()),
            "accepted": int((screening.accepted & (sizes == name)).sum()),
        }
        for name in size_order(screening.sizes)
    ]


def _agreement(measures: Measures, channels: Iterable[str]) -> dict[str, Any]:
    """Distribution over the slices that ask for the foreground or channel."""
    asked: Bool[np.ndarray, "slice region"] = measures.asked
    return {
        name: _distribution(measures.dice[asked[:, column], column])
        for column, name in enumerate((FOREGROUND, *channels))
    }


def _intensity(screening: Screening) -> dict[str, Any]:
    painted, validation = screening.intensity(screening.painted), screening.intensity(screening.validation)
    return {
        screening.classes[value]: {
            "low": found.low,
            "high": found.high,
            "training_slices": found.slices,
            **{f"painted_{name}": getattr(painted, name)[value] for name in ("share", "distance")},
            **{f"validation_{name}": getattr(validation, name)[value] for name in ("share", "distance")},
        }
        for value, found in screening.ranges.items()
    }


def _memorization(screening: Screening) -> dict[str, Any]:
    found, calibration = screening.memorization, screening.memorization.calibration
    return {
        "filter": screening.settings.memorization,
        "share": found.share,
        "repeated_share": float(screening.repeated.mean()),
        "honest_share": calibration.honest_share,
        "painted": _distribution(found.similarity),
        **asdict(calibration),
        "limit": calibration.limit,
    }


def _novelty(overlap: Float[np.ndarray, " slice"]) -> dict[str, Any]:
    known = overlap[~np.isnan(overlap)]
    identical = float((known >= IDENTICAL).mean()) if len(known) else None
    return {**_distribution(known), "training_mask_as_it_is": identical}


def _distribution(values: Float[np.ndarray, " value"]) -> dict[str, Any]:
    names = {"p10": 0.1, "median": 0.5, "p90": 0.9}
    found = np.quantile(values, list(names.values())).tolist() if len(values) else [None] * len(names)
    return {"slices": len(values), **dict(zip(names, found, strict=True))}


def _limits(screening: Screening, count: int, fidelity: Mapping[str, Fidelity | None]) -> list[str]:
    # tests that real slices fail too
    limits = [screening.memorization.calibration.limit]
    limits += [
        f"'{name}' would reject {share:.0%} of real validation slices too: strict for this segmenter and these data."
        for name, share in screening.honest.items()
        if share > STRICT
    ]
    # masks that were not changed
    copied_masks = _novelty(screening.mask_overlap)["training_mask_as_it_is"]
    if copied_masks and copied_masks > 0.5:
        limits.append(
            f"{copied_masks:.0%} of the masks are training masks as they are: a slice painted from one is close "
            "to that mask's own slice by design, and may be rejected as a copy."
        )
    # what is not tested, or not acted on
    missing = [name for value, name in screening.classes.items() if value not in screening.ranges]
    if missing:
        limits.append(f"No training slice holds {', '.join(missing)}: its intensity is not tested.")
    if fidelity["painted"] is None:
        limits.append(f"{count} labeled slices are fewer than the {ENOUGH} from which fidelity is given.")
    if screening.settings.filter != "tests":
        limits.append(f"'screen.filter' is '{screening.settings.filter}': slices that fail a test are kept.")
    if screening.settings.memorization == "report":
        limits.append("'screen.memorization' is 'report': copies are counted and kept.")
    return [limit for limit in limits if limit]


def _rejected_table(facts: Mapping[str, Any]) -> str:
    rows = [
        [name.replace("_", " "), row["slices"], f"{row['share']:.1%}", f"{row['share_of_validation_slices']:.1%}"]
        for name, row in facts["rejected"].items()
    ]
    return markdown_table(["test", "painted slices that fail", "share", "of real validation slices"], rows)


def _agreement_table(agreement: Mapping[str, Any]) -> str:
    rows = [
        [name, kind, row["slices"], *(_text(row[key]) for key in ("p10", "median", "p90"))]
        for name in agreement["painted"]
        for kind, row in ((kind, agreement[kind][name]) for kind in agreement)
    ]
    return markdown_table(["region", "slices of", "number", "10 %", "median", "90 %"], rows)


def _intensity_table(intensity: Mapping[str, Any]) -> str:
    keys = ("low", "high", "painted_share", "validation_share", "painted_distance", "validation_distance")
    head = ["class", "range from", "to", "painted outside", "validation outside", "painted distance"]
    rows = [[name, *(_text(row[key]) for key in keys)] for name, row in intensity.items()]
    return markdown_table([*head, "validation distance"], rows)


def _memorization_text(found: Mapping[str, Any]) -> str:
    return (
        f"{found['share']:.1%} of the painted slices are closer to a training slice than {found['threshold']:.3f}, the "
        f"{found['quantile']:g} quantile of {found['validation_slices']} validation slices; of honest slices about "
        f"{found['honest_share']:.1%} would be. Medians: painted {_text(found['painted']['median'])}, validation "
        f"{found['median']:.3f}. Training slices compared with: {found['training_slices']}. "
        f"{found['repeated_share']:.1%} of the painted slices repeat the picture of an earlier one."
    )


def _fidelity_table(fidelity: Mapping[str, Any]) -> str:
    rows = [
        [name, fidelity["slices"], f"{row['kid']['mean']:.4f} ({row['kid']['deviation']:.4f})"]
        + [_text(row[key]) for key in ("precision", "recall", "density", "coverage")]
        for name, row in fidelity.items()
        if isinstance(row, Mapping)
    ]
    head = ["slices of", "number", "KID (deviation)", "precision", "recall", "density", "coverage"]
    return markdown_table(head, rows) if rows else "Not measured: too few slices."


def _novelty_table(novelty: Mapping[str, Any]) -> str:
    keys = ("p10", "median", "p90", "training_mask_as_it_is")
    head = ["masks", "10 %", "median", "90 %", "share that is a training mask as it is"]
    return markdown_table(head, [[novelty["slices"], *(_text(novelty[key]) for key in keys)]])


def _continuity_text(found: Mapping[str, Any]) -> str:
    if not found["painted"]["pairs"]:
        return "Not measured: no neighboring slices were painted."
    rows = [
        [name, found[name]["pairs"], *(_text(found[name][key]) for key in ("p10", "median", "p90"))]
        for name in ("painted", "real")
    ]
    table = markdown_table(["slices", "pairs of neighbors", "10 %", "median", "90 %"], rows)
    return f"{table}\n\nIn units of the intensity window. Painted over real, by medians: {_text(found['ratio'])}."


def _text(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.3f}"
