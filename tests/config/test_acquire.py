from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import ConfigError

Refusal = Callable[[str], str]

REFUSED = {
    "acquire.patients={table: a.csv, rule: (.)}": r"acquire\.patients: 'table' and 'rule' both say whose a scan is",
    "acquire.patients.rule='(a'": r"acquire\.patients: 'rule' '\(a' is no regular expression",
    "acquire.patients.rule=a": r"acquire\.patients: 'rule' 'a' has 0 groups, not one for the patient",
    "acquire.patients.rule=(a)(b)": r"acquire\.patients: 'rule' '\(a\)\(b\)' has 2 groups",
    "acquire.source=folder": r"acquire: source 'folder' needs 'acquire\.folder\.path'",
    "acquire.source=dvc": r"acquire: source 'dvc' needs 'acquire\.dvc\.remote' and 'acquire\.dvc\.version'",
    "acquire={channels: [a, a], source: folder, folder: {path: x}}": r"'channels' names one twice",
    "acquire.channels=[a]": r"'channels' are chosen from a folder of one's own, and 'source' is 'phantom'",
    "acquire={channels: [a, b], source: folder, folder: {path: x}, unlabeled: y}": r"'unlabeled' are read with one",
    "acquire.dvc.version=4933b152": r"acquire\.dvc\.version: value '4933b152': .*\\.dir",
    "acquire.dvc.remote=https://store/dvc": r"acquire\.dvc\.remote: value 'https://store/dvc': .*s3://",
    "acquire.kits19={first_case: 9, last_case: 3, revision: a, images_url: a, labels_url: a}": r"'kits19\.last_case'",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))


@pytest.mark.parametrize("key", ["acquire.folder.path", "acquire.unlabeled", "acquire.lesion_free"])
def test_an_external_set_in_the_folder_of_another_is_refused(key: str, load: Callable[..., Config]) -> None:
    folder = (
        "acquire.source=folder",
        "acquire.folder.path=/home",
        f"{key}=/scans/one",
        "acquire.external.path=/elsewhere",
    )
    assert load(*folder).acquire.sources["acquire.external.path"] == Path("/elsewhere")
    with pytest.raises(ConfigError, match=rf"'external.path' is '/scans/one', as '{key}' is: an external test set has"):
        load(*folder, "acquire.external.path=/scans/other/../one")
