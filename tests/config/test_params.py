from __future__ import annotations

import itertools
import json
import re
import runpy
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nephrite.config import Config, Settings, load_config, sections_in
from nephrite.config.dialect import read_yaml
from nephrite.errors import ConfigError

RESOLVED = json.loads((Path(__file__).parent / "resolved.json").read_text(encoding="utf-8"))
REQUIRED = {  # beside every 'kind': what the data are, what is asked of them, and what dvc.yaml reads
    *(f"trial.{key}" for key in ("name", "primary", "reference", "synthesizers", "segmenters", "label_fractions")),
    *(f"trial.{key}" for key in ("cells", "training_sets.real", "training_sets.synthetic.name")),
    "trial.training_sets.synthetic.synthesizer",
    "trial.without_labels.name",
    "trial.without_labels.synthesizer",
    "acquire.source",
    "prepare.classes",
    *(f"prepare.{key}" for key in ("intensity.center", "intensity.width", "in_plane.size", "in_plane.spacing")),
    "evaluate.regions.labels",
    "evaluate.windows.size",
    "promote.model",
    *(f"train_segmenter.segmenters.{key}" for key in ("architecture", "network", "command")),  # which network
    "train_gan.method.source",  # which set of acquire.synthetic
    "train_gan.method.command",  # which program
}
Load = Callable[..., Config]
Refusal = Callable[[str], str]

REFUSED = {
    "synthesize.labeler={segmenter: none, steps: 2}": r"'synthesize.labeler.segmenter' is 'none'; not under",
    "screen.segmenter=none": r"'screen.segmenter' is 'none'; not under 'train_segmenter.segmenters'",
    "painter=spade/1.0/0": r"painter 'spade/1.0/0' is not among the trial's",
    "trial.segmenters=[light, giant]": r"'trial\.segmenters' names \['giant'\]",
    "trial.primary=liver": r"'trial\.primary' is 'liver'; not among 'evaluate\.regions'",
    "evaluate.regions.tumor.labels=[3]": r"region 'tumor' with labels \[3\] is not a union of 'prepare\.channels'",
    "trial.metric=cpm": r"'trial.metric' asks for 'cpm' of 'tumor'; not among 'evaluate.lesions'",
    "trial.questions=[{metric: dice, region: liver}]": r"'trial.questions' asks for 'dice' of 'liver'; not among",
    "evaluate.lesions={liver: {}}": r"'evaluate.lesions' names 'liver'; not among 'evaluate.regions'",
    "evaluate.lesions={kidney_and_tumor: {}}": r"whose labels \[1\] are no class of 'prepare.lesions'",
    "evaluate.windows={size: 65}": r"'evaluate.windows.size' is 65; slices of 'prepare.in_plane' have 32 pixels",
    "trial.where=external": r"'trial.where' asks for external patients; name their folder, 'acquire.external.path'",
    "trial.questions=[{where: external}]": r"'trial.questions' asks for external patients; name their folder",
    "acquire.external={path: /scans, classes: {1: liver}}": r"'acquire.external.classes' names \['liver'\]; the",
    "acquire.external={path: /scans, classes: {1: null}}": r"'acquire.external.classes' names background alone",
    "trial.questions=[{metric: recall, region: liver}]": r"'recall' of 'liver'; not among 'evaluate.regions' or 'ev",
    "evaluate.parts={tumor: [2]}": r"'evaluate.parts' names 'tumor', as 'evaluate.regions' does",
    "evaluate.parts={cyst: [3]}": r"'evaluate.parts' has the label values \[3\] for 'cyst', which no channel holds",
    "arm=real/light/1.0/99": r"arm 'real/light/1.0/99' is not among the trial's",
}


def test_scores_of_whole_scans_and_of_windows_exclude_each_other(load: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"'trial.metric' asks for 'native_dice', of whole scans"):
        load("trial.metric=native_dice", "evaluate.windows={size: 16}")


def test_distances_need_a_spacing_that_is_measured(load: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match=r"'trial.metric' asks for 'surface_dice', of millimeters"):
        load("trial.metric=surface_dice", "prepare.spacing=nominal")


