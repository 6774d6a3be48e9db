"""Every case of a folder through the checks of `prepare`, all findings at once, the suspicious cases first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import numpy as np

from nephrite.config import Config, PrepareSettings, load_config
from nephrite.errors import DataError, NephriteError
from nephrite.imaging.grid import plan_grid
from nephrite.imaging.intensity import apply_window
from nephrite.imaging.sources import Case, find_cases
from nephrite.imaging.thumbnail import chosen_slice, draw_thumbnail
from nephrite.preflight import place_patients
from nephrite.progress import progress_bar
from nephrite.stages.prepare import Prepared, prepare_patient
from nephrite.store.grid_loss import grid_losses, loss_lines
from nephrite.store.slices import read_patient
from nephrite.store.twins import check_twins, find_near_twins
from nephrite.survey.case_facts import CaseFacts, look_or_tell
from nephrite.survey.leaving_out import case_of, renamed, without
from nephrite.survey.one_volume import one_volume
from nephrite.survey.proposal import Line, count_small, propose
from nephrite.survey.survey import Survey, survey
from nephrite.survey.suspicion import odd_slices, odd_spacing, twin_findings
from nephrite.survey.text import as_text
from nephrite.words import counted
from nephrite.workers import worker_pool

Kind = Literal["refused", "doubtful"]
ORDER: tuple[Kind, ...] = ("refused", "doubtful")
ANY = PrepareSettings.model_validate(  # by which a case is read whose classes are not known
    {"classes": {1: "any"}, "intensity": {"kind": "percentile"}, "in_plane": {"kind": "resize", "size": 128}}
)


class Finding(NamedTuple):
    """One line, with its remedy; 'refused' where `prepare` would stop."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Inspected:
    """One case.

    Attributes:
        name: as `init` and `prepare` have it.
        facts: shape and spacing; None where it cannot be read.
        findings: the worst first.
        picture: a PNG; None where it cannot be prepared.
        position: slice that it shows, from 1.
    """

    name: str
    facts: CaseFacts | None = None
    findings: tuple[Finding, ...] = ()
    picture: bytes | None = None
    position: int = 0

    @property
    def kind(self) -> Kind | None:
        """The worst finding's."""
        return next((kind for kind in ORDER if any(found.kind == kind for found in self.findings)), None)


@dataclass(frozen=True)
class Inspection:
    """A folder.

    Attributes:
        folder: of the cases.
        cases: those that `prepare` would refuse, then doubtful ones, then the others.
        findings: about the folder as a whole.
        classes: label value to name, by which the checks went; none where no case can be read.
    """

    folder: Path
    cases: tuple[Inspected, ...]
    findings: tuple[Finding, ...]
    classes: Mapping[int, str]

    def count(self, kind: Kind) -> int:
        """Cases whose worst finding is of a kind."""
        return sum(case.kind == kind for case in self.cases)

    @property
    def refused(self) -> bool:
        """Whether `prepare` would stop."""
        return bool(self.count("refused")) or any(found.kind == "refused" for found in self.findings)


class Look(NamedTuple):
    """What the checks go by.

    Attributes:
        found: the folder's facts.
        config: settings.
        root: where the cases are read: the folder, or links to what is left of it.
        store: of the prepared cases, for this look alone.
    """

    found: Survey
    config: Config
    root: Path
    store: Path

    def told(self, text: str) -> str:
        """A message with the user's own path in it."""
        return text.replace(str(self.root), str(self.found.folder))


class Examined(NamedTuple):
    """What a worker found of one case."""

    prepared: Prepared | None
    findings: list[Finding]
    picture: bytes | None = None
    position: int = 0


def inspect(
    folder: Path, told: Mapping[int, str], *, processes: int, config: Config | None = None, channels: Sequence[str] = ()
) -> Inspection:
    """Look at every case; one that cannot be read is a finding, and the others are looked at all the same.

    Args:
        folder: in any layout that `acquire` reads.
        told: label value to class name, as the user says.
        processes: that read side by side.
        config: settings to check by; None takes those that `init` proposes.
        channels: see `survey`.

    Raises:
        SourceError: the folder is missing, or holds no case.
        ConfigError: a name is told for a value that no case has.
    """
    lost: dict[str, NephriteError] = {}
    with TemporaryDirectory(prefix="nephrite-") as scratch:
        while True:
            # what each case shows of itself, without those whose files alone cannot be understood
            with without(folder, lost, Path(scratch)) as root:
                try:
                    found = survey(root, told, processes=processes, channels=channels)
                except DataError as error:
                    name = case_of(error.place, root)
                    if name is None or name in lost:
                        return _unreadable(folder, root, lost, error, channels)
                    lost[name] = renamed(error, root, folder)
                    continue
                # through the checks of 'prepare', by the settings
                found = replace(found, folder=folder)
                look = Look(found, config or _proposed(found), root, Path(scratch) / "store")
                examined = _examine_all(look, processes)
                cases = [*_lost(lost), *_judged(look, examined)]
                return Inspection(
                    folder, _ranked(cases), tuple(_of_folder(look, examined)), look.config.prepare.classes
                )


def _unreadable(
    folder: Path, root: Path, lost: Mapping[str, NephriteError], error: NephriteError, channels: Sequence[str]
) -> Inspection:
    """All cases with the reason why each cannot be read; raises the error where no case is found."""
    try:
        cases = find_cases(root, channels)
    except DataError:
        cases = []
    told = {case.patient: look_or_tell(case, ANY) for case in cases}
    if not all(isinstance(each, str) for each in told.values()) or not {*told, *lost}:
        raise renamed(error, root, folder) from None
    read = [
        Inspected(name, findings=(Finding("refused", str(each).replace(str(root), str(folder))),))
        for name, each in told.items()
    ]
    return Inspection(folder, _ranked([*_lost(lost), *read]), (), {})


