"""'acquire': where the raw volumes come from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nephrite.config.foreign import ForeignSettings, Text
from nephrite.config.settings import ClassName, LabelValue, Name, Positive, Remote, Seed, Settings, refuse

VersionHash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]


class PhantomSettings(Settings):
    """The embedded abdomen."""

    patients: Positive = Field(default=40, description="Number of patients; 40 leave 12 for the test.")
    seed: Seed = Field(
        default=19, description="Patient n of a seed is the same whatever the other patients are; any will do."
    )
    matrix: int = Field(default=512, ge=64, le=1024, description="In-plane size in pixels; 512 as a CT scanner gives.")


class Kits19Settings(Settings):
    """The KiTS19 download (Heller et al. 2019; CC BY-NC-SA 4.0)."""

    first_case: int = Field(default=0, ge=0, le=209, description="Number of the first case to fetch; 0 is the first.")
    last_case: int = Field(default=209, ge=0, le=209, description="Inclusive; cases 210 to 299 have no public labels.")
    revision: str = Field(
        default="456b293435b25303bbc7995f094f83a0afdff0eb",
        description="Commit of the label repository; pinned, so that labels cannot change under a trial.",
    )
    images_url: str = Field(
        default="https://huggingface.co/datasets/neheller/KiTS-Challenge-Imaging/resolve/"
        "65f1f295873a326230153c7e1de0c7dba10f0b29/images/case_{case:05d}.nii.gz",
        description="Where the images are, at a pinned commit; '{case:05d}' stands for the case number.",
    )
    labels_url: str = Field(
        default="https://raw.githubusercontent.com/neheller/kits19/{revision}/data/case_{case:05d}/segmentation.nii.gz",
        description="Where the labels are; '{revision}' and '{case:05d}' are filled in.",
    )
    checksums: Path | None = Field(default=None, description="File in sha256sum's format to verify against.")


class FolderSettings(Settings):
    """A folder of one's own, in any layout of docs/own-data.md."""

    path: Path | None = Field(default=None, description="Folder of cases: scans with their label maps.")


class ExternalSettings(Settings):
    """An external test set: another hospital's scans and label maps, which are only ever tested on."""

    path: Path | None = Field(
        default=None, description="Folder of cases with label maps, of other patients, in the layouts of 'folder'."
    )
    classes: dict[LabelValue, ClassName | None] | None = Field(
        default=None,
        description="What its label values are: value to a name of 'prepare.classes', or null for background. A value "
        "that is met and not named is an error. null = the values of 'prepare.classes'. Regions that a DICOM SEG or "
        "RTSTRUCT names follow 'prepare.segments' instead.",
    )


class DvcSettings(Settings):
    """A version of a folder on a DVC remote (docs/data-versions.md)."""

    remote: Remote | None = Field(default=None, description="'s3://BUCKET/PREFIX', or a folder that serves as remote.")
    version: VersionHash | None = Field(default=None, description="DVC's hash of the folder, ending in '.dir'.")


class PatientsSettings(Settings):
    """Which scans are of one patient, by your own names of cases: a table, or a rule on the name."""

    table: Path | None = Field(
        default=None,
        description="CSV with the columns 'case' and 'patient', a line for each scan of all folders. null = no table.",
    )
    rule: str | None = Field(
        default=None,
        description="Regular expression with one group, for the whole name of a case: what the group finds is the "
        "patient, e.g. '(.+)_[0-9]+'. A name that does not match is a patient of its own. null = no rule.",
    )

    @model_validator(mode="after")
    def _one_way_that_works(self) -> Self:
        if self.table is not None and self.rule is not None:
            raise ValueError("'table' and 'rule' both say whose a scan is; keep one of them")
        if self.rule is not None:
            try:
                groups = re.compile(self.rule).groups
            except re.error as error:
                raise ValueError(f"'rule' {self.rule!r} is no regular expression ({error})") from None
            if groups != 1:
                raise ValueError(f"'rule' {self.rule!r} has {groups} groups, not one for the patient")
        return self