def fields(model: type[Settings] = Config, path: str = "") -> dict[str, Any]:
    """Every field of the settings that is no section itself, by dotted name."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        below = sections_in(field.annotation)
        inner = [fields(section, f"{path}{name}.{section.__name__}.") for section in below]
        found |= dict(itertools.chain.from_iterable(part.items() for part in inner)) or {f"{path}{name}": field}
    return found


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        *(("configs/capstone-phantom", 12), ("configs/kits19", 12), ("configs/moai", 12)),
        *(("configs/lidc", 19), ("configs/curvas", 4), ("configs/elsewhere", 5), ("configs/nnunet-lidc", 3)),
        ("configs/phantom-volumes", 2),
    ],
)
def test_shipped_settings_are_valid(name: str, kinds: int, root: Path) -> None:
    config = load_config(root / f"{name}.yaml")
    assert len(config.trial.arms) == kinds * len(config.trial.cells)


def flat(value: Any, key: str = "") -> dict[str, str]:
    """Every value by dotted key, as JSON, which tells 1 from 1.0; the order of entries is a value, too."""
    if not isinstance(value, dict):
        return {key: json.dumps(value)}
    inner = [flat(part, f"{key}.{name}".removeprefix(".")) for name, part in value.items()]
    return {f"{key} has": json.dumps([*value])} | dict(itertools.chain.from_iterable(part.items() for part in inner))


@pytest.mark.parametrize("name", RESOLVED)
def test_shipped_settings_stand_for_the_values_of_their_published_trials(name: str, root: Path) -> None:
    expected, found = flat(RESOLVED[name]), flat(load_config(root / f"{name}.yaml").model_dump(mode="json"))
    missing = {key: value for key, value in expected.items() if found.get(key) != value and not key.endswith(" has")}
    assert missing == {}, {key: found.get(key) for key in missing}
    for key in ("prepare.classes has", "prepare.channels has", "evaluate.regions has", "train_gan has"):
        assert found[key] == expected[key]


def templated(root: Path) -> list[str]:
    """Keys that dvc.yaml reads from params.yaml itself."""
    return re.findall(r"\$\{(trial\.[a-z_.]+)\}", (root / "dvc.yaml").read_text(encoding="utf-8"))


def test_every_list_that_dvc_reads_stands_in_every_shipped_file(root: Path) -> None:
    assert len({*templated(root)}) == 7
    for path in (root / "params.yaml", *sorted((root / "configs").glob("*.yaml"))):
        given = flat(read_yaml(path.read_text(encoding="utf-8"), path))
        assert {*templated(root)} <= {key.removesuffix(" has") for key in given}, path


def test_example_for_own_data_is_a_whole_file_of_few_lines(root: Path) -> None:
    page = (root / "docs" / "own-data.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^ +```yaml\n(.*?)^ +```", page, flags=re.MULTILINE | re.DOTALL)
    text = textwrap.dedent(example)
    assert len(text.splitlines()) <= 20
    config = load_config(Path("unused"), text=text)
    assert config.prepare.channels == {"liver": (1,), "tumor": (2,)}
    assert len(config.trial.arms) == 3 * 8
    assert {*templated(root)} <= {key.removesuffix(" has") for key in flat(read_yaml(text, "own-data.md"))}


def test_shipped_settings_give_no_more_than_what_differs(root: Path) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (root / "configs").glob("*.yaml")}
    assert max(lengths.values()) < 100, lengths
    assert not [path.name for path in (root / "configs").glob("*.yaml") if "huggingface" in path.read_text()]


def test_all_that_is_wrong_between_sections_is_told_at_once(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("screen.segmenter=none", "trial.primary=liver", "trial.segmenters=[light, giant]", "painter=spade/1.0/0")
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert lines[-1] == "4 errors in all"
    told = ("'trial.segmenters' names", "'screen.segmenter' is", "'trial.primary' is", "painter 'spade")
    assert all(words in line for words, line in zip(told, lines, strict=False))


def test_every_setting_but_what_the_data_and_the_trial_are_has_a_default() -> None:
    required = {name for name, field in fields().items() if field.is_required() and not name.endswith(".kind")}
    keys = {re.sub(r"[A-Z][A-Za-z0-9]*\.", "", name) for name in required}
    assert {key for key in keys if not key.startswith(("arm.", "painter."))} == REQUIRED


def test_capstone_settings_are_the_capstones(root: Path) -> None:
    config = load_config(root / "configs" / "moai.yaml")
    training, split = config.train_segmenter, config.prepare.split
    assert (training.epochs, training.learning_rate) == (100, 0.001)
    assert (training.schedule, training.plateau_patience, training.weights) == ("plateau", 6, "best")
    assert (training.foreground, training.window) == (None, None)
    assert (split.train, split.validation, split.test) == (0.7, 0.2, 0.1)
    assert config.prepare.intensity.model_dump() == {"kind": "window", "center": 0, "width": 400}
    assert training.geometric.model_dump() == {"rotation": 45, "scale": 0.15, "shift": 0.10}
    assert training.steps_per_epoch * training.batch_size == 70 * 64


UNSURE = ("prepare.classes={1: kidney, 255: tumor}", "prepare.channels={kidney: [1, 255], tumor: [255]}",
          "evaluate.regions={tumor: {labels: [255], tolerance: 1}}", "trial.primary=tumor")  # fmt: skip
GUESSING = {
    "self_training": ["trial.training_sets.real=[real, real+geometric, real+geometric+self_training]"],
    "labeler": ["synthesize.labeler={segmenter: light, steps: 2}", "synthesize.unlabeled=0.5"],
    "acquire.lesion_free": ["acquire.lesion_free=/scans"],
}


@pytest.mark.parametrize("guess", GUESSING)
def test_class_of_the_value_that_means_unsure_is_refused_where_labels_are_guessed(guess: str, load: Load) -> None:
    assert 255 in load(*UNSURE).prepare.classes
    with pytest.raises(ConfigError, match=rf"'prepare.classes' has 255, which '.*{guess}' gives to pixels"):
        load(*UNSURE, *GUESSING[guess])


def test_the_only_painter_need_not_be_named(load: Load) -> None:
    assert str(load().this_painter) == "pix2pix/1.0/0"
    with pytest.raises(ConfigError, match=r"add '--set painter=pix2pix/1.0/0'"):
        _ = load("trial.cells=[0, 1]").this_painter


def test_stage_without_its_arm_says_how_to_name_one(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"add '--set arm=real/light/1.0/0'"):
        _ = load().this_arm
    assert load("arm=real/light/1.0/0").this_arm.training_set == "real"


@pytest.mark.parametrize("name", [name for name in fields() if not name.startswith("arm.")])
def test_every_setting_has_its_sentence(name: str) -> None:
    assert (fields()[name].description or "").endswith(".")


def test_settings_page_is_current(root: Path) -> None:
    page = runpy.run_path(str(root / "docs" / "write_settings.py"))["settings_page"]()
    assert (root / "docs" / "settings.md").read_text(encoding="utf-8") == page, "run 'make docs'"


def test_organs_of_training_patients_outside_the_fraction_are_not_known(load: Load) -> None:
    told = "prepare.lesion_free.training_patients=true"
    with pytest.raises(ConfigError, match=r"training_patients' is true, and 'kidney' of these patients is not known"):
        load(told)
    assert load(told, "prepare.lesions={kidney: null, tumor: null}").prepare.lesion_free.training_patients


def test_a_set_that_pastes_onto_lesion_free_scans_needs_lesions(load: Load) -> None:
    pasting = "trial.training_sets.real=[real, real+geometric, real+paste_free]"
    with pytest.raises(ConfigError, match=r"'real\+paste_free' pastes lesions, and 'prepare.lesions' names none"):
        load(pasting, "prepare.lesions={}")


ELSEWHERE = ("trial.where=external", "acquire.external={path: /scans, classes: {1: kidney, 7: null}}")


def test_a_question_whose_region_an_external_set_cannot_form_is_refused(load: Load) -> None:
    with pytest.raises(
        ConfigError, match=r"'trial.where' asks for 'tumor' of external patients; .* label values \[2\]"
    ):
        load(*ELSEWHERE)
    assert load(*ELSEWHERE, "trial.primary=kidney_and_tumor").trial.asked_where == "external"
    part = ("prepare.channels={kidney: [1, 2]}", "evaluate.regions={kidney: {labels: [1, 2]}}", "trial.primary=kidney")
    with pytest.raises(ConfigError, match=r"'trial.questions' asks for 'lesion' of external patients"):
        load(*ELSEWHERE, *part, "evaluate.parts={lesion: [2]}", "trial.questions=[{metric: recall, region: lesion}]")


def test_a_question_for_development_is_asked_at_home(load: Load) -> None:
    config = load(*ELSEWHERE, "trial.primary=kidney_and_tumor", "trial.judged_on=validation")
    assert (config.trial.where, config.trial.asked_where) == ("external", "home")


def test_a_version_on_a_remote_may_hold_external_patients(load: Load) -> None:
    remote = ("acquire.source=dvc", "acquire.dvc={remote: /store, version: 4933b1521e1c9ec4b3b1e8a5c0d3a5a1.dir}")
    assert load(*remote, "trial.where=external").acquire.external.path is None


def test_their_label_values_become_ours(load: Load) -> None:
    assert load().external_values == {1: 1, 2: 2}
    named = load("acquire.external={path: /scans, classes: {5: kidney, 6: tumor, 9: tumor, 7: null}}")
    assert named.external_values == {5: 1, 6: 2, 9: 2, 7: 0}
