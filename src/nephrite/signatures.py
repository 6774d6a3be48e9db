"""What every stage takes, writes and reads, in one table, so that `nephrite --help` imports no stage.

A stage is a function of settings, recorder and paths in `nephrite.stages`; tests compare its paths with this table, and
the settings that it really reads. What a stage reads is told here once: DVC, `nephrite trial` and resumable trainings
ask `nephrite.dependencies`, which asks here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Condition = Literal[
    "moves slices",
    "augments as nnU-Net",
    "pastes lesions",
    "trains itself",
    "sees lesion-free scans",
    "labels scans",
    "paints lesion-free scans",
    "knows no label",
    "screens",
]
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
        text: what it does, for the list of commands.
        paths: its keyword-only arguments, and whether each must be given.
        output: the one among them that it writes.
        reads: settings that its output follows from.
        unit: what one call works on.
        kinds: kinds whose modules its output follows from, beside what the stage itself imports.
        record: where the output is a JSON file, names that stand at its top; by them Nephrite knows its own file.
        writes: whether it writes its output at all; 'publish' only reads the folder that it sends.
        beside: a folder that it writes as well, where it is asked to.
    """

    text: str
    paths: Mapping[str, bool]
    output: str
    reads: tuple[Read, ...] = ()
    unit: Literal["trial", "arm", "painter"] = "trial"
    kinds: tuple[Kind, ...] = ()
    record: tuple[str, ...] = ()
    writes: bool = True
    beside: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The paths that it reads."""
        return tuple(name for name in self.paths if name not in (self.output, self.beside))


CHOICE = ("trial.primary", "evaluate.regions.{primary}.labels", "evaluate.threshold")  # what chooses the best epoch
FITTING = tuple(
    f"train_segmenter.{key}"
    for key in (
        *("batch_size", "learning_rate", "schedule", "plateau_patience", "plateau_factor", "weights"),
        *("loss", "window", "foreground", "segmenters.{segmenter}"),
    )
)
HELPER = (*CHOICE, *FITTING, "train_segmenter.spatial", "train_segmenter.intensity")  # of helper segmenters
SCORING = (
    *("trial.primary", "trial.seed", "trial.judged_on", "prepare.spacing"),
    *(f"evaluate.{key}" for key in ("regions", "parts", "threshold", "mirroring", "lesions", "windows")),
)
CELL = ("trial.seed", "trial.disjoint_fraction")  # which patients a cell knows, and its initialization
LESIONS = ("prepare.lesions", "prepare.classes")  # their label values
FREE = ("lesion_free.margin", "lesion_free.unit")  # of what is ignored in lesion-free scans
SYNTHESIZE = ("ratio", "labeled_only", "masks", "deformation", "edits", "style", "unlabeled", "labeler")
SECTIONS = ("trial", "acquire", "prepare", "train_gan", "synthesize", "screen", "train_segmenter", "evaluate", "report")

PATHS = {  # what each path is, by its name
    "data": "Folder of raw or synthetic data.",
    "raw": "Raw volumes.",
    "pairs": "Paired slices of real patients.",
    "synthesizer": "Trained synthesizer.",
    "painted": "Paired slices as they were painted.",
    "synthetic": "Paired synthetic slices that were accepted.",
    "segmenter": "Trained segmenter of one arm.",
    "segmenters": "Folder of all trained segmenters.",
    "teacher": "Segmenter of the cell's arm without self-training, for one with it; else the same is trained again.",
    "scores": "Scores: the file of one arm, or for 'report' the folder of all.",
    "predictions": "Label maps that one arm found, each on its scan's own voxels; for 'report' the folder of all.",
    "report": "Report folder.",
    "promotion": "File with the promotion's decision.",
    "scans": "Folder of scans; label maps beside them are ignored.",
    "masks": "Folder of label maps, each on its scan's own voxels.",
    "order": "Folder of what a program in an image of its own is given, with the script that starts it.",
    "done": "What a program in an image of its own made of an order.",
}

STAGES: Mapping[str, Signature] = {
    "acquire": Signature(
        "Bring raw volumes from the phantom, KiTS19 or a folder.",
        {"raw": True},
        "raw",
        (
            Read(("acquire.source", "acquire.{source}", "acquire.unlabeled", "acquire.lesion_free")),
            Read(("acquire.external.path", "acquire.synthetic", "acquire.channels")),
            Read(("acquire.patients", "acquire.pseudonyms", "acquire.deidentify")),
        ),
    ),
    "prepare": Signature(
        "Turn raw volumes into slices per patient, index and split.",
        {"raw": True, "pairs": True},
        "pairs",
        (
            Read(
                tuple(
                    f"prepare.{key}"
                    for key in ("classes", "channels", "lesions", "segments", "intensity", "in_plane", "split", *FREE)
                )
            ),
            Read(("acquire.external.classes", "acquire.synthetic", "acquire.data_sets", "acquire.source")),
        ),
    ),
    "train_gan": Signature(
        "Train a synthesizer on the training patients.",
        {"pairs": True, "synthesizer": True},
        "synthesizer",
        (
            Read((*CELL, *LESIONS, "train_gan.{synthesizer}")),
            Read(("prepare.lesion_free",), "paints lesion-free scans"),
        ),
        "painter",
        ("generator",),
    ),
    "synthesize": Signature(
        "Paint slices from the masks of training patients.",
        {"pairs": True, "synthesizer": True, "painted": True},
        "painted",
        (
            Read((*CELL, *LESIONS, *(f"synthesize.{key}" for key in SYNTHESIZE))),
            Read(HELPER, "labels scans"),
            Read(("prepare.lesion_free",), "paints lesion-free scans"),
            Read(("trial.label_fractions",), "knows no label"),
        ),
        "painter",
        ("generator", "helper"),
    ),
    "screen": Signature(
        "Accept or reject synthetic slices, with reasons.",
        {"pairs": True, "painted": True, "synthetic": True},
        "synthetic",
        (
            Read((*CELL, *LESIONS, "screen")),
            Read(HELPER, "screens"),
            Read(("prepare.lesion_free",), "paints lesion-free scans"),
        ),
        "painter",
        ("helper",),
    ),
    "train_segmenter": Signature(
        "Train the segmenter of one arm.",
        {"pairs": True, "segmenter": True, "synthetic": False, "teacher": False, "done": False},
        "segmenter",
        (
            Read((*CELL, "prepare.intensity", "prepare.in_plane", "prepare.spacing", *CHOICE, *FITTING)),
            Read(tuple(f"train_segmenter.{key}" for key in ("epochs", "steps_per_epoch", "early_stopping"))),
            Read(("train_segmenter.geometric",), "moves slices"),
            Read(("train_segmenter.spatial", "train_segmenter.intensity"), "augments as nnU-Net"),
            Read(("train_segmenter.copy_paste", *LESIONS), "pastes lesions"),
            Read(("train_segmenter.self_training",), "trains itself"),
            Read(("train_segmenter.lesion_free", "prepare.lesion_free", *LESIONS), "sees lesion-free scans"),
        ),
        "arm",
        ("segmenter",),
    ),
    "evaluate": Signature(
        "Score one arm on patients of test or validation.",
        {"pairs": True, "raw": False, "segmenter": True, "scores": True, "predictions": False, "done": False},
        "scores",
        (
            Read((*SCORING, "trial.where")),
            # of scans on their own voxels
            Read(("prepare.in_plane", "prepare.segments", "prepare.classes", "acquire.external.classes")),
        ),
        "arm",
        ("segmenter",),
        record=("arm", "patients"),
        beside="predictions",
    ),
    "report": Signature(
        "Judge all arms: table, figures, verdict.",
        {"pairs": True, "synthetic": False, "scores": True, "predictions": False, "report": True},
        "report",
        (Read(SECTIONS),),
    ),
    "promote": Signature(
        "Register the best segmenter: challenger, maybe champion.",
        {"report": True, "segmenters": True, "promotion": True, "pairs": False},
        "promotion",
        (
            Read(("report.confidence", "promote", "acquire.source")),
            Read(SCORING),  # the champion is scored once more
        ),
        kinds=("all segmenters",),
        record=("decision", "candidate"),
    ),
}
APART: Mapping[str, Signature] = {  # not part of a trial: no other stage reads their outputs
    "publish": Signature(
        "Push a folder of data as a DVC version.",
        {"data": True},
        "data",
        (Read(("publish",)),),
        writes=False,
    ),
    "predict": Signature(
        "Segment scans with the champion, or another model.",
        {"scans": True, "masks": True},
        "masks",
        (Read(("predict", "promote.model", "acquire.pseudonyms", "prepare.spacing")),),
    ),
}
ORDERS: Mapping[str, Signature] = {  # parts of a stage whose program lies in an image of its own
    "order_fit": Signature(
        "Write what a program in its own image is to learn from.",
        {"pairs": True, "synthetic": False, "order": True},
        "order",
        STAGES["train_segmenter"].reads,
        "arm",
    ),
    "order_predict": Signature(
        "Write the scans that such a program is to segment.",
        {"pairs": True, "segmenter": True, "order": True},
        "order",
        STAGES["evaluate"].reads,
        "arm",
    ),
}
ALL_STAGES = {**STAGES, **APART, **ORDERS}
WITHOUT_EFFECT = (  # settings that change no output: where and how quickly it is computed
    *("compute", "tracking", "publish", "acquire.workers", "acquire.dvc.remote", "prepare.workers", "prepare.block"),
    *("evaluate.batch_size", "synthesize.batch_size", "predict.batch_size"),
)