def _lost(errors: Mapping[str, NephriteError]) -> list[Inspected]:
    """Cases whose files alone cannot be understood."""
    return [Inspected(name, findings=(Finding("refused", str(error)),)) for name, error in errors.items()]


def _judged(look: Look, examined: Mapping[str, Examined]) -> Iterator[Inspected]:
    """The other cases, each with all of its findings."""
    # what shows only beside the others: twins, spacings
    facts = {case.patient: case for case in look.found.cases}
    spacings = [case.spacing for case in look.found.cases]
    owners, alike = dict[str, str](), _near_twins(examined)
    for name, each in examined.items():
        known, findings = facts.get(name), [*each.findings]
        if each.prepared:
            findings += _twin_refusal(look.found.folder, each.prepared, owners)
            findings += [Finding("doubtful", text) for text in twin_findings(alike, name)]
        if known:
            findings += [Finding("doubtful", text) for text in odd_spacing(known.spacing, spacings)]
        if known and each.prepared:
            findings += _grid_findings(known, look)
        findings.sort(key=lambda finding: ORDER.index(finding.kind))
        yield Inspected(name, known, tuple(findings), each.picture, each.position)


def _ranked(cases: Sequence[Inspected]) -> tuple[Inspected, ...]:
    """The refused first, then the doubtful ones, then the others."""
    ranks: list[Kind | None] = [*ORDER, None]
    return tuple(sorted(cases, key=lambda case: (ranks.index(case.kind), case.name)))


def _near_twins(examined: Mapping[str, Examined]) -> dict[str, list[str]]:
    """Case to those that look nearly the same."""
    looks = {name: each.prepared.looks for name, each in examined.items() if each.prepared}
    alike: dict[str, list[str]] = {}
    for pair in find_near_twins(looks) if looks else ():
        alike.setdefault(pair.first, []).append(pair.second)
        alike.setdefault(pair.second, []).append(pair.first)
    return alike


def _of_folder(look: Look, examined: Mapping[str, Examined]) -> Iterator[Finding]:
    """What concerns the cases together."""
    # the split, without the file of pseudonyms, which is not needed to look
    acquire = look.config.acquire
    place = acquire.folder.model_copy(update={"path": look.root})
    told = {"source": "folder", "folder": place, "pseudonyms": False, "channels": look.found.channels}
    acquire = acquire.model_copy(update=told)
    try:
        place_patients(look.config.model_copy(update={"acquire": acquire}))
    except NephriteError as error:
        yield Finding("refused", look.told(str(error)))
    # what the data do not say
    found = look.found
    if unnamed := [value for value in found.values if value not in found.names]:
        yield Finding("doubtful", f"label values {unnamed} have no name; say --class {unnamed[0]}=kidney")
    done = [each.prepared for each in examined.values() if each.prepared]
    if mute := sum(not known.unit_given for known in done):
        which = f"{counted(mute, 'scan')} of {len(done)}"
        yield Finding("doubtful", f"{which}: no unit of length in the header, read as mm; see whether sizes are right")


def _twin_refusal(folder: Path, known: Prepared, owners: dict[str, str]) -> list[Finding]:
    try:
        check_twins(folder, known.patient, known.digests, owners)
    except DataError as error:
        return [Finding("refused", str(error))]
    return []


def _grid_findings(known: CaseFacts, look: Look) -> Iterator[Finding]:
    """Classes, and single lesions, that the store's grid loses."""
    settings, finer = look.config.prepare, "finer slices keep more: 'prepare.in_plane'"
    for line in loss_lines(grid_losses([read_patient(look.store, known.patient)]), 1, "case"):
        yield Finding("doubtful", f"{line.removesuffix('.')}; {finer}")
    grid = plan_grid(settings.in_plane, known.shape, known.spacing)
    for value in settings.lesion_values:
        small = count_small(known, value, grid.spacing[1] / known.spacing[1])
        if small:
            pieces = f"{small} of {counted(len(known.classes[value].pieces), 'piece')} of {settings.classes[value]}"
            yield Finding("doubtful", f"{pieces}: less than 2 pixels across on the grid; {finer}")


def _examine_all(look: Look, processes: int) -> dict[str, Examined]:
    cases, settings = find_cases(look.root, look.found.channels), look.config.prepare
    with worker_pool(processes, setting="--processes") as pool:
        answers = pool.map(_examine, cases, [settings] * len(cases), [look.store] * len(cases))
        done = [*progress_bar(answers, "checks", len(cases))]
    told = [each._replace(findings=[Finding(kind, look.told(text)) for kind, text in each.findings]) for each in done]
    return dict(zip((case.patient for case in cases), told, strict=True))


def _examine(case: Case, settings: PrepareSettings, store: Path) -> Examined:
    """What a worker does: the case into a store that is thrown away, then a look at what is in it."""
    try:
        with one_volume(case) as one:
            prepared = prepare_patient(one, settings, store)
    except DataError as error:
        return Examined(None, [Finding("refused", str(error))])
    known = read_patient(store, case.patient)
    stored, label = (np.load(store / "patients" / case.patient / f"{name}.npy") for name in ("image", "label"))
    image = stored.astype(np.float32) * np.float32(known.slope) + np.float32(known.intercept)
    place = chosen_slice(label)
    picture = draw_thumbnail(apply_window(stored[place], *known.window), label[place])
    return Examined(prepared, [Finding("doubtful", text) for text in odd_slices(image, label)], picture, place + 1)


def _proposed(found: Survey) -> Config:
    """The settings of `init`; how long to train plays no part in a look at the data."""
    return load_config(Path("params.yaml"), text=as_text([*propose(found), Line("trial.cells", [0], "")]))
