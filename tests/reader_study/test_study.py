from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nephrite.errors import OutputError, StoreError
from nephrite.reader_study.study import Asked, check_same, draw_study, encode_slice, picture_file, read_study
from nephrite.store.slices import PairStore, SliceRef
from tests.conftest import SPLITS, finish
from tests.reader_study.conftest import ASKED


def test_a_study_is_read_as_it_was_drawn(out: Path, pairs: Path, synthetic: Path) -> None:
    study = read_study(out)
    assert study.asked == ASKED
    assert study.painter == "synthesizer-1"
    assert study.synthetic.sum() == 4
    assert study.inputs == {
        "pairs": PairStore(pairs).manifest.digest,
        "synthetic": PairStore(synthetic).manifest.digest,
    }
    for number, shown in enumerate(study.slices):
        store = PairStore(pairs if shown.kind == "real" else synthetic)
        expected = np.rint(store.windowed(SliceRef(shown.patient, shown.position)) * 255)
        assert np.array_equal(np.asarray(Image.open(out / picture_file(number))), expected)


def test_the_bytes_of_a_picture_tell_nothing_of_its_kind(out: Path) -> None:
    contents = [path.read_bytes() for path in sorted((out / "slices").iterdir())]
    assert len({len(content) for content in contents}) == 1  # nor does the length, since nothing is compressed
    heads = set()
    for content in contents:
        chunks, at = [], 8
        while at < len(content):
            length = int.from_bytes(content[at : at + 4], "big")
            chunks.append(content[at + 4 : at + 8])
            at += 12 + length
        assert chunks == [b"IHDR", b"IDAT", b"IEND"]  # no texts, no times, no colors
        heads.add(content[8:33])
    assert len(heads) == 1
    flat, noise = np.zeros((32, 32), np.float32), np.random.default_rng(0).random((32, 32), np.float32)
    assert len(encode_slice(flat)) == len(encode_slice(noise))
    assert Image.open(io.BytesIO(encode_slice(noise))).info == {}


def test_each_reader_has_an_order_of_their_own_that_stays(out: Path) -> None:
    study = read_study(out)
    orders = [study.order(reader) for reader in ("anna", "bert", "carla")]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert read_study(out).order("anna") == orders[0]


def test_the_same_draw_goes_on_and_another_is_refused(out: Path, pairs: Path, synthetic: Path) -> None:
    assert draw_study(pairs, synthetic, ASKED, out) == read_study(out)
    for asked, finding in (
        (Asked(count=4, seed=2), "seed 1, not 2"),
        (Asked(count=3, seed=1), "slices of each kind: 4, not 3"),
        (Asked(count=4, seed=1, per_patient=4), "most slices of a patient: None, not 4"),
    ):
        with pytest.raises(StoreError, match=f"holds a study with {finding}; go on with it, or name another folder"):
            draw_study(pairs, synthetic, asked, out)
    check_same(read_study(out), {"seed": 1}, {}, out)


def test_changed_data_are_refused(out: Path, pairs: Path, synthetic: Path) -> None:
    finish(pairs, "real", SPLITS | {"a1": "test"})
    with pytest.raises(StoreError, match=r"holds a study with digest of 'pairs' \w{12}\.\.\., not \w{12}\.\.\."):
        draw_study(pairs, synthetic, ASKED, out)


def test_what_was_changed_or_lost_is_refused(out: Path) -> None:
    picture = out / picture_file(3)
    content = picture.read_bytes()
    picture.write_bytes(content[:-20] + bytes(20))
    with pytest.raises(StoreError, match=r"0003\.png: was changed"):
        read_study(out)
    picture.write_bytes(content)
    record = json.loads((out / "study.json").read_text())
    first = record["slices"][0]
    first["kind"] = "real" if first["kind"] == "synthetic" else "synthetic"
    (out / "study.json").write_text(json.dumps(record))
    with pytest.raises(StoreError, match="was changed after it was written"):
        read_study(out)
    with pytest.raises(StoreError, match="is missing; draw the study again"):
        read_study(out / "nowhere")


def test_a_folder_of_others_is_left_alone(pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="Nephrite did not write it"):
        draw_study(pairs, synthetic, ASKED, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_the_painter_is_told_by_its_name_where_one_is_given(pairs: Path, synthetic: Path, tmp_path: Path) -> None:
    study = draw_study(pairs, synthetic, ASKED, tmp_path / "named", painter="pix2pix/1.0/0")
    assert study.painter == "pix2pix/1.0/0"
