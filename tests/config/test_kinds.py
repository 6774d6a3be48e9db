from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from nephrite.config import Config, GeneratorSettings, KindSettings, SegmenterSettings, sections_in
from nephrite.errors import ConfigError

Load = Callable[..., Config]


def test_settings_of_all_kinds_are_read_without_torch(root: Path) -> None:
    script = """
import sys
from pathlib import Path
from typing import get_args
from nephrite.config import GeneratorSettings, SegmenterSettings, load_config
load_config(Path(sys.argv[1]))
for module in [*SegmenterSettings.REGISTRY.values(), *GeneratorSettings.REGISTRY.values()]:
    assert module in sys.modules, module
sys.exit('torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script, str(root / "params.yaml")], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("kind", SegmenterSettings.REGISTRY)
def test_a_kind_that_is_unknown_is_refused_with_those_that_are(load: Load, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"kind.*'{kind}'"):
        load("train_segmenter.segmenters.other={kind: transformer}")


@pytest.mark.parametrize("front", [GeneratorSettings, SegmenterSettings])
def test_every_line_of_a_registry_is_the_kind_that_its_settings_name(front: type[KindSettings]) -> None:
    kinds = [get_args(model.model_fields["kind"].annotation) for model in sections_in(front)]
    assert kinds == [(name,) for name in front.REGISTRY]


def test_settings_of_one_kind_are_themselves() -> None:
    kinds = sections_in(SegmenterSettings)
    assert sections_in(kinds[0]) == [kinds[0]]
    assert sections_in(dict[str, SegmenterSettings]) == kinds
