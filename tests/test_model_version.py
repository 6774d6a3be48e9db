from __future__ import annotations

import pytest

from nephrite.errors import StoreError
from nephrite.model_version import DIGEST, ModelVersion, tags_digest

TAGS = {"weights": "abc", "graph": "def", "recipe": "{}", "note": "free"}


def test_a_version_is_held_to_the_tags_that_say_what_it_is(caplog: pytest.LogCaptureFixture) -> None:
    sealed = {**TAGS, DIGEST: tags_digest(TAGS)}
    ModelVersion(1, "models:/m", {**sealed, "note": "another"}).check_tags("version 1")
    assert caplog.text == ""
    with pytest.raises(StoreError, match=r"version 1: its tags 'weights', 'graph', 'recipe'"):
        ModelVersion(1, "models:/m", {**sealed, "recipe": "{1}"}).check_tags("version 1")
    ModelVersion(1, "models:/m", TAGS).check_tags("version 1")
    assert "was registered without digests" in caplog.text


def test_the_digest_of_a_folder_counts_where_there_is_one() -> None:
    assert tags_digest({**TAGS, "folder": "x"}) != tags_digest({**TAGS, "folder": "y"}) != tags_digest(TAGS)
