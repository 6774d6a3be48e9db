from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nephrite.cli import group
from nephrite.config import load_config
from nephrite.errors import ConfigError
from nephrite.init_command import read_classes
from nephrite.preflight import place_patients
from tests.own_layouts import CHANNELS, TEST_SCANS, write_channels, write_layout


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(group, ["init", *map(str, words), "--processes", "1"])


def test_a_folder_becomes_a_params_file_that_runs(
    kits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = invoke(kits_folder, "--class", "1=kidney", "--class", "2=tumor", "--minutes", "1")
    assert shown.exit_code == 0, shown.output
    text = Path("source.yaml").read_text()
    assert text in shown.stdout
    assert "# Next: nephrite trial --params source.yaml" in text
    config = load_config(Path("source.yaml"))
    assert (config.trial.primary, config.trial.name) == ("tumor", "source")
    assert config.acquire.folder.path == kits_folder
    again = invoke(kits_folder)
    assert isinstance(again.exception, ConfigError)
    assert "is there already" in str(again.exception)
    assert Path("source.yaml").read_text() == text


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "bids"])
def test_a_folder_in_the_layout_of_another_program_becomes_a_plan(
    layout: str, kits_folder: Path, tmp_path: Path
) -> None:
    for number, case in enumerate(sorted(kits_folder.iterdir())):
        case.rename(kits_folder / f"sub-{number}")
    folder, target = write_layout(layout, kits_folder, tmp_path / "set"), tmp_path / "set.yaml"
    shown = invoke(folder, "--out", target, "--minutes", "1")
    assert shown.exit_code == 0, shown.output
    assert ("no patients of the trial: 1 scan" in shown.stderr) == (layout in TEST_SCANS)
    config = load_config(target)
    assert config.prepare.classes == {1: "kidney", 2: "tumor"}
    placement = place_patients(config)
    assert placement is not None
    assert placement.by_person.keys() == {f"sub-{number}" for number in range(12)}


@pytest.mark.parametrize("layout", ["nnunet", "decathlon", "bids"])
def test_of_scans_with_several_channels_the_named_one_is_proposed(
    layout: str, kits_folder: Path, tmp_path: Path
) -> None:
    if layout == "bids":
        for number, case in enumerate(sorted(kits_folder.iterdir())):
            case.rename(kits_folder / f"sub-{number}")
    folder, target = write_channels(layout, kits_folder, tmp_path / "set"), tmp_path / "set.yaml"
    unnamed = invoke(folder, "--class", "1=kidney", "--class", "2=tumor", "--out", target)
    assert "acquire.channels" in str(unnamed.exception)
    shown = invoke(
        folder, "--class", "1=kidney", "--class", "2=tumor", "--channel", CHANNELS[1], "--minutes", "1", "--out", target
    )
    assert shown.exit_code == 0, shown.output
    assert load_config(target).acquire.channels == (CHANNELS[1],)


def test_a_case_that_cannot_be_read_is_told_and_the_others_are_proposed_for(kits_folder: Path, tmp_path: Path) -> None:
    (kits_folder / "case_00003" / "imaging.nii.gz").write_bytes(b"no scan")
    shown = invoke(kits_folder, "--out", tmp_path / "mine.yaml", "--minutes", "1")
    assert shown.exit_code == 0, shown.output
    assert "not read: " in shown.stderr
    assert "case_00003" in shown.stderr
    assert "11 cases" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize("told", [("kidney",), ("0=kidney",), ("255=kidney",), ("1=",), ("1=a", "1=b"), ("x=a",)])
def test_a_class_is_a_number_with_a_name(told: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"--class .*: is no label value from 1 to 254 with a name of its own"):
        read_classes(told)


def test_classes_are_read_by_number() -> None:
    assert read_classes(("2=tumor", "1=kidney")) == {2: "tumor", 1: "kidney"}
