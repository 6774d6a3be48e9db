"""The folder of a trained segmenter.

segmenter.json        SegmenterCard below, written last: it answers for the other files
weights.safetensors   of the last epoch, or of the one with the best validation score
history.json          one row per epoch: step, train_loss, validation_loss, validation_dice, learning_rate, seconds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from nephrite.config import (
    Arm,
    ClassName,
    Name,
    PercentileSettings,
    ResampleSettings,
    ResizeSettings,
    SegmenterSettings,
    WindowSettings,
)
from nephrite.errors import ConfigError
from nephrite.evidence import check_files, digest_files, finished_files, read_sealed, sealed
from nephrite.files import read_record, write_json
from nephrite.record_fields import (
    STRICT,
    Count,
    Files,
    HistoryRow,
    Inputs,
    LabelValue,
    LabelValues,
    Line,
    NotNegative,
    PatientId,
    Sha256,
    Share,
    Side,
    Volumes,
)
from nephrite.segmentation.backend import Trained, backend_of
from nephrite.segmentation.fit_task import Row

CARD, WEIGHTS, HISTORY = "segmenter.json", "weights.safetensors", "history.json"
PROGRAM = "program"  # input of a card: digest of the files of the program that was trained
REMEDY = "run 'train_segmenter' again"


@dataclass(frozen=True)
class SegmenterCard:
    """What a trained segmenter is and what it was made from.

    Attributes:
        arm: 'TRAINING_SET/SEGMENTER/FRACTION/CELL'.
        settings: of the network.
        classes: label value to name.
        channels: output channel to label values, in the order of the outputs.
        intensity: how stored values became the network's input in [0, 1].
        in_plane: how slices were brought to the store's grid.
        training_patients: all real patients that it knows, directly or through synthetic slices.
        masked_patients: of whose lesions it knows an ignore mask, a weak label; see `nephrite.store.lesion_free`.
        synthesizer: id of the synthesizer of its synthetic slices, or None.
        pairs: digest of the store that it was trained and validated on.
        validation_score: mean 3-D Dice of `region` over the validation patients, of the weights that were kept.
        region: the region of that score.
        threshold: sigmoid outputs at or above it are foreground.
        steps: optimizer steps of the weights that were kept.
        seconds: duration of the whole training.
        run_id: of the tracking run, or None.
        version: of the software that wrote it.
        choosing_patients: validation patients whose labels chose the weights, or when the learning rate fell or the
            training ended; none with a fixed schedule and the last weights.
        window: pixels per side of the windows that it learned from, and predicts slices by; None = it saw whole slices.
        late_gain: by how much the last quarter of the epochs raised the best validation score; see `metrics.curves`.
        unverifiable: sets of synthetic slices that it learned from, of which nobody can tell whose data they derive
            from: it is never promoted.
        image_channels: of scans that have several; else none.
        volumes: class name to the smallest and the largest volume that it has in a training patient, in mm3; see
            `store.volume_range`. Empty where sizes are made up, and in a card that an older version wrote.
        files, inputs, digest: see `nephrite.evidence`; no files in a card that an older version wrote.
    """

    __pydantic_config__ = STRICT

    arm: Line
    settings: SegmenterSettings
    classes: Annotated[dict[LabelValue, ClassName], Field(min_length=1)]
    channels: Annotated[dict[Name, LabelValues], Field(min_length=1)]
    intensity: Annotated[WindowSettings | PercentileSettings, Field(discriminator="kind")]
    in_plane: Annotated[ResizeSettings | ResampleSettings, Field(discriminator="kind")]
    training_patients: tuple[PatientId, ...]
    synthesizer: Line | None
    pairs: Line
    validation_score: Share
    region: Name
    threshold: Share
    steps: Count
    seconds: NotNegative
    run_id: Line | None
    version: Line
    choosing_patients: tuple[PatientId, ...] = ()
    window: Side | None = None
    late_gain: Share | None = None
    masked_patients: tuple[PatientId, ...] = ()
    unverifiable: tuple[Line, ...] = ()
    image_channels: tuple[Line, ...] = ()
    volumes: Volumes = field(default_factory=dict)
    format: Literal[1] = 1
    files: Files = field(default_factory=dict, compare=False)
    inputs: Inputs = field(default_factory=dict)
    digest: Sha256 = field(default="0" * 64, compare=False)

    @property
    def objection(self) -> str | None:
        """Why it may not be promoted for what it learned from; None where nothing is against it."""
        if not self.unverifiable:
            return None
        sets = ", ".join(self.unverifiable)
        return f"{self.arm} learned from synthetic data of unverifiable provenance ({sets})"


@dataclass(frozen=True)
class TrainedSegmenter:
    """A segmenter that was read, and what is known of it."""

    card: SegmenterCard
    trained: Trained


def write_card(folder: Path, card: SegmenterCard, history: Sequence[Row]) -> None:
    """Write all but the weights; the card answers for every file that is in the folder now."""
    write_json(folder / HISTORY, list(history))
    files = digest_files(folder, finished_files(folder, without=(CARD,)))
    write_json(folder / CARD, sealed(TypeAdapter(SegmenterCard).dump_python(replace(card, files=files), mode="json")))


def read_card(folder: Path) -> SegmenterCard:
    """Read what a segmenter is, without its weights.

    Raises:
        StoreError: missing, broken, changed, or of another version.
    """
    card: SegmenterCard = read_sealed(folder / CARD, SegmenterCard, REMEDY)
    return card


def load_segmenter(folder: Path, *, as_fitted: bool = False) -> TrainedSegmenter:
    """Read a segmenter, on the processor.

    Args:
        folder: of the segmenter.
        as_fitted: to the last bit as its training gave it; see `Backend.load`.

    Raises:
        StoreError: missing, broken or of another version; a file is not as it was written; or the weights do not fit
            the settings.
    """
    card = read_card(folder)
    check_files(folder, card.files, REMEDY)
    history: list[Row] = read_record(folder / HISTORY, list[HistoryRow], REMEDY)
    trained = backend_of(card.settings).load(folder, card.channels, card.threshold, as_fitted=as_fitted)
    return TrainedSegmenter(card, replace(trained, history=history, window=card.window))


def read_teacher(folder: Path, student: Arm, arm: Arm | None, pairs: str, patients: Sequence[str]) -> Trained:
    """The segmenter of a finished arm, if its card says that it is the teacher that the student would train.

    The card does not hold the training's settings: the caller sees to it that they are the same.

    Args:
        folder: of that segmenter.
        student: the arm that learns from it.
        arm: whose segmenter it has to be; None where the trial has no such arm.
        pairs: digest of the store that it has to come from.
        patients: whose labels it has to know.

    Raises:
        ConfigError: it is another segmenter.
        StoreError: it is missing or broken.
    """
    found = load_segmenter(folder, as_fitted=True)  # bit for bit, so that it finds the same as its arm
    remedy, wanted = "name that arm's folder, or leave '--teacher' out", arm or "no arm of the trial"
    if found.card.arm != str(arm):
        finding = f"is the segmenter of {found.card.arm}, and the teacher of {student} is {wanted}"
        raise ConfigError(f"--teacher {folder}", finding, remedy)
    if (found.card.pairs, found.card.training_patients) != (pairs, tuple(patients)):
        raise ConfigError(f"--teacher {folder}", f"learned from other data than {student} is given", remedy)
    return found.trained
