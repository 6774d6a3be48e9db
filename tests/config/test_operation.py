from __future__ import annotations

import re
from collections.abc import Callable

import pytest

Refusal = Callable[[str], str]

REFUSED = {
    "compute.precision=64": r"compute\.precision: value 64: ",
    "compute.devices=0": r"compute\.devices: value 0: ",
    "publish.remote=gs://bucket/dvc": r"publish\.remote: value 'gs://bucket/dvc': .*s3://",
}


@pytest.mark.parametrize(("override", "message"), REFUSED.items())
def test_wrong_settings_are_one_line_with_key_value_and_rule(override: str, message: str, refusal: Refusal) -> None:
    assert re.search(message, refusal(override))
