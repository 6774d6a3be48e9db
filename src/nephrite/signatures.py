"""What every stage takes, writes and reads: one light table, so that `nephrite --help` imports no stage.

A stage is a function of settings, recorder and paths in `nephrite.stages`; tests compare its paths with this table, and
the settings that it really reads. What a stage reads is told here once: DVC, `nephrite trial` and resumable trainings
ask `nephrite.dependencies`, which asks here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Condition = Literal["augments", "alters intensity", "pastes lesions", "trains itself", "labels scans", "screens"]
Kind = Literal["generator", "segmenter", "helper", "all segmenters"]


class Read(NamedTuple):
    """Setting keys that a stage reads, and when: always, or where the condition holds for what it works on.

    In a key, {source} stands for the section of 'acquire.source', {synthesizer} and {segmenter} for the names of the
    generator and the segmenter that the stage works with, {primary} for the region that decides.
    """

    keys: tuple[str, ...]
    when: Condition | None = None


@dataclass(frozen=True)
class Signature:
    """One stage.

    Attributes:
        paths: its keyword-only arguments, and whether each must be given.
        output: the one among them that it writes.
        reads: settings that its output follows from.
        unit: what one call works on.
        kinds: kinds whose modules its output follows from, beside what the stage itself imports.
    """

    paths: Mapping[str, bool]
    output: str
    reads: tuple[Read, ...] = ()
    unit: Literal["trial", "arm", "painter"] = "trial"
    kinds: tuple[Kind, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The paths that it reads."""
        return tuple(name for name in self.paths if name != self.output)


CHOICE = ("trial.primary", "evaluate.regions.{primary}.labels", "evaluate.threshold")  # what chooses the best epoch
FITTING = tuple(
    f"train_segmenter.{key}"
    for key in ("batch_size", "learning_rate", "loss", "plateau_patience", "plateau_factor", "segmenters.{segmenter}")
)
HELPER = (*CHOICE, *FITTING, "train_segmenter.geometric", "train_segmenter.intensity")  # of helper segmenters
LESIONS = ("prepare.lesions", "prepare.classes")  # their label values
SYNTHESIZE = ("ratio", "labelled_only", "masks", "deformation", "edits", "style", "unlabelled", "labeler")
SECTIONS = ("trial", "acquire", "prepare", "train_gan", "synthesize", "screen", "train_segmenter", "evaluate", "report")

STAGES: Mapping[str, Signature] = {
    "acquire": Signature({"raw": True}, "raw", (Read(("acquire.source", "acquire.{source}", "acquire.unlabelled")),)),
    "prepare": Signature(
        {"raw": True, "pairs": True},
        "pairs",
        (Read(tuple(f"prepare.{key}" for key in ("classes", "channels", "intensity", "in_plane", "split"))),),
    ),
    "train_gan": Signature(
        {"pairs": True, "synthesizer": True},
        "synthesizer",
        (Read(("trial.seed", *LESIONS, "train_gan.{synthesizer}")),),
        "painter",
        ("generator",),
    ),
    "synthesize": Signature(
        {"pairs": True, "synthesizer": True, "painted": True},
        "painted",
        (
            Read(("trial.seed", *LESIONS, *(f"synthesize.{key}" for key in SYNTHESIZE))),
            Read(HELPER, "labels scans"),
        ),
        "painter",
        ("generator", "helper"),
    ),
    "screen": Signature(
        {"pairs": True, "painted": True, "synthetic": True},
        "synthetic",
        (Read(("trial.seed", *LESIONS, "screen")), Read(HELPER, "screens")),
        "painter",
        ("helper",),
    ),
    "train_segmenter": Signature(
        {"pairs": True, "segmenter": True, "synthetic": False, "teacher": False},
        "segmenter",
        (
            Read(("trial.seed", "prepare.intensity", "prepare.in_plane", *CHOICE, *FITTING)),
            Read(tuple(f"train_segmenter.{key}" for key in ("epochs", "steps_per_epoch", "early_stopping"))),
            Read(("train_segmenter.geometric",), "augments"),
            Read(("train_segmenter.intensity",), "alters intensity"),
            Read(("train_segmenter.copy_paste", *LESIONS), "pastes lesions"),
            Read(("train_segmenter.self_training",), "trains itself"),
        ),
        "arm",
        ("segmenter",),
    ),
    "evaluate": Signature(
        {"pairs": True, "segmenter": True, "scores": True},
        "scores",
        (Read(("trial.primary", "evaluate.regions", "evaluate.threshold")),),
        "arm",
        ("segmenter",),
    ),
    "report": Signature(
        {"pairs": True, "synthetic": False, "scores": True, "report": True}, "report", (Read(SECTIONS),)
    ),
    "promote": Signature(
        {"report": True, "segmenters": True, "promotion": True},
        "promotion",
        (Read(("trial.seed", "report.resamples", "report.confidence", "promote")),),
        kinds=("all segmenters",),
    ),
}
APART: Mapping[str, Signature] = {  # no part of a trial: nothing waits for what they write
    "publish": Signature({"data": True}, "data", (Read(("publish",)),)),
    "predict": Signature({"scans": True, "masks": True}, "masks", (Read(("predict", "promote.model")),)),
}
WITHOUT_EFFECT = (  # settings that change no output: where and how quickly it is computed
    *("compute", "tracking", "publish", "acquire.workers", "acquire.dvc.remote", "prepare.workers", "prepare.block"),
    *("evaluate.batch_size", "synthesize.batch_size", "predict.batch_size"),
)
