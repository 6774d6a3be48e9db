from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nephrite.code_digest import closure, code_digest
from nephrite.dependencies import code_digests
from nephrite.errors import ConfigError
from tests.conftest import forget_code


def test_the_closure_knows_imports_of_functions_and_not_those_for_types() -> None:
    found = closure("nephrite.segmentation.in_process.unet")
    assert {"nephrite.segmentation.in_process.fitting", "nephrite.models.losses"} <= found
    found |= closure("nephrite.stages.train_segmenter")
    assert not {name for name in found if name.startswith(("nephrite.config", "nephrite.tracking"))}
    assert "nephrite.runner" not in found


def test_digests_are_kept_and_a_damaged_file_of_them_is_written_anew(source: Path) -> None:
    before = code_digests()
    kept = source / "__pycache__" / "digests.json"
    whole = kept.read_bytes()
    # a file that was cut short
    kept.write_bytes(whole[:-100])
    forget_code()
    assert code_digests() == before
    assert kept.read_bytes() == whole


def test_digests_need_no_place_to_be_kept(source: Path) -> None:
    before = code_digests()
    shutil.rmtree(source / "__pycache__")
    (source / "__pycache__").touch()
    forget_code()
    assert code_digests() == before


def test_a_kind_outside_of_the_package_counts_by_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for content in ("VALUE = 1\n", "VALUE = 2\n"):
        (tmp_path / "own_kind.py").write_text(content)
        forget_code()
        digests.append(code_digest("own_kind"))
    assert digests[0] != digests[1]
    with pytest.raises(ConfigError, match="no_such_kind: is no module whose code can be read"):
        code_digest("no_such_kind")
