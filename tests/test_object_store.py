"""Whose keys are used for the object store, and what a program that is started sees of them."""

from __future__ import annotations

import os

import pytest

from nephrite.object_store import hide_keys, own_settings, store_environment


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of a store but those that a test sets."""
    for name in os.environ:
        if "AWS_" in name:
            monkeypatch.delenv(name)


def test_usual_variables_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert own_settings() == {}
    assert store_environment() == dict(os.environ)


def test_own_variables_replace_all_usual_ones_for_the_program_that_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "theirs"), ("SESSION_TOKEN", "theirs"), ("PROFILE", "theirs")):
        monkeypatch.setenv(f"AWS_{name}", value)
    for name, value in (("ACCESS_KEY_ID", "ours"), ("SECRET_ACCESS_KEY", "hidden"), ("ENDPOINT_URL", "http://s3:1")):
        monkeypatch.setenv(f"NEPHRITE_AWS_{name}", value)
    given = {name: value for name, value in store_environment().items() if name.startswith("AWS_")}
    assert given == {
        "AWS_ACCESS_KEY_ID": "ours",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_ENDPOINT_URL": "http://s3:1",
    }
    assert os.environ["AWS_ACCESS_KEY_ID"] == "theirs"
    assert store_environment()["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("prefix", ["", "NEPHRITE_"])
def test_keys_are_hidden_in_what_is_shown(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv(f"{prefix}AWS_SECRET_ACCESS_KEY", "hidden")
    assert hide_keys("no such key: hidden") == "no such key: ***"
