"""Pages that are written from the source and from records: they are current, whole, and found by who needs them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from nephrite import errors
from nephrite.cli import StageGroup
from nephrite.config import load_config
from nephrite.errors import ConfigError, NephriteError
from nephrite.layout import Layout
from nephrite.signatures import STAGES
from tests.conftest import CAPSTONE

NAMES = ("write_commands", "write_errors", "write_files", "write_gallery")


@pytest.fixture(scope="module")
def writers() -> Iterator[dict[str, ModuleType]]:
    """The scripts, as modules; they import each other as they do when one of them is run."""
    folder = str(Path(__file__).resolve().parents[2] / "docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield {name: importlib.import_module(name) for name in NAMES}
    for name in (*NAMES, "source_texts"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("name", "page"),
    [(f"write_{page}", f"{page}_page") for page in ("commands", "errors", "files", "gallery")],
)
def test_pages_are_current(writers: dict[str, ModuleType], name: str, page: str) -> None:
    writer = writers[name]
    assert writer.PAGE.read_text(encoding="utf-8") == getattr(writer, page)(), "run 'make docs'"


def test_every_command_stands_on_its_page_once_with_its_options(writers: dict[str, ModuleType]) -> None:
    page = writers["write_commands"].commands_page()
    group = StageGroup("nephrite")
    context = click.Context(group, info_name="nephrite")
    for name in group.list_commands(context):
        assert page.count(f"\n### nephrite {name}\n") == 1
        command = group.get_command(context, name)
        assert command
        section = page.partition(f"\n### nephrite {name}\n")[2].partition("\n### ")[0]
        for option in command.params:
            shown = option.opts[0] if isinstance(option, click.Option) else (option.name or "").upper()
            assert shown in section or "](#options-of-" in section, (name, shown)


def told(writers: dict[str, ModuleType]) -> list[tuple[str, str, str]]:
    return [(each.error, f"{each.place}: {each.finding}", each.remedy) for each in writers["write_errors"].messages()]


def test_messages_are_followed_through_names_branches_constants_and_callers(writers: dict[str, ModuleType]) -> None:
    found = told(writers)
    # text where it is raised
    assert ("SourceError", "<folder>: is not a folder", "give the folder that holds the cases") in found
    # a name, assigned before
    assert ("VolumeError", "<path>: is truncated: <held> of <nbytes> bytes of voxels", "fetch the file again") in found
    # two branches, which never mix
    lines = [line for error, line, _ in found if error == "DicomError" and "names no frame of reference" in line]
    assert {line.partition(": ")[2].partition(" names")[0] for line in lines} == {"the scan", "it"}
    # a function that makes the error, whose callers say what was found
    assert any(
        line.startswith("<shown>: the record") or "the record of runs does not answer" in line for _, line, _ in found
    )
    # a table of words, unpacked where it is raised
    assert any("refuses the token" in line and "KFP_TOKEN" in remedy for _, line, remedy in found)
    # what models of settings refuse, and the reader of YAML
    assert ("ConfigError", "<file>: <key>: two label values share one class name", "change the value") in found
    assert any("is octal in YAML 1.1" in line and "leading zero" in remedy for _, line, remedy in found)


def test_every_kind_of_error_that_is_raised_has_a_message(writers: dict[str, ModuleType]) -> None:
    bases = {"NephriteError", "DataError", "TrainingError"}
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, NephriteError)}
    assert kinds - bases - {error for error, _, _ in told(writers)} == set()


def test_every_remedy_says_something(writers: dict[str, ModuleType]) -> None:
    writer = writers["write_errors"]
    page = writer.errors_page()
    entries = page.split("\n#### ")[1:]
    assert len(entries) > 500
    assert all(len(entry.split("\n\n")[1]) > 8 for entry in entries)
    areas = page.count("\n## ")
    assert areas == len(writer.AREAS)
    assert all(section.count("\n#### ") for section in page.split("\n## ")[1:])


def test_a_module_without_an_area_is_told(writers: dict[str, ModuleType]) -> None:
    with pytest.raises(ValueError, match="no entry of AREAS"):
        writers["write_errors"].area_of("nephrite.unheard_of")


def test_a_message_that_is_really_raised_stands_on_the_page(writers: dict[str, ModuleType], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.yaml")
    page = writers["write_errors"].PAGE.read_text(encoding="utf-8")
    assert f": {caught.value.finding}`" in page
    assert f"{caught.value.remedy[0].upper()}{caught.value.remedy[1:]}" in page


def test_every_published_trial_is_in_the_gallery(writers: dict[str, ModuleType]) -> None:
    writer = writers["write_gallery"]
    published = {path.parent.name for path in writer.RESULTS.glob("*/trial.json")}
    assert published == set(writer.ENTRIES)
    page = writer.gallery_page()
    assert page.count("| **helps** |") == 1
    assert page.count("| **hurts**") == 2


def test_places_of_files_are_those_of_the_layout(writers: dict[str, ModuleType]) -> None:
    config = load_config(CAPSTONE)
    layout, arm, painter = Layout(Path()), config.trial.arms[0], config.trial.painters[0]
    ours = {
        **{"raw": layout.raw, "pairs": layout.pairs, "report": layout.report, "promotion": layout.promotion},
        **{"synthesizer": layout.synthesizer(painter), "painted": layout.painted(painter)},
        **{"synthetic": layout.synthetic(painter), "segmenter": layout.segmenter(arm)},
        **{"scores": layout.score(arm), "predictions": layout.prediction(arm)},
    }
    places = writers["write_files"].PLACES
    told = {name: place.replace("PAINTER", str(painter)).replace("ARM", str(arm)) for name, place in places.items()}
    assert told == {name: path.as_posix() for name, path in ours.items()}
    assert set(places) == {name for each in STAGES.values() for name in (each.output, each.beside) if name}


def test_files_that_the_page_names_are_written(writers: dict[str, ModuleType], written: Path) -> None:
    inside = writers["write_files"].INSIDE
    for place in ("data/prepared", "reports"):
        for file in (name.strip() for names in inside[place] for name in names.split(",")):
            if "PATIENT" not in file and "/" not in file.rstrip("/") and file != "label.npy":
                assert (written / place / file).exists(), f"{place}/{file}"
