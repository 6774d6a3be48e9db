from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.config import Config
from nephrite.errors import NonFiniteLossError, SourceError
from nephrite.files import read_json
from nephrite.redaction import hidden_name, hidden_path, reason_of, settings_without_paths

Load = Callable[..., Config]
PERSON = "doe_jane"


def raised(action: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 # which one is of no matter
        action()
    return caught.value


def test_equal_paths_stay_equal_and_tell_nothing() -> None:
    one, same, other = (hidden_path(f"/data/{name}") for name in (PERSON, PERSON, "roe"))
    assert one == same != other
    assert PERSON not in one + hidden_name(Path(f"{PERSON}.nii.gz"))


def test_settings_keep_all_but_paths(load: Load) -> None:
    config = load(
        "acquire.source=folder", f"acquire.folder.path=/data/{PERSON}", f"acquire.unlabeled=more/{PERSON}",
        f"acquire.dvc.remote=/remote/{PERSON}",
    )  # fmt: skip
    shown, whole = settings_without_paths(config), config.model_dump(mode="json")
    assert PERSON not in str(shown)
    assert shown["acquire"]["folder"]["path"] == hidden_path(f"/data/{PERSON}")
    del shown["acquire"], whole["acquire"]
    assert shown == whole


def test_paths_among_the_words_of_a_command_are_hidden(load: Load) -> None:
    words = f"[perl, /home/{PERSON}/segmenter.pl, --fast]"
    config = load(f"train_segmenter.segmenters.mine={{kind: command, command: {words}}}")
    shown = settings_without_paths(config)["train_segmenter"]["segmenters"]["mine"]["command"]
    assert shown == ["perl", hidden_path(f"/home/{PERSON}/segmenter.pl"), "--fast"]


def test_remote_on_a_server_is_told(load: Load) -> None:
    shown = settings_without_paths(load("acquire.dvc.remote=s3://dvc/nephrite"), include={"acquire"})
    assert (list(shown), shown["acquire"]["dvc"]["remote"]) == (["acquire"], "s3://dvc/nephrite")


def test_reason_tells_kind_and_line_but_no_place_and_no_finding() -> None:
    error = raised(lambda: read_json(Path(f"/data/{PERSON}/meta.json")))
    told = reason_of(error)
    assert told.startswith("StoreError: A store, model or score file that is missing")
    assert "nephrite.files, line " in told
    assert PERSON not in told


def test_reason_of_any_other_error_is_its_kind() -> None:
    assert reason_of(FileNotFoundError(f"/data/{PERSON}")) == "FileNotFoundError"
    assert PERSON not in reason_of(SourceError(f"/data/{PERSON}", f"holds '{PERSON}'", "rename it"))


def test_reason_of_a_loss_quotes_it() -> None:
    told = reason_of(NonFiniteLossError("generator", "is nan at step 3", "lower the learning rate"))
    assert told == "NonFiniteLossError: is nan at step 3"
