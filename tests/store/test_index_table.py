from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nephrite.errors import StoreError
from nephrite.store.index_table import read_index, write_index
from tests.conftest import CLASSES, SPLITS

Edit = Callable[[str], str]


def read(pairs: Path) -> list[dict[str, object]]:
    return read_index(pairs / "index.csv", CLASSES, SPLITS, "run 'prepare' again")


def test_table_comes_back_with_numbers(pairs: Path) -> None:
    before = (pairs / "index.csv").read_bytes()
    rows = read(pairs)
    assert rows[0] == {"patient": "a1", "slice": 0, "split": "train", "kidney": 108, "tumor": 36}
    assert len(rows) == 42
    write_index(pairs, SPLITS, CLASSES)
    assert (pairs / "index.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (lambda text: "", r"cannot be read as CSV"),
        (lambda text: text.replace("kidney,tumor", "tumor,kidney"), r"has the columns \['patient', 'slice', 'split'"),
        (lambda text: text.replace("a1,0,train", "a1,0,test"), r"line 2: has 'a1' in split 'test'"),
        (lambda text: text.replace("a1,0,train", "zz,0,train"), r"line 2: has 'zz' in split 'train'"),
        (lambda text: text.replace("a1,0,train,108", "a1,0,train,-1"), r"line 2: kidney: .*not '-1'"),
        (lambda text: text.replace("a1,0,train,108", "a1,0,train,1e3"), r"line 2: kidney: .*not '1e3'"),
        (lambda text: text.replace("a1,0,train,108", "a1,0,train,999999999"), r"line 2: counts more pixels"),
        (lambda text: text.replace("a1,0,train,108,36", "a1,0,train,108"), r"line 2: has 4 fields, not 5"),
        (lambda text: text.replace("a1,1,train", "a1,2,train"), r"line 3: slice 2 does not follow"),
        (lambda text: text.replace("a1,0,train", '"a1,0,train'), r"index.csv.*: "),
        (lambda text: "\x00", r"cannot be read as CSV|has the columns"),
    ],
)
def test_a_damaged_table_is_one_line_with_the_place(pairs: Path, edit: Edit, finding: str) -> None:
    path = pairs / "index.csv"
    path.write_text(edit(path.read_text()))
    with pytest.raises(StoreError, match=finding) as caught:
        read(pairs)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; run 'prepare' again")