class AcquireSettings(Settings):
    """Where the raw volumes come from."""

    source: Literal["phantom", "kits19", "folder", "dvc"] = Field(
        description="The embedded abdomen, the KiTS19 download, a folder of one's own, or a version on a DVC remote."
    )
    workers: Positive = Field(default=2, description="Processes or downloads side by side; 2 for two cores.")
    phantom: PhantomSettings = Field(default_factory=PhantomSettings)
    kits19: Kits19Settings = Field(default_factory=Kits19Settings)
    folder: FolderSettings = Field(default_factory=FolderSettings)
    unlabeled: Path | None = Field(
        default=None,
        description="Folder of scans without label maps, of other patients, for synthesizers and self-training.",
    )
    lesion_free: Path | None = Field(
        default=None,
        description="Folder of scans that are free of lesions, of other patients, for painters and baselines. Where a "
        "label map lies beside a scan, its organs are known, and about lesions in it pixels are ignored.",
    )
    channels: tuple[Text, ...] = Field(
        default=(),
        description="Channels to learn from, of scans that have several, by their names: in dataset.json (or '0', '1', "
        "... without one), or what BIDS calls the scan ('T1w'). One name takes that channel alone; several are all "
        "shown to segmenters that take them. Empty = scans have one channel, and others are refused.",
    )
    patients: PatientsSettings = Field(default_factory=PatientsSettings)
    external: ExternalSettings = Field(default_factory=ExternalSettings)
    synthetic: dict[Name, ForeignSettings] = Field(
        default_factory=dict,
        description="Sets of synthetic scans with label maps that other programs made, by names of your own; a "
        "synthesizer of the kind for them names one.",
    )
    data_sets: tuple[Text, ...] = Field(
        default=(),
        description="Names of the public data sets that your scans are of, with every name in use ('KiTS19', "
        "'KiTS21'): a generator that was trained on other named sets knows none of your patients. Those of 'kits19' "
        "and 'phantom' are known.",
    )
    pseudonyms: bool | None = Field(
        default=None,
        description="Patients of one's own folders get salted pseudonyms (docs/privacy.md), in 'predict' too; null: "
        "where any of the scans is DICOM, since the names of public NIfTI sets are mostly numbers.",
    )
    deidentify: bool = Field(
        default=True,
        description="Copies of one's own folders keep geometry and intensities, and nothing else of their headers.",
    )
    dvc: DvcSettings = Field(default_factory=DvcSettings)

    @property
    def sources(self) -> dict[str, Path]:
        """Folders and files that are read: the setting that names each, and its place."""
        remote = self.dvc.remote if self.source == "dvc" and "://" not in (self.dvc.remote or "") else None
        found = {
            "acquire.folder.path": self.folder.path if self.source == "folder" else None,
            "acquire.unlabeled": self.unlabeled,
            "acquire.lesion_free": self.lesion_free,
            "acquire.patients.table": self.patients.table,
            "acquire.external.path": self.external.path,
            "acquire.dvc.remote": Path(remote) if remote else None,
        }
        found |= {f"acquire.synthetic.{name}.path": known.path for name, known in self.synthetic.items()}
        return {key: path for key, path in found.items() if path is not None}

    @property
    def own_data_sets(self) -> tuple[str, ...]:
        """Names of the public data sets that the scans are of; empty where that is not known."""
        known = {"kits19": ("KiTS19", "KiTS21", "KiTS23"), "phantom": ("phantom",)}.get(self.source, ())
        return (*known, *self.data_sets)

    @model_validator(mode="after")
    def _source_has_its_place(self) -> Self:
        found: list[str] = []
        if self.source == "folder" and self.folder.path is None:
            found.append("source 'folder' needs 'acquire.folder.path'")
        if self.source == "dvc" and not (self.dvc.remote and self.dvc.version):
            found.append("source 'dvc' needs 'acquire.dvc.remote' and 'acquire.dvc.version'")
        if self.kits19.last_case < self.kits19.first_case:
            found.append("'kits19.last_case' is smaller than 'kits19.first_case'")
        if len(set(self.channels)) < len(self.channels):
            found.append(f"'channels' names one twice: {list(self.channels)}")
        if self.channels and self.source != "folder":
            found.append(f"'channels' are chosen from a folder of one's own, and 'source' is '{self.source}'")
        others = {"unlabeled": self.unlabeled, "lesion_free": self.lesion_free, "synthetic": self.synthetic}
        found += [
            f"'channels' names several, and scans of '{name}' are read with one"
            for name, given in others.items()
            if given and len(self.channels) > 1
        ]
        for name, known in self.synthetic.items():
            if known.path is None and self.source != "dvc":
                found.append(f"'synthetic.{name}' needs 'path', the folder of its scans and label maps")
        for key, path in self.sources.items():
            if self.external.path and key != "acquire.external.path" and _same_place(path, self.external.path):
                found.append(f"'external.path' is '{path}', as '{key}' is: an external test set has other patients")
        refuse(found)
        return self


def _same_place(one: Path, other: Path) -> bool:
    """Whether two paths are written for one folder; nothing is asked of the disk."""
    return os.path.normpath(one.absolute()) == os.path.normpath(other.absolute())
