"""Every error that Nephrite raises on purpose.

    NephriteError                  one line: place, finding, remedy; the command line exits with 2
    ├── ConfigError                params file: unknown key, wrong type, impossible combination; a line for each
    ├── DataError                  something about scans, label maps or stores
    │   ├── SourceError            a folder without cases, a missing file, one patient twice
    │   ├── VolumeError            empty, truncated, zero slices, shapes that differ, NaN
    │   ├── LabelValueError        label values outside the class map, or not integers
    │   ├── DicomError             a series that cannot be made into one volume
    │   ├── DownloadError          a file that could not be fetched whole
    │   ├── RemoteError            a DVC remote that does not answer, refuses the key, or lacks a version
    │   ├── SplitError             fewer patients than the split needs
    │   └── StoreError             a store, model or score file that is missing, broken or of another version
    ├── OutputError                an output that cannot be written, or would replace what is not Nephrite's
    │   └── DiskFullError          no space left while writing
    ├── LeakageError               a synthetic slice was derived from a patient outside the arm's training set
    ├── TrainingError              training cannot start or go on
    │   ├── NonFiniteLossError     a loss became NaN or infinite; names step and loss
    │   ├── WeightsError           pretrained weights are not available
    │   └── ProgramError           a program of the user's failed, or wrote what its contract does not allow
    ├── ResourceError              a worker process was killed, or a device has no memory left
    ├── TrialError                 scores that do not make a trial
    ├── StoppedError               the user, or the system, ended a trial; exit code 128 and the signal
    └── TrackingError              MLflow
        ├── TrackingUnreachableError   the server or database does not answer
        └── ModelNotRegisteredError    the registry does not know the model

Any other exception is a bug of this package and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


def did_you_mean(word: str, known: Iterable[str] | None) -> str | None:
    """The remedy for a word that is unknown: the one that is most like it; None where none is.

    Args:
        word: what was written: a command, an option, a setting.
        known: what could stand there.
    """
    close = difflib.get_close_matches(word, sorted(known or ()), n=1)
    return f"did you mean '{close[0]}'?" if close else None


class NephriteError(Exception):
    """A finding about the user's input or surroundings, said in one line.

    Args:
        place: the file, key or service concerned; a path is shown as given.
        finding: the value found and the rule that it breaks.
        remedy: what the user can do about it, as an imperative.
    """

    def __init__(self, place: str | Path, finding: str, remedy: str) -> None:
        super().__init__(place, finding, remedy)
        self.place, self.finding, self.remedy = str(place), finding, remedy

    def __str__(self) -> str:
        line = f"{self.place}: {self.finding}; {self.remedy}"
        return " ".join(line.split())


class ConfigError(NephriteError):
    """Settings that are unknown, of the wrong type, or impossible together; all that was found, one line each.

    Attributes:
        others: further findings in the same settings; the message ends with the number of all.
    """

    def __init__(self, place: str | Path, finding: str, remedy: str, others: tuple[ConfigError, ...] = ()) -> None:
        super().__init__(place, finding, remedy)
        self.args = (place, finding, remedy, others)
        self.others = others

    @classmethod
    def of(cls, findings: Sequence[ConfigError]) -> ConfigError:
        """One error of one or more findings."""
        first, *others = findings
        return cls(first.place, first.finding, first.remedy, tuple(others))

    def __str__(self) -> str:
        lines = [super().__str__(), *map(str, self.others)]
        return "\n".join([*lines, f"{len(lines)} errors in all"]) if self.others else lines[0]


class DataError(NephriteError):
    """Something about scans, label maps or stores."""


class SourceError(DataError):
    """The source holds no cases, lacks a file, or holds one patient twice."""


class VolumeError(DataError):
    """A volume that is empty, truncated, without slices, not finite, or of another shape than its label map."""


class LabelValueError(DataError):
    """Label values outside the class map, or not integers."""


class DicomError(DataError):
    """A DICOM series that cannot be made into one volume."""


class DownloadError(DataError):
    """A file that could not be fetched whole."""


class RemoteError(DataError):
    """A DVC remote that does not answer, refuses the key, or lacks a version."""


class SplitError(DataError):
    """Fewer patients than the split needs, or a table of patients that does not fit them."""


class StoreError(DataError):
    """A store, model or score file that is missing, broken or of another version."""


class OutputError(NephriteError):
    """An output that cannot be written, is being written by another process, or would replace what is not ours."""


class DiskFullError(OutputError):
    """No space left on the device while an output was written."""


class LeakageError(NephriteError):
    """A synthetic slice or a synthesizer was made from patients that the segmenter must not know."""


class TrainingError(NephriteError):
    """Training cannot start or cannot go on."""


class NonFiniteLossError(TrainingError):
    """A loss became NaN or infinite."""


class WeightsError(TrainingError):
    """Pretrained weights are not available."""


class ProgramError(TrainingError):
    """A program that trains or predicts failed, took too long, or wrote what its contract does not allow."""


class ResourceError(NephriteError):
    """A worker process was killed, or a device has no memory left; what was finished before stays."""


class TrialError(NephriteError):
    """Scores that do not make a trial."""


class StoppedError(NephriteError):
    """The user, or the system, ended a trial; what was finished stays, and so do checkpoints of trainings.

    Args:
        kept: optimizer steps that finished trainings and checkpoints hold.
        total: optimizer steps of the trial.
        code: exit code of the command.
        known: whether the total holds those of all painters.
    """

    def __init__(self, kept: int, total: int, code: int, known: bool = True) -> None:
        finding = f"at step {kept:,} of {'' if known else 'at least '}{total:,}"
        super().__init__("Stopped", finding, "the same command goes on from there")
        self.args, self.code = (kept, total, code, known), code

    def __str__(self) -> str:
        return f"{self.place} {self.finding}; {self.remedy}."


class TrackingError(NephriteError):
    """MLflow refused or failed."""


class TrackingUnreachableError(TrackingError):
    """The MLflow server or database does not answer."""


class ModelNotRegisteredError(TrackingError):
    """The registry does not know the model."""
