from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from nephrite.errors import OutputError, StoreError
from nephrite.privacy.pseudonyms import FILE, VARIABLE, local_salt, pseudonym, pseudonyms, wanted


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default file of names, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE)
    return tmp_path / FILE


@pytest.mark.parametrize(
    ("setting", "layouts", "expected"),
    [
        (None, ["kits", "nifti"], False),
        (None, ["kits", "dicom"], True),
        (None, ["moai"], True),
        (False, ["moai"], False),
        (True, ["kits"], True),
    ],
)
def test_dicom_decides_where_the_setting_does_not(setting: bool | None, layouts: list[str], expected: bool) -> None:
    assert wanted(setting, layouts) is expected


def test_the_same_name_has_the_same_pseudonym_in_a_later_run(names: Path) -> None:
    first = pseudonyms(["Doe_Jane", "Roe"])
    assert pseudonyms(["Doe_Jane"])["Doe_Jane"] == first["Doe_Jane"]
    assert len(set(first.values())) == 2
    assert not [name for name in first if name.lower() in "".join(first.values())]


def test_names_that_count_as_one_patient_share_a_pseudonym(names: Path) -> None:
    assert len({*pseudonyms(["Doe", "DOE"]).values()}) == 1


def test_what_was_brought_before_can_be_brought_again(names: Path) -> None:
    made = pseudonyms(["Doe"])["Doe"]
    assert pseudonyms([made]) == {made: made}


def test_file_leads_back_to_the_names_for_its_owner_alone(names: Path) -> None:
    made = pseudonyms(["Doe"])["Doe"]
    assert json.loads(names.read_text())["patients"] == {made: "Doe"}
    assert stat.S_IMODE(names.stat().st_mode) == 0o600
    assert stat.S_IMODE(names.parent.stat().st_mode) == 0o700
    assert [(names.parent / name).read_text() for name in (".gitignore", ".dvcignore")] == ["*\n", "*\n"]


def test_another_salt_gives_another_pseudonym() -> None:
    assert pseudonym("Doe", "ab" * 32) != pseudonym("Doe", "cd" * 32)


def test_salt_stays_when_names_come(names: Path) -> None:
    salt = local_salt()
    pseudonyms(["Doe"])
    assert local_salt() == salt


@pytest.mark.parametrize("text", ["", "{}", '{"salt": "zz", "patients": {}}'])
def test_damaged_file_is_not_replaced_by_another_salt(names: Path, text: str) -> None:
    names.parent.mkdir()
    names.write_text(text)
    with pytest.raises(StoreError, match="restore it from a copy"):
        pseudonyms(["Doe"])
    assert names.read_text() == text


def test_place_that_cannot_be_written_is_told_with_its_variable(names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (names.parent.parent / "file").touch()
    monkeypatch.setenv(VARIABLE, str(names.parent.parent / "file" / "patients.json"))
    with pytest.raises(OutputError, match=f"name a file that can be written in {VARIABLE}"):
        pseudonyms(["Doe"])


def test_git_dvc_and_images_leave_the_file_alone(root: Path) -> None:
    for name in (".gitignore", ".dvcignore"):
        assert f"/{FILE.parent}/" in (root / name).read_text().splitlines()
    lines = (root / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert f"!{FILE.parent}" not in lines
