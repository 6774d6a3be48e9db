"""A folder of cases, looked at one by one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nephrite.config import PrepareSettings
from nephrite.errors import ConfigError, SourceError
from nephrite.imaging.layouts.bids import class_names
from nephrite.imaging.layouts.description import DESCRIPTION, IGNORED_NAME, label_names
from nephrite.imaging.sources import Case, find_cases, persons_told
from nephrite.progress import progress_bar
from nephrite.survey.case_facts import CaseFacts, look_or_tell, region_names
from nephrite.workers import worker_pool


@dataclass(frozen=True)
class Survey:
    """What a folder shows.

    Attributes:
        folder: of the cases.
        cases: that could be read, sorted.
        unread: one line for each of the others.
        names: label value to class name, as a file or the user says; others are not named.
        segments: names of regions in DICOM label objects, by class name.
        persons: case to patient, of those who may have several.
        channels: the one that was looked at, where scans have several.
    """

    folder: Path
    cases: Sequence[CaseFacts]
    unread: Sequence[str]
    names: Mapping[int, str]
    segments: Mapping[str, str]
    persons: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    @property
    def values(self) -> list[int]:
        """Label values of any case."""
        return sorted({value for case in self.cases for value in case.classes})

    @property
    def patients(self) -> int:
        """How many patients the cases are of."""
        return len({self.persons.get(case.patient, case.patient) for case in self.cases})


def survey(folder: Path, told: Mapping[int, str], *, processes: int, channels: Sequence[str] = ()) -> Survey:
    """Look at every case of a folder.

    Args:
        folder: in any layout that `acquire` reads.
        told: label value to class name, as the user says.
        processes: that read side by side.
        channels: the one to look at, where scans have several; none where they have one.

    Raises:
        SourceError: the folder is missing, holds no case, or none that can be read; or label maps hold a value that
            nnU-Net ignores.
        ConfigError: a name is told for a value that no case has.
    """
    if len(channels) > 1:
        finding = f"are {list(channels)}, and one is looked at"
        raise ConfigError("acquire.channels", finding, "look at each by itself: --channel NAME")
    cases = find_cases(folder, channels)
    # regions of DICOM label objects have names and no values
    regions = region_names(cases)
    segments = {name: as_name(name) for name in regions}
    values = dict(enumerate(dict.fromkeys(segments.values()), start=1))
    settings = PrepareSettings.model_validate(
        {
            "classes": values or {1: "any"},
            "segments": segments,
            "intensity": {"kind": "percentile"},
            "in_plane": {"kind": "resize", "size": 128},
        }
    )
    found, unread = _look(cases, settings, processes)
    if not found:
        raise SourceError(folder, f"holds no case that can be read; the first one: {unread[0]}", "mend it")
    described = label_names(folder) or class_names(folder)
    known = {value for case in found for value in case.classes}
    if ignored := [value for value, name in described.items() if name == IGNORED_NAME and value in known]:
        finding = f"says that the value {ignored[0]}, which label maps hold, is to be ignored, and no voxel is here"
        raise SourceError(folder / DESCRIPTION, finding, "give those voxels a class, or leave their cases out")
    names = {**{value: as_name(name) for value, name in described.items()}, **values, **told}
    if strange := sorted(set(told) - known):
        finding = f"names the value {strange[0]}, and the label maps hold {sorted(known)}"
        raise ConfigError("--class", finding, "correct it")
    used = {value: name for value, name in names.items() if value in known}
    renamed = {name: own for name, own in segments.items() if name != own}
    return Survey(folder, found, unread, used, renamed, persons_told(cases), tuple(channels))


def _look(cases: Sequence[Case], settings: PrepareSettings, processes: int) -> tuple[list[CaseFacts], list[str]]:
    with worker_pool(processes, setting="--processes") as pool:
        answers = pool.map(look_or_tell, cases, [settings] * len(cases))
        looked = list(progress_bar(answers, "cases", len(cases)))
    return [one for one in looked if isinstance(one, CaseFacts)], [one for one in looked if isinstance(one, str)]


def as_name(text: str) -> str:
    """A name that the settings take: small letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.strip().casefold()).strip("_") or "unnamed"
